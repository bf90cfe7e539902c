# Fuzzers of models; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
