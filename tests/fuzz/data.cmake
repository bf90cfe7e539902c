# Fuzzers of data; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
