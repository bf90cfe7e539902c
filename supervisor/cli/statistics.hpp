// What a run learns beside the answers: scores against the true values, latencies, votes, who was missing
// where.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/config/config.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {

/// Accuracy for classification; R² and RMSE for regression. Rows without a true value are left out.
class Score {
 public:
  explicit Score(Task task) : task_(task) {}
  /// answer f32 [rows][outputs], targets [rows].
  void add(std::span<const float> answer, std::uint32_t outputs, std::span<const double> targets);
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  /// Accuracy, or R² (1 - residual / total sum of squares; NaN below two different targets).
  [[nodiscard]] double value() const;
  /// Root mean squared error, for regression.
  [[nodiscard]] double rmse() const;

 private:
  Task task_;
  std::uint64_t rows_ = 0;
  std::uint64_t right_ = 0;
  double squared_error_ = 0;
  double mean_ = 0;   // of the targets, Welford (Technometrics 4(3), 1962)
  double total_ = 0;  // sum of squares about the mean
};

struct MemberStatistics {
  MemberStatistics(std::string its_name, Task task) : name(std::move(its_name)), score(task) {}
  std::string name;
  Score score;
  std::vector<double> latencies_ns;  // of requests that it voted on
  double compute_ns = 0;
  std::uint64_t rows_voted = 0;
  std::uint64_t rows_missed = 0;
};

/// Rows in a row that lack the same members for the same reasons.
struct DegradedRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::string missing;  // "boosted: crashed: SIGKILL"
};

class Statistics {
 public:
  Statistics(const EnsembleConfig& config, bool scored);

  /// One answered (or finally unanswered) request.
  void add(const Prediction& prediction, bool answered, std::uint64_t first_row,
           std::span<const double> targets);

  /// In the config's order; members that a reload brought stand behind them.
  [[nodiscard]] const std::vector<MemberStatistics>& members() const noexcept { return members_; }
  [[nodiscard]] const Score& ensemble() const noexcept { return ensemble_; }
  [[nodiscard]] const std::vector<DegradedRange>& degraded() const noexcept { return degraded_; }
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t rows_unanswered() const noexcept { return rows_unanswered_; }
  [[nodiscard]] std::uint64_t rows_degraded() const noexcept { return rows_degraded_; }
  [[nodiscard]] double mean_disagreement() const noexcept {
    return rows_ > rows_unanswered_ ? disagreement_ / static_cast<double>(rows_ - rows_unanswered_) : 0;
  }

 private:
  MemberStatistics& member(std::string_view name, std::size_t place);

  Task task_;
  bool scored_;
  std::vector<MemberStatistics> members_;
  Score ensemble_;
  std::vector<DegradedRange> degraded_;
  std::uint64_t rows_ = 0;
  std::uint64_t rows_unanswered_ = 0;
  std::uint64_t rows_degraded_ = 0;
  double disagreement_ = 0;
};

/// The q-quantile (nearest rank) of values, which it may reorder; 0 of none.
double quantile(std::vector<double>& values, double q);

/// Who is missing from a prediction, "boosted" and "crashed: SIGKILL".
std::vector<std::pair<std::string, std::string>> missing_votes(const Prediction& prediction);

}  // namespace tutti::cli
