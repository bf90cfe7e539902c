# Tests of combine; see tutti_test() in tests/CMakeLists.txt.
