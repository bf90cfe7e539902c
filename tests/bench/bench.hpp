// tutti_bench: what a hand-over costs, against what the machine and the peers do in the same seconds.
//
//   case ──samples, interleaved with their base──▶ Figure ──▶ Report ──▶ tables, JSON
//
// A time alone means nothing here: hosts move cores and share them. So every figure is a ratio of one run,
// the median over repeats in which the base was measured right before and right after. The base of what
// crosses cores is R, the round trip of one cache line bounced between two pinned processes.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::bench {

struct Options {
  bool quick = false;
  std::string scratch;     // a directory that is removed at the end
  std::vector<int> cores;  // that this process may use
  double until_ns = 0;     // now_ns() from which on nothing more is begun
  /// Repeats of an interleaved measurement.
  [[nodiscard]] int repeats() const noexcept { return quick ? 5 : 15; }
};

class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  [[nodiscard]] bool empty() const noexcept { return values_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return values_.size(); }
  /// Linear between neighbours; NaN of none.
  [[nodiscard]] double quantile(double q) const;
  [[nodiscard]] double median() const { return quantile(0.5); }

 private:
  std::vector<double> values_;
};

struct Goal {
  enum class Kind { at_most, at_least } kind = Kind::at_most;
  double bound = 0;
};

/// One line of a table.
struct Figure {
  std::string name;
  std::string unit;  // of value: "ns", "rows/s", "" for a count
  Samples value;
  Samples ratio;             // empty: there is none
  std::string against;       // what the ratio is to: "R"
  std::optional<Goal> goal;  // of the ratio, or of the value where there is no ratio
  std::string note;
};

class Report {
 public:
  /// Begins the table of a case.
  void section(std::string_view name, std::string_view title);
  /// Adds a line and prints it.
  void add(Figure figure);
  /// A line that could not be measured, and why.
  void skip(std::string_view name, std::string_view reason);
  [[nodiscard]] std::string json(const Options& options) const;

 private:
  struct Line {
    Figure figure;
    std::string skipped;
  };
  struct Section {
    std::string name;
    std::string title;
    std::vector<Line> lines;
  };
  std::vector<Section> sections_;
};

using Case = void (*)(Report& report, const Options& options);
void line_case(Report& report, const Options& options);
void dispatch_case(Report& report, const Options& options);
void peers_case(Report& report, const Options& options);
void one_core_case(Report& report, const Options& options);
void fan_out_case(Report& report, const Options& options);
void input_case(Report& report, const Options& options);
void busy_case(Report& report, const Options& options);
void restart_case(Report& report, const Options& options);
void rows_case(Report& report, const Options& options);

inline double now_ns() noexcept {
  return static_cast<double>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace tutti::bench
