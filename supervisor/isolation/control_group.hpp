// A control group of the kernel's around all processes of a member: what they may use together, and whether
// the kernel ended one of them for it.
//
// Made only where a config limits memory, cores or the share of them: everything else the worker's own limits
// do. Works with cgroup v1 (one folder for each controller, below our own group) and v2 (one folder, below
// our own group or beside it, wherever controllers are handed down: a group of v2 with processes in it cannot
// hand down any, and which ones are handed down is the machine's to say, not ours). What this process may not
// make is left out, and said in walls(). Limits are written before the first process joins. Whatever a worker
// forks stays inside.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/cage.hpp"

namespace tutti {

struct GroupLimits {
  std::optional<std::uint64_t> memory_bytes;  // of all processes together
  std::optional<double> cpu_cores;
  std::optional<double> cpu_share;         // of a busy processor, against 1 for a group without it
  std::optional<std::uint32_t> processes;  // and threads
  [[nodiscard]] bool any() const noexcept { return memory_bytes || cpu_cores || cpu_share || processes; }
};

class ControlGroup {
 public:
  ControlGroup() = default;
  ControlGroup(ControlGroup&& other) noexcept;
  ControlGroup& operator=(ControlGroup&& other) noexcept;
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;
  /// Its processes must be gone; then the folders are taken away.
  ~ControlGroup() { remove(); }

  /// As much of it as can be made; nothing at all where nothing is limited.
  static ControlGroup create(const GroupLimits& limits);

  /// The limits that hold for whoever joins.
  [[nodiscard]] Walls walls() const noexcept;
  /// What stood in the way of the last wall that was wanted and is not there: "mkdir /sys/fs/cgroup/…:
  /// Permission denied".
  [[nodiscard]] const std::string& obstacle() const noexcept { return obstacle_; }
  /// Puts a process and all that it will fork inside. Where it cannot join, those limits do not hold.
  void add(pid_t pid);
  /// Processes of it that the kernel has ended because of their memory, so far.
  [[nodiscard]] std::uint64_t memory_kills() const;

 private:
  void remove() noexcept;

  struct Folder {
    std::string path;
    Walls walls;
  };

  std::vector<Folder> folders_;
  std::string obstacle_;
  std::string memory_events_;  // the file that counts; "" where memory is not limited
};

/// Takes away the groups of supervisors that are dead: a supervisor that is killed cannot do it itself.
void remove_stale_groups();

}  // namespace tutti
