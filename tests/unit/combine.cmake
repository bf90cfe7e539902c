# Tests of combine; see tutti_test() in tests/CMakeLists.txt.
tutti_test(combine_test SOURCES unit/combine_test.cpp LIBRARIES tutti_combine)
# The program counts what the library allocates: Eigen by malloc, everybody else by operator new(size_t).
target_link_options(combine_test PRIVATE -Wl,--wrap=malloc -Wl,--wrap=_Znwm)
