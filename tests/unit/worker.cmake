# Tests of worker; see tutti_test() in tests/CMakeLists.txt.
