# Tests of the guide's benchmark; see tutti_test() in tests/CMakeLists.txt.
tutti_test(guide_test SOURCES unit/guide_test.cpp LIBRARIES tutti_guide)
