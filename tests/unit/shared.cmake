# Tests of shared; see tutti_test() in tests/CMakeLists.txt.
