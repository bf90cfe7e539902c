#include <utility>

#include "supervisor/runner.hpp"
#include "supervisor/tutti.hpp"

namespace tutti {

std::span<const float> Prediction::answer() const noexcept {
  if (const auto* classification = std::get_if<Classification>(&value)) return classification->probabilities;
  return std::get<Regression>(value).values;
}

Ensemble::Ensemble(std::unique_ptr<Runner> runner) noexcept : runner_(std::move(runner)) {}
Ensemble::Ensemble(Ensemble&&) noexcept = default;
Ensemble& Ensemble::operator=(Ensemble&&) noexcept = default;
Ensemble::~Ensemble() = default;

Result<Ensemble> Ensemble::launch(EnsembleConfig config, LaunchOptions options) {
  auto engine = Engine::create(std::move(config), options);
  if (!engine) return std::unexpected(engine.error());
  auto runner = std::make_unique<Runner>(std::move(*engine));
  if (auto started = runner->start(); !started) return std::unexpected(started.error());
  const EnsembleStatus status = runner->status();
  if (options.require_quorum && status.readiness == Readiness::not_ready) {
    std::string causes;
    for (const MemberStatus& member : status.members) {
      if (member.ready == 0) causes += "\n  " + std::string(member.name) + ": " + member.last_error;
    }
    return std::unexpected(
        Error{Errc::not_ready, "too few members started for the quorum" + causes,
              runner->config().path.empty() ? runner->config().name : runner->config().path,
              "tutti check shows each member's problem"});
  }
  return Ensemble(std::move(runner));
}

Result<Prediction> Ensemble::predict(MatrixView x) {
  Prediction prediction;
  if (auto done = predict(x, prediction); !done) return std::unexpected(done.error());
  return prediction;
}

Result<void> Ensemble::predict(MatrixView x, Prediction& prediction) {
  return runner_->predict(x, prediction, config().answer.deadline);
}

Result<void> Ensemble::predict(MatrixView x, Prediction& prediction, Duration deadline) {
  return runner_->predict(x, prediction, deadline);
}

Result<void> Ensemble::predict_async(MatrixView x, OnPrediction done) {
  return runner_->predict_async(x, std::move(done));
}

Result<void> Ensemble::kill_worker(std::string_view member) { return runner_->kill_worker(member); }

EnsembleStatus Ensemble::status() const { return runner_->status(); }

const EnsembleConfig& Ensemble::config() const noexcept { return runner_->config(); }

}  // namespace tutti
