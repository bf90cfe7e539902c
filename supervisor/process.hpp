// A worker process: a child of this one, watched and reaped by pidfd.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "shared/error.hpp"
#include "shared/region.hpp"
#include "supervisor/core/vote.hpp"
#include "supervisor/isolation/control_group.hpp"

namespace tutti {

/// A worker's standard output and error: it writes, the supervisor reads without blocking.
struct OutputPipe {
  Descriptor reading;
  Descriptor writing;
  /// Errors: system.
  static Result<OutputPipe> create();
};

/// What a worker is started with.
struct SpawnRequest {
  std::string program;  // absolute path of tutti-worker
  int control = -1;     // becomes kControlDescriptor
  int output = -1;      // becomes 1 and 2
};

/// A running (or dead and unreaped) child. Destroying it kills and reaps.
///
/// One that leads a group is an anchor: it stays unreaped until its ProcessGroup is gone, so that the group's
/// number cannot become another's.
class Process {
 public:
  Process() = default;
  Process(Process&& other) noexcept { *this = std::move(other); }
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { end(); }

  /// Starts a worker with an empty environment (sanitizer options excepted) and no descriptor beyond those of
  /// the request. Call it from a thread that lives as long as the worker should: PDEATHSIG follows the
  /// thread. posix_spawn shares the address space until exec, so no writable mapping is ever inherited.
  static Result<Process> spawn(const SpawnRequest& request);

  /// Takes charge of a child that another child made for us (CLONE_PARENT).
  /// Errors: protocol (it is no child of ours), system.
  static Result<Process> adopt(pid_t pid);

  [[nodiscard]] bool running() const noexcept { return pidfd_.is_open(); }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Readable when the process is dead.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }

  void set_anchor(bool anchor) noexcept { anchor_ = anchor; }
  /// Another process of the group is its anchor now. If this one is dead already it is reaped.
  void release_anchor() noexcept;
  void signal(int number) const noexcept;
  /// If dead: reaps it, unless it is an anchor, and says how it died. Never blocks.
  std::optional<VoteFate> reap() noexcept;

 private:
  Result<void> open();
  void end() noexcept;
  pid_t pid_ = -1;
  Descriptor pidfd_;
  bool anchor_ = false;
};

/// A spawned process and all that descend from it, known or not: a fork that was never announced, one that
/// was given up. Whoever has to do with one of them holds the group; the last to let go ends what is left.
class ProcessGroup {
 public:
  /// `leader` was spawned, and is an anchor; it has joined `limits`.
  explicit ProcessGroup(pid_t leader, ControlGroup limits) noexcept
      : limits_(std::move(limits)), leader_(leader) {}
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;
  ~ProcessGroup();

  [[nodiscard]] Walls walls() const noexcept { return limits_.walls(); }
  [[nodiscard]] pid_t leader() const noexcept { return leader_; }
  /// True once for each process of it that the kernel ended because of the memory it used.
  bool take_memory_kill();

 private:
  ControlGroup limits_;  // taken away when all processes are gone
  std::uint64_t memory_kills_ = 0;
  pid_t leader_;
};

/// Where tutti-worker is: TUTTI_WORKER if set, beside this program, or in the package that this program was
/// built with (packaged_worker.hpp).
/// Errors: system, with the places that were looked at.
Result<std::string> find_worker();

}  // namespace tutti
