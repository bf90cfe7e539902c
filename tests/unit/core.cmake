# Tests of the supervisor's decisions and of how it reads a stranger's memory.
tutti_test(core_test
  SOURCES unit/isolate_test.cpp unit/core_test.cpp unit/core_policy_test.cpp unit/hunt_test.cpp unit/band_test.cpp unit/consume_test.cpp
  LIBRARIES tutti_core tutti Threads::Threads)
