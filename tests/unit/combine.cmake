# Tests of combine; see tutti_test() in tests/CMakeLists.txt.
tutti_test(combine_test SOURCES unit/combine_test.cpp LIBRARIES tutti_combine)
# The program counts allocations: Eigen's come by malloc, everybody else's by operator new.
target_link_options(combine_test PRIVATE -Wl,--wrap=malloc)
