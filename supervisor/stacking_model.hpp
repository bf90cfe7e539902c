// Stacking by a model of its own: the second stage of an ensemble.
//
//   members' votes ──side by side──▶ [rows][members * outputs] ──one more isolate──▶ the answer
//
// The stacking model is a one-member ensemble of its own, with the same isolation, deadline and healing: a
// missing vote is NaN in its input, and if it is itself missing the request fails with its cause named.
// The first stage may use three quarters of a request's deadline, so that the second always has some.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "supervisor/combine.hpp"
#include "supervisor/runner.hpp"

namespace tutti {

class StackingModel {
 public:
  /// True if the config asks for a stacking model.
  static bool wanted(const EnsembleConfig& config) noexcept {
    return config.combine.rule == CombineRule::stacking && !config.combine.model.empty();
  }
  /// Starts its worker. Errors: as Ensemble::launch.
  static Result<std::unique_ptr<StackingModel>> launch(const EnsembleConfig& config,
                                                       const LaunchOptions& options);

  /// The first stage's share of a deadline.
  static Duration first_stage(Duration deadline) noexcept { return deadline / 4 * 3; }

  /// Fills in the answer of a prediction whose votes are there, by `deadline` from now.
  /// Errors: too_few_votes (`where` names the stacking model and its cause), overloaded, stopped.
  Result<void> answer(Prediction& prediction, Duration deadline);
  /// The same, without waiting; `done` gets the prediction back.
  void answer_async(Prediction prediction, Duration deadline, OnPrediction done);

  [[nodiscard]] EnsembleStatus status(ReadUsage usage) const { return runner_->status(usage); }

 private:
  StackingModel(std::unique_ptr<Runner> runner, Combiner combiner);
  [[nodiscard]] std::vector<float> input_of(const Prediction& prediction) const;
  void adopt(Prediction& prediction, const Prediction& stacked);
  static Error explain(Error error);

  std::mutex mutex_;  // of the combiner's scratch memory
  Combiner combiner_;
  std::unique_ptr<Runner> runner_;
};

}  // namespace tutti
