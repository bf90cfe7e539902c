# Fuzzers of models; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
tutti_fuzzer(safetensors SOURCES fuzz_safetensors.cpp LIBRARIES tutti_models)
tutti_fuzzer(lightgbm SOURCES fuzz_lightgbm.cpp LIBRARIES tutti_models)
tutti_fuzzer(scikit SOURCES fuzz_scikit.cpp LIBRARIES tutti_models)
tutti_fuzzer(xgboost SOURCES fuzz_xgboost.cpp LIBRARIES tutti_models)
tutti_fuzzer(onnx SOURCES fuzz_onnx.cpp LIBRARIES tutti_models)
tutti_fuzzer(forests SOURCES fuzz_forests.cpp LIBRARIES tutti_models)
