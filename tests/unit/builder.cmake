# Tests of EnsembleBuilder; see tutti_test() in tests/CMakeLists.txt.
tutti_test(builder_test SOURCES unit/builder_test.cpp LIBRARIES tutti)
tutti_test(isolation_test SOURCES unit/isolation_test.cpp LIBRARIES tutti)
