// Loading the config anew while a command runs: on SIGHUP, which `tutti reload` sends.
#pragma once

#include <atomic>
#include <thread>

#include "shared/region.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {

/// While it lives, SIGHUP has the ensemble load its config anew, and people are told how that went. A
/// terminal that hangs up is another matter and ends the command as SIGTERM does. One at a time in a program.
class ReloadOnHangup {
 public:
  ReloadOnHangup(Ensemble& ensemble, ConfigOptions config);
  ReloadOnHangup(const ReloadOnHangup&) = delete;
  ReloadOnHangup& operator=(const ReloadOnHangup&) = delete;
  ~ReloadOnHangup();

 private:
  void watch();
  void reload();

  Ensemble& ensemble_;
  ConfigOptions config_;
  Descriptor hangups_;  // an eventfd: a signal handler can reach nothing else
  bool had_terminal_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace tutti::cli
