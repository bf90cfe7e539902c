# Fuzzers of ring; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
