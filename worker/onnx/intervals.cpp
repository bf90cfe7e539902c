#include "worker/onnx/intervals.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <optional>

namespace tutti::onnx {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLargest = std::numeric_limits<float>::max();

/// The smallest float that is >= value.
float ceiling(double value) {
  if (value > static_cast<double>(kLargest)) return kInfinity;
  if (value < -static_cast<double>(kLargest)) return std::isinf(value) ? -kInfinity : -kLargest;
  const auto near = static_cast<float>(value);
  return static_cast<double>(near) >= value ? near + 0.0F : std::nextafter(near, kInfinity);
}

/// The smallest float that is > value; nothing where there is none.
std::optional<float> above(double value) {
  const float least = ceiling(value);
  if (static_cast<double>(least) > value) return least;
  if (least == kInfinity) return std::nullopt;
  return std::nextafter(least, kInfinity);
}

/// Turns the truth over at `bound`: a second time at the same place undoes the first.
void turn(Intervals& intervals, float bound) {
  if (!intervals.bounds.empty() && intervals.bounds.back() == bound) {
    intervals.bounds.pop_back();
  } else {
    intervals.bounds.push_back(bound);
  }
}

/// Only this number is true. One that no float equals is never met.
void add_member(Intervals& intervals, double member) {
  const float number = ceiling(member);
  if (static_cast<double>(number) != member) return;
  turn(intervals, number);
  if (const std::optional<float> after = above(member)) turn(intervals, *after);
}

void add_members(Intervals& intervals, std::span<const double> members) {
  std::vector<double> sorted(members.begin(), members.end());
  std::ranges::sort(sorted);
  const auto repeated = std::ranges::unique(sorted);
  sorted.erase(repeated.begin(), repeated.end());
  for (const double member : sorted) add_member(intervals, member);
}

}  // namespace

void find_intervals(const Branch& branch, std::span<const double> members, Intervals& intervals) {
  intervals.bounds.clear();
  intervals.first = false;
  intervals.missing = branch.missing_is_true;
  switch (branch.comparison) {
    case Comparison::leq:
    case Comparison::gt:
      intervals.first = branch.comparison == Comparison::leq;
      if (const std::optional<float> bound = above(branch.value)) turn(intervals, *bound);
      break;
    case Comparison::lt:
    case Comparison::gte:
      intervals.first = branch.comparison == Comparison::lt;
      turn(intervals, ceiling(branch.value));
      break;
    case Comparison::eq:
    case Comparison::neq:
      intervals.first = branch.comparison == Comparison::neq;
      add_member(intervals, branch.value);
      break;
    case Comparison::member:
      add_members(intervals, members);
      break;
  }
  if (intervals.bounds.empty() && intervals.missing != intervals.first) {
    // The same for every number, and NaN elsewhere: no number is below minus infinity.
    intervals.bounds.push_back(-kInfinity);
    intervals.first = intervals.missing;
  }
  assert(std::ranges::is_sorted(intervals.bounds));
}

}  // namespace tutti::onnx
