# Tests of worker; see tutti_test() in tests/CMakeLists.txt.

# A file that no model may read; the evil plug-in and its tests know the path.
set(TUTTI_EVIL_CANARY ${PROJECT_BINARY_DIR}/canary/secret.txt)
file(WRITE ${TUTTI_EVIL_CANARY} "nobody has read this\n")
add_subdirectory(plugins)
add_subdirectory(${PROJECT_SOURCE_DIR}/examples/plugin ${PROJECT_BINARY_DIR}/examples/plugin)
tutti_test(safetensors_test SOURCES unit/safetensors_test.cpp LIBRARIES tutti_models nlohmann_json::nlohmann_json)
tutti_test(dense_test SOURCES unit/dense_test.cpp unit/dense_kernels_test.cpp
  LIBRARIES tutti_models nlohmann_json::nlohmann_json)
# The program counts allocations.
target_link_options(dense_test PRIVATE -Wl,--wrap=malloc -Wl,--wrap=_Znwm)
tutti_test(plugin_test SOURCES unit/plugin_test.cpp LIBRARIES tutti_models)
add_dependencies(plugin_test tutti_test_plugins threshold nearest_centroid)
tutti_test(xgboost_test SOURCES unit/xgboost_test.cpp unit/xgboost_hostile_test.cpp
  LIBRARIES tutti_models nlohmann_json::nlohmann_json)
tutti_test(lightgbm_test SOURCES unit/lightgbm_test.cpp unit/lightgbm_hostile_test.cpp LIBRARIES tutti_models)
tutti_test(onnx_test SOURCES unit/onnx_test.cpp unit/onnx_hostile_test.cpp LIBRARIES tutti_models)
target_link_options(onnx_test PRIVATE -Wl,--wrap=_Znwm)
tutti_test(scikit_test SOURCES unit/scikit_test.cpp LIBRARIES tutti_models nlohmann_json::nlohmann_json)
tutti_test(preprocess_test SOURCES unit/preprocess_test.cpp LIBRARIES tutti_models)
tutti_test(trees_test SOURCES unit/trees_test.cpp LIBRARIES tutti_models)
tutti_test(adapt_test SOURCES unit/adapt_test.cpp LIBRARIES tutti_models nlohmann_json::nlohmann_json)
tutti_test(cage_test SOURCES unit/cage_test.cpp unit/cage_filter_test.cpp plugins/evil_try.c LIBRARIES tutti_cage)
target_compile_definitions(cage_test PRIVATE EVIL_CANARY="${TUTTI_EVIL_CANARY}")
add_dependencies(cage_test tutti_test_plugins)
tutti_test(kernels_test SOURCES unit/kernels_test.cpp LIBRARIES tutti_models)
tutti_test(tree_model_test SOURCES unit/tree_model_test.cpp LIBRARIES tutti_models)
target_link_options(tree_model_test PRIVATE -Wl,--wrap=_Znwm)
# Sanitizers add weak functions of their own.
if(NOT TUTTI_SANITIZE AND NOT TUTTI_FUZZERS AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  add_test(NAME weak_symbols_test
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/unit/weak_symbols_test.sh ${CMAKE_NM}
      "$<FILTER:$<TARGET_OBJECTS:tutti_models>,INCLUDE,kernels_avx>" COMMAND_EXPAND_LISTS)
endif()
