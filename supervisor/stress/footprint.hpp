// What this process holds, and what it may have left about: to be the same before and after.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tutti::stress {

struct Footprint {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t regions = 0;   // mappings of shared memory of ours
  std::size_t children = 0;  // zombies included
  std::size_t zombies = 0;
  std::size_t shared_files = 0;    // of tutti's, in /dev/shm
  std::size_t sockets = 0;         // of this process's status
  std::size_t cgroups = 0;         // of tutti's, beneath our own
  std::uint64_t memory_bytes = 0;  // unshared; told, not compared: an allocator keeps what it got

  static Footprint now();
  /// What differs, as "descriptors 12 to 13"; "" if nothing does.
  [[nodiscard]] std::string difference(const Footprint& later) const;
  /// Name and number of everything that is compared.
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> parts() const;
};

}  // namespace tutti::stress
