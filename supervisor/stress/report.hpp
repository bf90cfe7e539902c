// A stress run's report: a table for people, JSON for programs, one HTML file for whoever was not there.
#pragma once

#include <string>

#include "supervisor/stress/stress.hpp"

namespace tutti::stress {

/// The machine and the build, for whoever compares two reports.
struct Machine {
  std::string processor;
  unsigned cores = 0;
  std::string kernel;
  std::string version;  // of tutti
  std::string compiler;
  std::string when;  // UTC

  static Machine here();
};

std::string to_json(const StressReport& report, const Machine& machine);
/// One file, no network, no script: reads in light and dark, and on paper.
std::string to_html(const StressReport& report, const Machine& machine);

/// What became of the answers, in a word: "right", or "1 lost, 2 wrong".
std::string answers_text(const Effects& effects);

/// "1.23 ms"; "-" for none.
std::string time_text(std::optional<Duration> time);

}  // namespace tutti::stress
