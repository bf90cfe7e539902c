# The installed package, as a stranger uses it. Not under the fuzzers' build: its libraries need libFuzzer to link.
if(NOT TUTTI_FUZZERS)
  add_test(NAME install_test
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/install_test.sh ${CMAKE_COMMAND} ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}
            ${CMAKE_C_COMPILER} ${CMAKE_CXX_COMPILER} "${TUTTI_SANITIZE}")
  set_tests_properties(install_test PROPERTIES TIMEOUT 600)
endif()
