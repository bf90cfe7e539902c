# Tests of shared/; see tutti_test() in tests/CMakeLists.txt.
tutti_test(shared_test
  SOURCES unit/ring_test.cpp unit/region_test.cpp unit/control_test.cpp unit/message_test.cpp unit/doorbell_test.cpp unit/log_test.cpp
  LIBRARIES tutti_shared Threads::Threads)
