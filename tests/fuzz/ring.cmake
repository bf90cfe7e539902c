# The supervisor's reading of `up`; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
tutti_fuzzer(ring SOURCES fuzz_ring.cpp LIBRARIES tutti_core tutti_shared)
