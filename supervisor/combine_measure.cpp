// How far the votes lie apart, and how far from the answer. Kept apart from the rules: the answer may come
// from elsewhere (a stacking model in an isolate of its own, the last resort), and is measured all the same.
//
// The entropy is Shannon's (1948), of the mean vote: it grows when members are unsure and when they differ.
#include <Eigen/Core>
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <limits>

#include "supervisor/combine.hpp"

namespace tutti {
namespace {

float rounded(double value) {
  return static_cast<float>(std::min(value, double{std::numeric_limits<float>::max()}));
}

std::ptrdiff_t top_of(std::span<const float> row) { return std::ranges::max_element(row) - row.begin(); }

// Of a mean vote, over log(classes). What is not a distribution is read as the nearest one, as in decide().
double entropy_of(Eigen::Ref<Eigen::ArrayXd> row) {
  const double classes = static_cast<double>(row.size());
  if (row.size() < 2) return 0;
  row = row.max(0.0);
  const double sum = row.sum();
  if (!(sum > 0)) return 1;
  row /= sum;
  // p log p goes to 0 with p: the guard keeps log() finite and the product 0.
  const double entropy = -(row * row.max(std::numeric_limits<double>::min()).log()).sum();
  return std::clamp(entropy / std::log(classes), 0.0, 1.0);
}

}  // namespace

void Combiner::measure(const Parts& parts, const Combined& combined) {
  assert(combined.answer.size() >= std::size_t{parts.rows} * outputs_);
  assert(combined.spread.empty() || combined.spread.size() >= parts.rows);
  assert(combined.disagreement.empty() || combined.disagreement.size() >= parts.rows);
  find_voters(parts);
  if (task_ == Task::regression) {
    measure_regression(parts.rows, combined);
  } else {
    measure_classification(parts.rows, combined);
  }
}

void Combiner::measure_regression(std::uint32_t rows, const Combined& combined) {
  for (std::size_t row = 0; row < rows; ++row) {
    double mean = 0;
    double least = voters_.front().votes[row];
    double largest = least;
    for (const Voter& voter : voters_) {
      const double vote = voter.votes[row];
      mean += voter.weight * vote;
      least = std::min(least, vote);
      largest = std::max(largest, vote);
    }
    double variance = 0;
    for (const Voter& voter : voters_) {
      const double difference = voter.votes[row] - mean;
      variance += voter.weight * difference * difference;
    }
    if (!combined.spread.empty()) combined.spread[row] = rounded(std::sqrt(variance));
    if (!combined.disagreement.empty()) combined.disagreement[row] = rounded(largest - least);
  }
}

void Combiner::measure_classification(std::uint32_t rows, const Combined& combined) {
  const Eigen::Index outputs = static_cast<Eigen::Index>(outputs_);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t first = row * outputs_;
    if (!combined.spread.empty()) {
      Eigen::Map<Eigen::ArrayXd> mean(row_.data(), outputs);
      mean.setZero();
      for (const Voter& voter : voters_) {
        mean += voter.weight * Eigen::Map<const Eigen::ArrayXf>(voter.votes + first, outputs).cast<double>();
      }
      combined.spread[row] = rounded(entropy_of(mean));
    }
    if (!combined.disagreement.empty()) {
      const std::ptrdiff_t top = top_of(combined.answer.subspan(first, outputs_));
      double differing = 0;
      for (const Voter& voter : voters_) {
        if (top_of({voter.votes + first, outputs_}) != top) differing += voter.weight;
      }
      combined.disagreement[row] = rounded(std::min(differing, 1.0));
    }
  }
}

}  // namespace tutti
