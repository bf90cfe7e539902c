# What workers say: in `up`, and on the control socket; see tutti_fuzzer() in tests/fuzz/CMakeLists.txt.
tutti_fuzzer(ring SOURCES fuzz_ring.cpp LIBRARIES tutti_core tutti_shared)
tutti_fuzzer(notice SOURCES fuzz_notice.cpp LIBRARIES tutti_core tutti_shared)
