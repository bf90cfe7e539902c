// Loading the config anew while a command runs: on SIGHUP, which `tutti reload` sends.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "shared/region.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {

/// While it lives, SIGHUP has the ensemble load its config anew, and people are told how that went. Until
/// there is an ensemble it is noted. A terminal that hangs up is another matter and ends the command as
/// SIGTERM does. One at a time in a program, made before handle_signals().
class ReloadOnHangup {
 public:
  explicit ReloadOnHangup(ConfigOptions config);
  ReloadOnHangup(const ReloadOnHangup&) = delete;
  ReloadOnHangup& operator=(const ReloadOnHangup&) = delete;
  ~ReloadOnHangup();
  /// From now on it reloads this one, which must outlive it. At most once.
  void serve(Ensemble& ensemble);

 private:
  enum class Phase : std::uint8_t { launching, serving, ending };
  void watch();
  void reload();

  Ensemble* ensemble_ = nullptr;  // read by the thread only while serving
  ConfigOptions config_;
  Descriptor hangups_;  // an eventfd: a signal handler can reach nothing else
  bool had_terminal_;
  std::atomic<Phase> phase_{Phase::launching};
  std::thread thread_;
};

}  // namespace tutti::cli
