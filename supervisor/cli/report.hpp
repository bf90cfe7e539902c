// What a run tells at its end: a table for people, or JSON for programs.
#pragma once

#include <optional>

#include "supervisor/cli/statistics.hpp"

namespace tutti::cli {

struct RunReport {
  const EnsembleConfig& config;
  Statistics statistics;
  EnsembleStatus status;
  Duration elapsed{};
  bool scored = false;
  bool interrupted = false;
  bool json = false;
  std::optional<Error> error;
};

/// The table goes to standard error; with `json` the summary goes to standard output as well.
void report(RunReport report);

}  // namespace tutti::cli
