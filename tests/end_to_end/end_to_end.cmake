# Real processes: supervisor, workers, the command line.
tutti_test(escape_test SOURCES end_to_end/escape_test.cpp LIBRARIES tutti tutti_flags)
target_compile_definitions(escape_test PRIVATE EVIL_CANARY="${TUTTI_EVIL_CANARY}")
add_dependencies(escape_test tutti-worker tutti_test_plugins)
tutti_test(faults_test SOURCES end_to_end/faults_test.cpp end_to_end/jit_test.cpp end_to_end/launch_test.cpp end_to_end/reload_test.cpp end_to_end/template_test.cpp LIBRARIES tutti tutti_data tutti_flags)
add_dependencies(faults_test tutti-worker tutti_test_plugins)
# A worker must die of its signal, under sanitizers as well.
set_tests_properties(faults_test PROPERTIES TIMEOUT 900
  ENVIRONMENT "ASAN_OPTIONS=handle_segv=0:handle_abort=0;TSAN_OPTIONS=halt_on_error=1:handle_segv=0:handle_abort=0")
if(TARGET tutti-worker-faults)
  add_dependencies(faults_test tutti-worker-faults)
endif()

add_test(NAME cli_test COMMAND ${PROJECT_SOURCE_DIR}/tests/end_to_end/cli_test.sh
  ${PROJECT_BINARY_DIR}/bin ${PROJECT_SOURCE_DIR}/examples)
set_tests_properties(cli_test PROPERTIES TIMEOUT 300)

add_test(NAME orphan_test COMMAND ${PROJECT_SOURCE_DIR}/tests/end_to_end/orphan_test.sh
  ${PROJECT_BINARY_DIR}/bin ${PROJECT_SOURCE_DIR}/examples)
set_tests_properties(orphan_test PROPERTIES TIMEOUT 300)

# The sanitizers' builds have no cage.
if(NOT TUTTI_SANITIZE)
  add_test(NAME unprivileged_test COMMAND ${PROJECT_SOURCE_DIR}/tests/end_to_end/unprivileged_test.sh
    ${PROJECT_BINARY_DIR}/bin ${PROJECT_SOURCE_DIR}/examples)
  set_tests_properties(unprivileged_test PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
