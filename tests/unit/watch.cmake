# Tests of what is counted and told about an ensemble.
tutti_test(watch_test SOURCES unit/watch_test.cpp LIBRARIES tutti nlohmann_json::nlohmann_json)
