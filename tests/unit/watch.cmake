# Tests of what is counted and told about an ensemble, and of the checker of `tutti stress`.
tutti_test(watch_test SOURCES unit/watch_test.cpp unit/status_socket_test.cpp unit/tiers_test.cpp unit/promotion_test.cpp LIBRARIES tutti nlohmann_json::nlohmann_json)
tutti_test(stress_test SOURCES unit/stress_test.cpp LIBRARIES tutti_stress)
