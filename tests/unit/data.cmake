# Tests of data; see tutti_test() in tests/CMakeLists.txt.
