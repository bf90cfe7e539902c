#include <utility>

#include "supervisor/clock.hpp"
#include "supervisor/runner.hpp"
#include "supervisor/stacking_model.hpp"
#include "supervisor/tutti.hpp"

namespace tutti {

std::span<const float> Prediction::answer() const noexcept {
  if (const auto* classification = std::get_if<Classification>(&value)) return classification->probabilities;
  return std::get<Regression>(value).values;
}

Ensemble::Ensemble(std::unique_ptr<Runner> runner, std::unique_ptr<StackingModel> stacking) noexcept
    : stacking_(std::move(stacking)), runner_(std::move(runner)) {}
Ensemble::Ensemble(Ensemble&&) noexcept = default;
Ensemble& Ensemble::operator=(Ensemble&& other) noexcept {
  if (this != &other) {
    runner_.reset();  // its callbacks may still ask the stacking model
    stacking_ = std::move(other.stacking_);
    runner_ = std::move(other.runner_);
  }
  return *this;
}
Ensemble::~Ensemble() = default;

Result<Ensemble> Ensemble::launch(EnsembleConfig config, LaunchOptions options) {
  std::unique_ptr<StackingModel> stacking;
  if (StackingModel::wanted(config)) {
    auto launched = StackingModel::launch(config, options);
    if (!launched) return std::unexpected(launched.error());
    stacking = std::move(*launched);
  }
  auto engine = Engine::create(std::move(config), options);
  if (!engine) return std::unexpected(engine.error());
  auto runner = std::make_unique<Runner>(std::move(*engine));
  if (auto started = runner->start(); !started) return std::unexpected(started.error());
  Ensemble ensemble(std::move(runner), std::move(stacking));
  const EnsembleStatus status = ensemble.status();
  if (!options.require_quorum || status.readiness != Readiness::not_ready) return ensemble;
  std::string causes;
  for (const MemberStatus& member : status.members) {
    if (member.ready == 0) causes += "\n  " + std::string(member.name) + ": " + member.last_error;
  }
  const EnsembleConfig& settled = ensemble.config();
  return std::unexpected(Error{Errc::not_ready, "too few members started for the quorum" + causes,
                               settled.path.empty() ? settled.name : settled.path,
                               "tutti check shows each member's problem"});
}

Result<Prediction> Ensemble::predict(MatrixView x) {
  Prediction prediction;
  if (auto done = predict(x, prediction); !done) return std::unexpected(done.error());
  return prediction;
}

Result<void> Ensemble::predict(MatrixView x, Prediction& prediction) {
  return predict(x, prediction, config().answer.deadline);
}

Result<void> Ensemble::predict(MatrixView x, Prediction& prediction, Duration deadline) {
  if (!stacking_) return runner_->predict(x, prediction, deadline);
  const Time until = monotonic_now() + deadline;
  auto voted = runner_->predict(x, prediction, StackingModel::first_stage(deadline));
  if (!voted) return voted;
  return stacking_->answer(prediction, until - monotonic_now());
}

Result<void> Ensemble::predict_async(MatrixView x, OnPrediction done) {
  const Duration deadline = config().answer.deadline;
  if (!stacking_) return runner_->predict_async(x, deadline, std::move(done));
  const Time until = monotonic_now() + deadline;
  return runner_->predict_async(x, StackingModel::first_stage(deadline),
                                [stacking = stacking_.get(), until, done = std::move(done)](
                                    Result<void> outcome, Prediction prediction) mutable {
                                  if (!outcome) return done(std::move(outcome), std::move(prediction));
                                  stacking->answer_async(std::move(prediction), until - monotonic_now(),
                                                         std::move(done));
                                });
}

Result<void> Ensemble::kill_worker(std::string_view member) { return runner_->kill_worker(member); }

EnsembleStatus Ensemble::status(ReadUsage usage) const {
  EnsembleStatus status = runner_->status(usage);
  if (!stacking_) return status;
  EnsembleStatus second = stacking_->status(usage);
  if (second.readiness == Readiness::not_ready) status.readiness = Readiness::not_ready;
  status.members.push_back(std::move(second.members.front()));
  return status;
}

const EnsembleConfig& Ensemble::config() const noexcept { return runner_->config(); }

}  // namespace tutti
