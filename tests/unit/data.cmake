# Tests of data; see tutti_test() in tests/CMakeLists.txt.
tutti_test(data_test
  SOURCES unit/csv_test.cpp unit/number_test.cpp unit/npy_test.cpp unit/sink_test.cpp
  LIBRARIES tutti_data nlohmann_json::nlohmann_json)
