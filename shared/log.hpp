// Logging: one logger an ensemble, and a strainer for what workers print.
//
//   worker's stdout, stderr ──pipe──▶ LineStrainer ──▶ "boosted/0: text" through the ensemble's logger
//
// A worker's output is a stranger's: lines are cut at kLogLineMax, made printable, and beyond
// kLogBytesPerSecondMax they are counted instead of logged, so that a flood costs neither disk nor time.
#pragma once

#include <spdlog/logger.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "shared/limits.hpp"

namespace tutti {

/// A logger to standard error: "12:30:01.123 warning boosted/0: text". Not registered globally.
/// The level is spdlog's.
std::shared_ptr<spdlog::logger> make_logger(const std::string& name, spdlog::level::level_enum level);

/// Replaces everything outside printable ASCII by '?', so that a stranger's text cannot forge a log line or
/// drive a terminal.
std::string printable(std::string_view text);

/// Splits a stream into bounded lines within a bounded rate.
class LineStrainer {
 public:
  using Line = std::function<void(std::string_view)>;

  /// Takes the next bytes; calls `line` for each line that may be logged, and once a second at most with
  /// "dropped N lines" after a flood. `now` is any steady clock.
  void feed(std::string_view bytes, std::chrono::nanoseconds now, const Line& line);
  /// The stream has ended: what is left without a line break, and what was dropped.
  void finish(const Line& line);
  /// True while the current second's budget is used up.
  [[nodiscard]] bool flooded() const noexcept { return budget_ == 0; }
  [[nodiscard]] std::uint64_t lines_dropped() const noexcept { return dropped_total_; }

 private:
  void emit(const Line& line);
  void report(const Line& line);

  std::string partial_;
  bool cut_ = false;  // the current line was longer than kLogLineMax
  std::chrono::nanoseconds window_ends_{};
  std::size_t budget_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t dropped_total_ = 0;
};

}  // namespace tutti
