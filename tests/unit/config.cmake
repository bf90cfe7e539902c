# Tests of config; see tutti_test() in tests/CMakeLists.txt.
tutti_test(config_test
  SOURCES unit/suggest_test.cpp unit/config_duration_test.cpp unit/config_read_test.cpp unit/config_problem_test.cpp
          unit/config_overlay_test.cpp unit/config_file_test.cpp unit/config_round_trip_test.cpp
          unit/config_schema_test.cpp
  LIBRARIES tutti_config nlohmann_json::nlohmann_json)
