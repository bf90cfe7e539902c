# Fuzzers of data; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
tutti_fuzzer(csv SOURCES fuzz_csv.cpp LIBRARIES tutti_data)
tutti_fuzzer(npy SOURCES fuzz_npy.cpp LIBRARIES tutti_data)
