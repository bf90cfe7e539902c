#include "supervisor/stress/checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <utility>

namespace tutti::stress {
namespace {

// float32 rounding of the answer and of its parts, with room for sums over many members.
constexpr double kTolerance = 1e-5;

bool same_bits(std::span<const float> one, std::span<const float> other) {
  return std::ranges::equal(
      one, other, {}, [](float x) { return std::bit_cast<std::uint32_t>(x); },
      [](float x) { return std::bit_cast<std::uint32_t>(x); });
}

std::span<const float> part_of(const Prediction& prediction, std::size_t member) {
  const std::size_t cells = std::size_t{prediction.rows} * prediction.outputs;
  return {prediction.parts.data() + member * cells, cells};
}

}  // namespace

Checker::Checker(const EnsembleConfig& config, std::vector<bool> trusted, std::size_t inputs)
    : config_(config), trusted_(std::move(trusted)), known_(inputs) {
  for (auto& members : known_) members.resize(config.members.size());
}

void Checker::learn(std::size_t input, const Prediction& prediction) {
  for (std::size_t member = 0; member < prediction.votes.size(); ++member) {
    if (!prediction.votes[member].voted()) continue;
    const auto part = part_of(prediction, member);
    std::vector<float>& known = known_[input][member];
    if (known.empty()) {
      known.assign(part.begin(), part.end());
    } else if (!same_bits(known, part)) {
      trusted_[member] = false;
    }
  }
}

std::string Checker::check(std::size_t input, bool changed, const Prediction& prediction) const {
  std::string wrong = check_form(prediction);
  if (wrong.empty() && !changed) wrong = check_parts(input, prediction);
  for (std::uint32_t row = 0; row < prediction.rows && wrong.empty(); ++row)
    wrong = check_row(prediction, row);
  return wrong;
}

std::string Checker::check_form(const Prediction& prediction) const {
  const auto voted = std::ranges::count_if(prediction.votes, &Vote::voted);
  if (prediction.votes.size() != config_.members.size()) return "it does not list every member";
  if (voted != prediction.voted)
    return fmt::format("{} voters are listed, {} are counted", voted, prediction.voted);
  for (const Vote& vote : prediction.votes) {
    if (vote.fate.state == VoteState::pending) return fmt::format("{}'s vote is still pending", vote.member);
  }
  return {};
}

std::string Checker::check_parts(std::size_t input, const Prediction& prediction) const {
  for (std::size_t member = 0; member < prediction.votes.size(); ++member) {
    const std::vector<float>& known = known_[input][member];
    if (!prediction.votes[member].voted() || !trusted_[member] || known.empty()) continue;
    if (!same_bits(known, part_of(prediction, member))) {
      return fmt::format("{} answered other numbers than it did before to the same rows",
                         prediction.votes[member].member);
    }
  }
  return {};
}

std::string Checker::check_row(const Prediction& prediction, std::uint32_t row) const {
  const std::size_t outputs = prediction.outputs;
  const std::span<const float> answer = prediction.answer().subspan(row * outputs, outputs);
  if (const auto* value = std::get_if<Classification>(&prediction.value)) {
    const auto top = static_cast<std::uint32_t>(std::ranges::max_element(answer) - answer.begin());
    if (value->labels[row] != top)
      return fmt::format("label {} where class {} is the largest", value->labels[row], top);
  }
  // A stacking model of its own answers what it likes.
  if (config_.combine.rule == CombineRule::stacking && !config_.combine.model.empty()) return {};
  std::vector<std::vector<double>> parts(prediction.votes.size());
  double largest = 1;
  for (std::size_t member = 0; member < parts.size(); ++member) {
    if (!prediction.votes[member].voted()) continue;
    const auto part = part_of(prediction, member).subspan(row * outputs, outputs);
    parts[member].assign(part.begin(), part.end());
    for (const double number : parts[member]) largest = std::max(largest, std::abs(number));
  }
  const std::vector<double> right = recompute(config_, parts);
  for (const double number : right) largest = std::max(largest, std::abs(number));
  for (std::size_t o = 0; o < outputs; ++o) {
    const auto given = static_cast<double>(answer[o]);
    if (std::abs(given - right[o]) <= kTolerance * largest) continue;
    return fmt::format("answer {} where the listed voters make it {}", given, right[o]);
  }
  return {};
}

}  // namespace tutti::stress
