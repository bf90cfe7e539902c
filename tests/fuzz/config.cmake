# Fuzzers of config; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
