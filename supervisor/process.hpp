// A worker process: started with four descriptors and nothing else, watched and reaped by pidfd.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "shared/error.hpp"
#include "shared/region.hpp"
#include "supervisor/core/vote.hpp"

namespace tutti {

/// What a worker is started with.
struct SpawnRequest {
  std::string program;             // absolute path of tutti-worker
  std::array<int, 4> descriptors;  // input, down, up, bell; they become 3, 4, 5, 6
};

/// A running (or dead and unreaped) child. Destroying it kills and reaps.
class Process {
 public:
  Process() = default;
  Process(Process&& other) noexcept { *this = std::move(other); }
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { end(); }

  /// Starts a worker with an empty environment (sanitizer options excepted), standard input closed, its
  /// output in a pipe. Call it from a thread that lives as long as the worker should: PDEATHSIG follows the
  /// thread. posix_spawn shares the address space until exec, so no writable mapping is ever inherited.
  static Result<Process> spawn(const SpawnRequest& request);

  [[nodiscard]] bool running() const noexcept { return pidfd_.is_open(); }
  [[nodiscard]] int pid() const noexcept { return pid_; }
  /// Readable when the process is dead.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  /// The reading end of its standard output and error, non-blocking. To be taken once.
  Descriptor take_output() noexcept { return std::move(output_); }

  void signal(int number) const noexcept;
  /// If dead: reaps it and says how it died. Never blocks.
  std::optional<VoteFate> reap() noexcept;

 private:
  void end() noexcept;
  int pid_ = -1;
  Descriptor pidfd_;
  Descriptor output_;
};

/// Where tutti-worker is: TUTTI_WORKER if set, beside this program, or in the package that this program was
/// built with (packaged_worker.hpp).
/// Errors: system, with the places that were looked at.
Result<std::string> find_worker();

}  // namespace tutti
