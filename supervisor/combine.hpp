// Votes in, one answer out.
//
//   parts [models][rows][outputs] ──rule, weights, who answered──▶ answer [rows][outputs], spread, disagreement
//
// Every rule here is the textbook one; its source stands at its name. Weights renormalise over those who
// voted. No rule reads the part of a member that did not vote. A finite input gives a finite answer.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shared/error.hpp"
#include "shared/tensor.hpp"
#include "supervisor/config/config.hpp"

namespace tutti {

/// What the members answered.
struct Parts {
  const float* data = nullptr;       // f32 [models][rows][outputs], models `model_stride` floats apart
  std::size_t model_stride = 0;      // >= rows * outputs
  std::span<const bool> answered;    // bool [models]; false: that part is not read
  std::uint32_t rows = 0;
};

/// What comes out. All spans belong to the caller and may not alias the parts.
struct Combined {
  std::span<float> answer;        // f32 [rows][outputs]
  std::span<float> spread;        // f32 [rows]: see Combiner::combine
  std::span<float> disagreement;  // f32 [rows]: see Combiner::combine
};

/// One ensemble's rule with its scratch memory. Not shared between threads.
class Combiner {
 public:
  /// Errors: bad_config (coefficients of the wrong shape, trim out of range, a rule that does not fit the task,
  /// all weights zero).
  static Result<Combiner> create(const CombineConfig& config, Task task, std::vector<double> weights,
                                 std::uint32_t outputs, std::uint32_t rows_max);

  /// Combines. At least one model must have answered (asserted); rows <= rows_max. Allocates nothing.
  ///
  /// Rules and what each does with missing votes are listed in combine.cpp and, for users, in
  /// supervisor/README.md.
  ///   spread        regression: the weighted standard deviation of the votes (population form).
  ///                 classification: the entropy of the mean vote divided by log(classes), in [0, 1].
  ///   disagreement  regression: (largest vote - smallest vote).
  ///                 classification: the weighted share of voters whose top class is not the answer's, in [0, 1].
  void combine(const Parts& parts, const Combined& combined);

 private:
  Combiner() = default;
  CombineConfig config_;
  Task task_ = Task::classification;
  std::vector<double> weights_;
  std::uint32_t outputs_ = 0;
  std::uint32_t rows_max_ = 0;
  std::vector<double> scratch_;
};

}  // namespace tutti
