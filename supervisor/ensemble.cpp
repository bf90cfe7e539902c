#include <memory>
#include <mutex>
#include <utility>

#include "supervisor/generations.hpp"
#include "supervisor/promotion.hpp"
#include "supervisor/reload.hpp"
#include "supervisor/tutti.hpp"

namespace tutti {
std::span<const float> Prediction::answer() const noexcept {
  if (const auto* classification = std::get_if<Classification>(&value)) return classification->probabilities;
  return std::get<Regression>(value).values;
}

Ensemble::Ensemble(std::unique_ptr<Generations> generations, LaunchOptions options)
    : generations_(std::move(generations)),
      options_(std::move(options)),
      promoter_(std::make_unique<Promoter>(*generations_, options_)) {
  promoter_->consider();
}
Ensemble::Ensemble(Ensemble&&) noexcept = default;
Ensemble& Ensemble::operator=(Ensemble&& other) noexcept {
  if (this == &other) return *this;
  promoter_.reset();  // it looks at what is replaced next
  generations_ = std::move(other.generations_);
  options_ = std::move(other.options_);
  promoter_ = std::move(other.promoter_);
  return *this;
}
Ensemble::~Ensemble() = default;

Result<Ensemble> Ensemble::launch(EnsembleConfig config, LaunchOptions options) {
  auto first = Generation::launch(std::move(config), options);
  if (!first) return std::unexpected(first.error());
  const EnsembleStatus status = (*first)->status(ReadUsage::no);
  if (options.require_quorum && status.readiness == Readiness::not_ready) {
    const auto missing = [](const MemberStatus& member) { return member.ready == 0; };
    return std::unexpected(Error{Errc::not_ready,
                                 "too few members started for the quorum" + causes_of(status, missing),
                                 place_of(*(*first)->config), "tutti check shows each member's problem"});
  }
  options.faults.clear();  // they struck, or wait in lives that have begun
  return Ensemble(std::make_unique<Generations>(std::move(*first)), std::move(options));
}

Result<void> Ensemble::reload(const ConfigSource& source) {
  auto config = load_config(source);
  if (config) return reload(std::move(*config));
  std::string problems;
  for (const ConfigProblem& problem : config.error()) problems += "\n  " + describe(problem.error);
  Error error{Errc::bad_config, "the new config cannot be used" + problems, source.path,
              "the old one goes on"};
  generations_->note_failure(describe(error));
  return std::unexpected(std::move(error));
}

Result<void> Ensemble::reload(EnsembleConfig config) {
  Result<void> done;
  {
    const std::scoped_lock one(generations_->reloading());
    done = replace_members(*generations_, std::move(config), options_, Replacement::reload);
  }
  if (done)
    promoter_->consider();
  else
    generations_->note_failure(describe(done.error()));
  return done;
}

Result<Prediction> Ensemble::predict(MatrixView x) {
  Prediction prediction;
  if (auto done = predict(x, prediction); !done) return std::unexpected(done.error());
  return prediction;
}

Result<void> Ensemble::predict(MatrixView x, Prediction& prediction) {
  const auto now = generations_->use();
  return now->predict(x, prediction, now->config->answer.deadline);
}

Result<void> Ensemble::predict(MatrixView x, Prediction& prediction, Duration deadline) {
  return generations_->use()->predict(x, prediction, deadline);
}

Result<void> Ensemble::predict_async(MatrixView x, OnPrediction done) {
  return generations_->use()->predict_async(x, std::move(done));
}

Result<void> Ensemble::kill_worker(std::string_view member) {
  return generations_->use()->runner->kill_worker(member);
}

EnsembleStatus Ensemble::status(ReadUsage usage) const {
  EnsembleStatus status = generations_->status(usage);
  promoter_->annotate(status);
  return status;
}

const EnsembleConfig& Ensemble::config() const noexcept { return *generations_->use()->config; }

}  // namespace tutti
