# Fuzzers of config; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
tutti_fuzzer(config SOURCES fuzz_config.cpp LIBRARIES tutti_config)
