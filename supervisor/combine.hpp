// Votes in, one answer out.
//
//   parts [models][rows][outputs] ──rule, weights, who answered──▶ answer [rows][outputs], spread,
//   disagreement
//
// Every rule here is the textbook one; its source stands at its name in combine_answer.cpp. What holds for
// all:
//
// 1. The part of a member that did not vote is never read. Weights renormalise over those who voted.
// 2. A member of weight 0 votes (it is listed, it counts for the quorum) but does not count: under no rule
//    does it move the answer, the spread or the disagreement. If nobody else voted, all voters count equally.
//    A linear stacking model is the exception: its coefficients are the weights, and it reads every voter.
// 3. Sums are made in double, the answer is float32. Finite votes give a finite answer: what float32 cannot
//    hold becomes its largest value. Votes that are not finite are rejected before they come here; if one
//    does come, the answer is worthless and memory stays whole.
// 4. Permuting the members with their weights changes an answer by rounding at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "shared/error.hpp"
#include "shared/tensor.hpp"
#include "supervisor/config/config.hpp"

namespace tutti {

/// What the members answered.
struct Parts {
  const float* data = nullptr;     // f32 [models][rows][outputs], models `model_stride` floats apart
  std::size_t model_stride = 0;    // >= rows * outputs
  std::span<const bool> answered;  // bool [models]; false: that part is not read
  std::uint32_t rows = 0;
};

/// What comes out. All spans belong to the caller and may not alias the parts; longer ones are filled in
/// part.
struct Combined {
  std::span<float> answer;        // f32 [rows][outputs]
  std::span<float> spread;        // f32 [rows]: see Combiner::measure
  std::span<float> disagreement;  // f32 [rows]: see Combiner::measure
};

/// One ensemble's rule with its scratch memory. Not shared between threads.
class Combiner {
 public:
  /// weights  one for each model, in the config's order, finite, >= 0, not all zero
  /// outputs  classes, or 1 for regression
  /// Errors: bad_config (coefficients of the wrong shape, trim out of range, a rule that does not fit the
  /// task, all weights zero).
  static Result<Combiner> create(const CombineConfig& config, Task task, std::vector<double> weights,
                                 std::uint32_t outputs, std::uint32_t rows_max);

  /// decide(), then measure(). Not for a stacking model of its own (asserted): see stacking_input().
  void combine(const Parts& parts, const Combined& combined);

  /// The answer alone. At least one model must have answered (asserted); rows <= rows_max. Allocates nothing.
  ///
  ///   mean, weighted_mean, soft_vote   the (weighted) arithmetic mean of the votes
  ///   median, trimmed_mean             unweighted; trimmed_mean cuts floor(trim * votes) at each end, so few
  ///   minimum, maximum                 votes are averaged uncut
  ///   geometric_mean                   classification: the weighted log-opinion pool, probabilities below
  ///                                    kGeometricFloor counted as that. Regression: 0 where a vote is 0; the
  ///                                    weighted mean where a vote is negative
  ///   hard_vote                        the weighted share of votes each class has; where classes tie for the
  ///                                    most, the one with the higher mean probability (then the lower index)
  ///                                    stands a float32 step above the others, so that the largest is the
  ///                                    label
  ///   rank_mean                        classification only: the weighted mean of the classes' ranks, scaled
  ///   stacking                         linear scores; classification: their softmax, for two classes as
  ///   well.
  ///                                    A missing member's inputs are the weighted mean of the voters'
  ///                                    outputs
  ///
  /// In classification, median, trimmed_mean, minimum, maximum and geometric_mean make rows that need not sum
  /// to 1: they are scaled to it, negative numbers counted as 0, a row of zeros becoming uniform.
  void decide(const Parts& parts, std::span<float> answer);

  /// How sure the voters are of combined.answer, which is read. An empty spread or disagreement is left out.
  ///   spread        regression: the weighted standard deviation of the votes (population form).
  ///                 classification: the entropy of the weighted mean vote divided by log(classes), in [0,
  ///                 1].
  ///   disagreement  regression: (largest vote - smallest vote).
  ///                 classification: the weighted share of voters whose top class is not the answer's, in [0,
  ///                 1].
  /// The top class is the first of the largest. As decide(): somebody has answered; allocates nothing.
  void measure(const Parts& parts, const Combined& combined);

  /// What a stacking model of its own is asked: the members' outputs side by side.
  ///   out  f32 [rows][models * outputs], wholly written; NaN ("missing") for members that did not vote
  /// The caller has an isolate answer it, then calls measure() with that answer.
  static void stacking_input(const Parts& parts, std::uint32_t outputs, std::span<float> out);

 private:
  struct Voter {
    const float* votes;  // [rows][outputs]
    double weight;       // of all voters that count: sum 1
  };
  struct Tile;
  static constexpr std::size_t kSortedCells = 256;  // cells whose votes are sorted at a time

  Combiner() = default;
  void find_voters(const Parts& parts);
  void decide_tile(const Tile& tile);
  void mean_of(const Tile& tile, bool weighted);
  void extreme_of(const Tile& tile);
  void sorted_of(const Tile& tile);
  void geometric_of(const Tile& tile);
  void hard_vote_of(const Tile& tile);
  void rank_mean_of(const Tile& tile);
  void stack(const Parts& parts, const Tile& tile);
  void measure_regression(std::uint32_t rows, const Combined& combined);
  void measure_classification(std::uint32_t rows, const Combined& combined);

  CombineConfig config_;
  Task task_ = Task::classification;
  std::vector<double> weights_;
  std::uint32_t outputs_ = 0;
  std::uint32_t rows_max_ = 0;

  std::vector<double> coefficients_;  // stacking: [outputs][models * outputs]
  std::vector<Voter> voters_;         // of the request at hand; capacity for all
  // Scratch. A tile is as many whole rows as fit in cache, at least one.
  std::uint32_t tile_rows_ = 0;
  std::vector<double> tile_;          // [tile_rows_][outputs]
  std::vector<double> row_;           // [outputs], or [models * outputs] for stacking
  std::vector<float> sorted_;         // [models][kSortedCells]
  std::vector<std::uint32_t> order_;  // [outputs]
};

/// float32's smallest normal number. Zero is read as this: as the rule has it, one member's zero all but
/// rules a class out, yet the answer stays defined where every class is ruled out by somebody.
inline constexpr double kGeometricFloor = 0x1p-126;

/// A larger coefficient of a stacking model is a mistake, and could make infinities of finite votes.
inline constexpr double kCoefficientMax = 1e100;

}  // namespace tutti
