// What others offer for the same: there with a payload, back with a number. Only through installed libraries.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "duo.hpp"
#include "shared/error.hpp"

namespace tutti::bench {

struct PeerMaker {
  std::string name;
  /// Errors: system (not installed, cannot be started).
  Result<std::unique_ptr<Technique>> (*make)(std::size_t payload, bool yields);
};
std::vector<PeerMaker> peer_makers();

/// iceoryx 2.0.3 by polling. Its daemon, RouDi, runs while one of these techniques does.
Result<std::unique_ptr<Technique>> make_iceoryx(std::size_t payload, bool yields);

/// Python's ProcessPoolExecutor with one worker: the medians of its batches.
Result<Samples> process_pool(const Options& options, Placement placement, std::uint32_t features);

/// A program that runs beside the bench; its destructor ends it with SIGTERM, and after 3 s with SIGKILL.
class Program {
 public:
  /// Output goes to `output` ("" : nowhere).
  static Result<Program> start(const std::vector<std::string>& arguments, const std::string& output);
  Program(Program&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Program& operator=(Program&&) = delete;
  ~Program();
  /// True if it ended within the time; its status is then known.
  bool wait(std::chrono::milliseconds time);
  [[nodiscard]] int pid() const noexcept { return pid_; }
  [[nodiscard]] int exit_code() const noexcept { return exit_code_; }
  /// Processor time of it and of its children that it waited for.
  [[nodiscard]] double cpu_ns() const noexcept { return cpu_ns_; }

 private:
  explicit Program(int pid) : pid_(pid) {}
  int pid_;
  int exit_code_ = -1;
  double cpu_ns_ = 0;
};

}  // namespace tutti::bench
