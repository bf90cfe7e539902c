#include "supervisor/cli/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tutti::cli {

void Score::add(std::span<const float> answer, std::uint32_t outputs, std::span<const double> targets) {
  for (std::size_t row = 0; row < targets.size(); ++row) {
    const double target = targets[row];
    if (std::isnan(target)) continue;
    ++rows_;
    if (task_ == Task::classification) {
      const auto values = answer.subspan(row * outputs, outputs);
      const auto label = std::ranges::max_element(values) - values.begin();
      right_ += static_cast<double>(label) == target ? 1 : 0;
      continue;
    }
    const double error = static_cast<double>(answer[row]) - target;
    squared_error_ += error * error;
    const double before = target - mean_;
    mean_ += before / static_cast<double>(rows_);
    total_ += before * (target - mean_);
  }
}

double Score::value() const {
  if (rows_ == 0) return std::numeric_limits<double>::quiet_NaN();
  if (task_ == Task::classification) return static_cast<double>(right_) / static_cast<double>(rows_);
  return total_ > 0 ? 1 - squared_error_ / total_ : std::numeric_limits<double>::quiet_NaN();
}

double Score::rmse() const { return rows_ > 0 ? std::sqrt(squared_error_ / static_cast<double>(rows_)) : 0; }

Statistics::Statistics(const EnsembleConfig& config, bool scored)
    : task_(config.task), scored_(scored), ensemble_(config.task) {
  for (const MemberConfig& member : config.members) members_.emplace_back(member.name, config.task);
}

// Nearly always where it is looked for first: only a reload moves members.
MemberStatistics& Statistics::member(std::string_view name, std::size_t place) {
  if (place < members_.size() && members_[place].name == name) return members_[place];
  const auto found = std::ranges::find(members_, name, &MemberStatistics::name);
  return found != members_.end() ? *found : members_.emplace_back(std::string(name), task_);
}

void Statistics::add(const Prediction& prediction, bool answered, std::uint64_t first_row,
                     std::span<const double> targets) {
  rows_ += prediction.rows;
  for (std::size_t i = 0; i < prediction.votes.size(); ++i) {
    const Vote& vote = prediction.votes[i];
    MemberStatistics& voter = member(vote.member, i);
    (vote.voted() ? voter.rows_voted : voter.rows_missed) += prediction.rows;
    if (!vote.voted()) continue;
    voter.latencies_ns.push_back(static_cast<double>(vote.latency.count()));
    voter.compute_ns += static_cast<double>(vote.compute.count());
    if (scored_) voter.score.add(prediction.part(i).all(), prediction.outputs, targets);
  }
  if (answered) {
    if (scored_) ensemble_.add(prediction.answer(), prediction.outputs, targets);
    for (const float value : prediction.disagreement) disagreement_ += static_cast<double>(value);
  } else {
    rows_unanswered_ += prediction.rows;
  }
  if (!prediction.degraded()) return;
  rows_degraded_ += prediction.rows;
  std::string missing;
  for (const auto& [name, cause] : missing_votes(prediction)) {
    missing += fmt::format("{}{}: {}", missing.empty() ? "" : "; ", name, cause);
  }
  const std::uint64_t last_row = first_row + prediction.rows - 1;
  if (!degraded_.empty() && degraded_.back().last + 1 == first_row && degraded_.back().missing == missing) {
    degraded_.back().last = last_row;
  } else {
    degraded_.push_back({.first = first_row, .last = last_row, .missing = std::move(missing)});
  }
}

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  const auto place =
      values.begin() + static_cast<std::ptrdiff_t>(std::clamp<std::size_t>(rank, 1, values.size()) - 1);
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

std::vector<std::pair<std::string, std::string>> missing_votes(const Prediction& prediction) {
  std::vector<std::pair<std::string, std::string>> missing;
  for (const Vote& vote : prediction.votes) {
    if (vote.voted()) continue;
    std::string cause = describe(vote.fate);
    if (!vote.message.empty()) cause += ": " + vote.message;
    missing.emplace_back(vote.member, std::move(cause));
  }
  return missing;
}

}  // namespace tutti::cli
