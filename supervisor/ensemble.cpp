#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "supervisor/generations.hpp"
#include "supervisor/tutti.hpp"

namespace tutti {
namespace {

// "\n  boosted: its last error" for each member for which `missing` holds.
template <class Missing>
std::string causes_of(const EnsembleStatus& status, Missing missing) {
  std::string causes;
  for (const MemberStatus& member : status.members) {
    if (missing(member)) causes += "\n  " + std::string(member.name) + ": " + member.last_error;
  }
  return causes;
}

const std::string& place_of(const EnsembleConfig& config) {
  return config.path.empty() ? config.name : config.path;
}

Result<void> same_shape(const EnsembleConfig& old, const EnsembleConfig& next) {
  if (old.task == next.task && old.classes == next.classes && old.features == next.features &&
      old.feature_names == next.feature_names && old.limits.rows <= next.limits.rows)
    return {};
  return std::unexpected(Error{
      Errc::bad_config, "task, classes and features cannot change while it runs, nor limits.rows shrink",
      place_of(next), "launch another ensemble for them"});
}

// The first request of a model is its slowest, two generations share the machine for the moment, and nobody
// waits for this answer.
constexpr Duration kGoldenPatience = std::chrono::seconds(1);

// Every member of the new generation must answer before any request depends on it.
Result<void> pass_golden_request(Generation& next, const std::vector<float>& row) {
  const EnsembleStatus status = next.status(ReadUsage::no);
  const auto incomplete = [](const MemberStatus& member) { return member.ready < member.instances; };
  if (std::ranges::any_of(status.members, incomplete)) {
    return std::unexpected(
        Error{Errc::not_ready, "a new member did not start" + causes_of(status, incomplete),
              place_of(*next.config), "the old members go on; tutti check shows the problem"});
  }
  Prediction prediction;
  const auto features = next.config->features;
  const Duration deadline = next.config->answer.deadline + kGoldenPatience;
  auto answered = next.predict({row.data(), 1, features}, prediction, deadline);
  std::string refused;
  for (const Vote& vote : prediction.votes) {
    if (!vote.voted()) refused += "\n  " + std::string(vote.member) + ": " + describe(vote.fate);
  }
  if (answered && refused.empty()) return {};
  return std::unexpected(Error{Errc::not_ready, "a new member did not answer its golden request" + refused,
                               place_of(*next.config), "the old members go on"});
}

}  // namespace

std::span<const float> Prediction::answer() const noexcept {
  if (const auto* classification = std::get_if<Classification>(&value)) return classification->probabilities;
  return std::get<Regression>(value).values;
}

Ensemble::Ensemble(std::unique_ptr<Generations> generations, LaunchOptions options) noexcept
    : generations_(std::move(generations)), options_(std::move(options)) {}
Ensemble::Ensemble(Ensemble&&) noexcept = default;
Ensemble& Ensemble::operator=(Ensemble&&) noexcept = default;
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
  auto done = replace(std::move(config));
  if (!done) generations_->note_failure(describe(done.error()));
  return done;
}

Result<void> Ensemble::replace(EnsembleConfig config) {
  const std::scoped_lock one(generations_->reloading());
  std::vector<float> golden;
  {
    const auto old = generations_->use();
    if (auto fits = same_shape(*old->config, config); !fits) return fits;
    golden = old->runner->sample_row();
  }
  auto next = Generation::launch(std::move(config), options_);
  if (!next) return std::unexpected(next.error());
  if (auto passed = pass_golden_request(**next, golden); !passed) return passed;
  generations_->replace(std::move(*next));
  return {};
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

EnsembleStatus Ensemble::status(ReadUsage usage) const { return generations_->status(usage); }

const EnsembleConfig& Ensemble::config() const noexcept { return *generations_->use()->config; }

}  // namespace tutti
