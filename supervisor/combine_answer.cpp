// The rules. Each fills one tile of the answer in double; decide() scales it where it must and rounds it.
//
//   voters' rows ──one rule──▶ tile [tile rows][outputs] of double ──sum to 1?──▶ clamped ──▶ float32 answer
//
// A tile is some hundred cells, so that it and the votes it is made from stay in cache while a rule passes
// over them more than once. All arithmetic over a tile is Eigen's, on maps of memory that others own.
#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

#include "supervisor/combine.hpp"

namespace tutti {
namespace {

using Cells = Eigen::Map<Eigen::ArrayXd>;
using ConstCells = Eigen::Map<const Eigen::ArrayXd>;
using Votes = Eigen::Map<const Eigen::ArrayXf>;

Eigen::Index to_index(std::size_t count) { return static_cast<Eigen::Index>(count); }

// Makes a row a distribution. A row of nothing but zeros says nothing: every class is as likely.
void scale_to_one(Cells row) {
  row = row.max(0.0);
  const double sum = row.sum();
  if (sum > 0) {
    row /= sum;
  } else {
    row.setConstant(1.0 / static_cast<double>(row.size()));
  }
}

// Scores to probabilities. The largest is subtracted first, so that exp() overflows for no score.
void softmax(Cells row) {
  row = (row - row.maxCoeff()).exp();
  row /= row.sum();
}

bool scaled_to_one(CombineRule rule) {
  return rule == CombineRule::median || rule == CombineRule::trimmed_mean || rule == CombineRule::minimum ||
         rule == CombineRule::maximum || rule == CombineRule::geometric_mean;
}

}  // namespace

struct Combiner::Tile {
  std::size_t first_cell;  // in a part and in the answer
  std::uint32_t rows;
  std::uint32_t outputs;
  double* data;

  [[nodiscard]] std::size_t size() const { return std::size_t{rows} * outputs; }
  [[nodiscard]] Cells cells() const { return {data, to_index(size())}; }
  [[nodiscard]] Cells row(std::uint32_t index) const {
    return {data + std::size_t{index} * outputs, to_index(outputs)};
  }
  [[nodiscard]] Votes votes(const Voter& voter) const { return {voter.votes + first_cell, to_index(size())}; }
  [[nodiscard]] std::span<const float> votes(const Voter& voter, std::uint32_t index) const {
    return {voter.votes + first_cell + std::size_t{index} * outputs, outputs};
  }
};

void Combiner::decide(const Parts& parts, std::span<float> answer) {
  assert(answer.size() >= std::size_t{parts.rows} * outputs_);
  find_voters(parts);
  for (std::uint32_t first = 0; first < parts.rows; first += tile_rows_) {
    const Tile tile{.first_cell = std::size_t{first} * outputs_,
                    .rows = std::min(tile_rows_, parts.rows - first),
                    .outputs = outputs_,
                    .data = tile_.data()};
    if (config_.rule == CombineRule::stacking) {
      stack(parts, tile);
    } else {
      decide_tile(tile);
    }
    if (task_ == Task::classification && scaled_to_one(config_.rule)) {
      for (std::uint32_t row = 0; row < tile.rows; ++row) scale_to_one(tile.row(row));
    }
    constexpr double kLargest = std::numeric_limits<float>::max();
    Eigen::Map<Eigen::ArrayXf>(answer.data() + tile.first_cell, to_index(tile.size())) =
        tile.cells().min(kLargest).max(-kLargest).cast<float>();
  }
}

void Combiner::decide_tile(const Tile& tile) {
  switch (config_.rule) {
    case CombineRule::mean:
      return mean_of(tile, false);
    case CombineRule::weighted_mean:
    case CombineRule::soft_vote:
      return mean_of(tile, true);
    case CombineRule::median:
    case CombineRule::trimmed_mean:
      return sorted_of(tile);
    case CombineRule::minimum:
    case CombineRule::maximum:
      return extreme_of(tile);
    case CombineRule::geometric_mean:
      return geometric_of(tile);
    case CombineRule::hard_vote:
      return hard_vote_of(tile);
    case CombineRule::rank_mean:
      return rank_mean_of(tile);
    case CombineRule::stacking:
      break;
  }
  assert(false && "stacking reads members, not votes");
}

// mean, weighted_mean; for probabilities the linear opinion pool (Stone 1961, "The Opinion Pool"), which
// classifiers know as the soft vote. A missing vote's weight goes to the others in proportion.
void Combiner::mean_of(const Tile& tile, bool weighted) {
  const double equal = 1.0 / static_cast<double>(voters_.size());
  tile.cells().setZero();
  for (const Voter& voter : voters_) {
    tile.cells() += (weighted ? voter.weight : equal) * tile.votes(voter).cast<double>();
  }
}

// minimum, maximum (Kittler et al. 1998, "On Combining Classifiers"). Of those who voted.
void Combiner::extreme_of(const Tile& tile) {
  tile.cells() = tile.votes(voters_.front()).cast<double>();
  for (const Voter& voter : std::span(voters_).subspan(1)) {
    if (config_.rule == CombineRule::minimum) {
      tile.cells() = tile.cells().min(tile.votes(voter).cast<double>());
    } else {
      tile.cells() = tile.cells().max(tile.votes(voter).cast<double>());
    }
  }
}

// trimmed_mean (Tukey 1962, "The Future of Data Analysis"); the median is what is left when all but the
// middle one or two votes are trimmed. The number of votes is the number of those who voted.
//
// The votes on a cell are sorted by Batcher's odd-even merge network (1968; Knuth, TAOCP 3,
// algorithm 5.2.2M): which two votes meet next depends on their number only, so one step sorts two votes of
// many cells at once, without a branch. Numbers that do not compare (NaN) end up somewhere, and nothing else
// happens.
void Combiner::sorted_of(const Tile& tile) {
  using Sorted = Eigen::Map<Eigen::ArrayXf>;
  const std::size_t count = voters_.size();
  // The small addition undoes rounding: 0.29 * 100 is 28.999….
  const std::size_t cut =
      config_.rule == CombineRule::median
          ? (count - 1) / 2
          : std::min((count - 1) / 2,
                     static_cast<std::size_t>(config_.trim * static_cast<double>(count) + 1e-9));

  for (std::size_t first = 0; first < tile.size(); first += kSortedCells) {
    const Eigen::Index cells = to_index(std::min(kSortedCells, tile.size() - first));
    const auto sorted = [&](std::size_t i) { return Sorted(sorted_.data() + i * kSortedCells, cells); };
    for (std::size_t i = 0; i < count; ++i)
      sorted(i) = tile.votes(voters_[i]).segment(to_index(first), cells);

    for (std::size_t p = 1; p < count; p *= 2) {
      for (std::size_t k = p; k >= 1; k /= 2) {
        for (std::size_t low = k % p; low + k < count; ++low) {
          const bool starts_pair = (low - k % p) / k % 2 == 0;
          if (!starts_pair || low / (2 * p) != (low + k) / (2 * p)) continue;
          const Eigen::Array<float, Eigen::Dynamic, 1, 0, kSortedCells, 1> smaller =
              sorted(low).min(sorted(low + k));
          sorted(low + k) = sorted(low).max(sorted(low + k));
          sorted(low) = smaller;
        }
      }
    }

    auto out = tile.cells().segment(to_index(first), cells);
    out.setZero();
    for (std::size_t i = cut; i < count - cut; ++i) out += sorted(i).cast<double>();
    out /= static_cast<double>(count - 2 * cut);
  }
}

// geometric_mean: the logarithmic opinion pool (Genest and Zidek 1986, "Combining Probability
// Distributions"). A missing vote's weight goes to the others in proportion.
void Combiner::geometric_of(const Tile& tile) {
  if (task_ == Task::classification) {
    tile.cells().setZero();
    for (const Voter& voter : voters_) {
      tile.cells() += voter.weight * tile.votes(voter).cast<double>().max(kGeometricFloor).log();
    }
    for (std::uint32_t row = 0; row < tile.rows; ++row) softmax(tile.row(row));
    return;
  }
  // It exists where no vote is negative, and is 0 where one is 0; elsewhere the arithmetic mean stands in.
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    double mean = 0;
    double log_mean = 0;
    double least = std::numeric_limits<double>::infinity();
    for (const Voter& voter : voters_) {
      const double vote = tile.votes(voter, row).front();
      least = std::min(least, vote);
      mean += voter.weight * vote;
      if (vote > 0) log_mean += voter.weight * std::log(vote);
    }
    tile.row(row) = least > 0 ? std::exp(log_mean) : least == 0 ? 0.0 : mean;
  }
}

// hard_vote: weighted plurality (Lam and Suen 1997, "Application of Majority Voting to Pattern Recognition").
// A voter's class is the first of its largest; a missing vote's weight goes to the others in proportion.
//
// The answer's label is the first of its largest numbers, so the winner of a tie must be the largest: it is
// lifted by one step of float32, 6e-8 at most. Sums that differ by rounding only, such as 0.1 + 0.2 and 0.3,
// are a tie, whatever the order of the members.
void Combiner::hard_vote_of(const Tile& tile) {
  constexpr double kTie = 1e-9;
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    Cells shares = tile.row(row);
    shares.setZero();
    for (const Voter& voter : voters_) {
      const std::span<const float> votes = tile.votes(voter, row);
      shares[std::ranges::max_element(votes) - votes.begin()] += voter.weight;
    }
    const double most = shares.maxCoeff();
    const auto ties = [&](Eigen::Index index) { return shares[index] >= most - kTie; };
    Eigen::Index winner = -1;
    double winner_mean = 0;
    double others = 0;
    for (Eigen::Index index = 0; index < shares.size(); ++index) {
      if (!ties(index)) continue;
      double mean = 0;
      for (const Voter& voter : voters_) {
        mean += voter.weight * tile.votes(voter, row)[static_cast<std::size_t>(index)];
      }
      const bool better = mean > winner_mean + 1e-12 * std::abs(winner_mean);
      if (winner < 0 || better) {
        if (winner >= 0) others = std::max(others, shares[winner]);
        winner = index;
        winner_mean = mean;
      } else {
        others = std::max(others, shares[index]);
      }
    }
    const float below = static_cast<float>(others);
    if (static_cast<float>(shares[winner]) <= below) shares[winner] = std::nextafter(below, 2.0F);
  }
}

// rank_mean: the Borda count (de Borda 1784; Ho, Hull and Srihari 1994, "Decision Combination in Multiple
// Classifier Systems"). Each voter ranks the classes of a row, the least likely being 1, equals sharing the
// mean of their ranks; the weighted mean of the ranks is scaled to sum 1. Missing votes rank nothing.
void Combiner::rank_mean_of(const Tile& tile) {
  const double all_ranks = 0.5 * static_cast<double>(outputs_) * (static_cast<double>(outputs_) + 1);
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    Cells ranks = tile.row(row);
    ranks.setZero();
    for (const Voter& voter : voters_) {
      const std::span<const float> votes = tile.votes(voter, row);
      // A sort needs an order even of votes that should not be here.
      const auto key = [&](std::uint32_t i) {
        return std::isnan(votes[i]) ? -std::numeric_limits<float>::infinity() : votes[i];
      };
      std::iota(order_.begin(), order_.end(), 0U);
      std::ranges::sort(order_, {}, key);
      for (std::size_t first = 0, end = 0; first < order_.size(); first = end) {
        while (end < order_.size() && key(order_[end]) == key(order_[first])) ++end;
        const double rank = 0.5 * static_cast<double>(first + 1 + end);
        for (std::size_t i = first; i < end; ++i) ranks[order_[i]] += voter.weight * rank;
      }
    }
    ranks /= all_ranks;
  }
}

// stacking, linear (Wolpert 1992, "Stacked Generalization"). The model was fitted on all members' outputs, so
// a missing member's inputs are replaced by its best stand-in at hand: the weighted mean of those who voted.
void Combiner::stack(const Parts& parts, const Tile& tile) {
  using Coefficients =
      Eigen::Map<const Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;
  assert(config_.model.empty() && "an isolate answers for a stacking model of its own");
  const bool complete = std::ranges::all_of(parts.answered, [](bool answered) { return answered; });
  // The tile holds the stand-in first and the scores, which are made of it, then.
  if (!complete) mean_of(tile, true);
  const Coefficients coefficients(coefficients_.data(), to_index(outputs_), to_index(row_.size()));
  const ConstCells intercept(config_.intercept.data(), to_index(outputs_));
  for (std::uint32_t row = 0; row < tile.rows; ++row) {
    Cells scores = tile.row(row);
    for (std::size_t member = 0; member < parts.answered.size(); ++member) {
      Cells input(row_.data() + member * outputs_, to_index(outputs_));
      if (parts.answered[member]) {
        const float* votes =
            parts.data + member * parts.model_stride + tile.first_cell + std::size_t{row} * outputs_;
        input = Votes(votes, to_index(outputs_)).cast<double>();
      } else {
        input = scores;
      }
    }
    scores.matrix().noalias() =
        coefficients * Eigen::Map<const Eigen::VectorXd>(row_.data(), to_index(row_.size()));
    scores += intercept;
    if (task_ == Task::classification) softmax(scores);
  }
}

}  // namespace tutti
