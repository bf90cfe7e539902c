// What the kernel says of a process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace tutti::bench {

struct ProcessFacts {
  std::uint64_t page_faults = 0;  // minor and major
  double cpu_ns = 0;              // in steps of a clock tick, 10 ms
  std::uint64_t sleeps = 0;       // voluntary context switches of its first thread
};
/// Zeros where the process is gone.
ProcessFacts facts_of(pid_t pid);

/// The threads of a process; the children of all its threads.
std::vector<pid_t> threads_of(pid_t pid);
std::vector<pid_t> children_of(pid_t pid);

}  // namespace tutti::bench
