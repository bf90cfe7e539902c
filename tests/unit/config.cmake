# Tests of config; see tutti_test() in tests/CMakeLists.txt.
