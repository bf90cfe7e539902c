#include "supervisor/stacking_model.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace tutti {
namespace {

EnsembleConfig second_stage(const EnsembleConfig& config) {
  EnsembleConfig stage = config;
  stage.features = static_cast<std::uint32_t>(config.members.size()) * config.outputs();
  stage.feature_names.clear();
  stage.combine = {.rule = CombineRule::mean};
  stage.answer.quorum = {.kind = Quorum::Kind::all};
  stage.answer.last_resort.clear();
  stage.members = {{.name = "stacking",
                    .model = config.combine.model,
                    .kind = config.combine.model_kind,
                    .where = config.path}};
  return stage;
}

// Which members voted, as Parts wants it.
struct Answered {
  explicit Answered(const Prediction& prediction) : count(prediction.votes.size()) {
    for (std::size_t i = 0; i < count; ++i) values[i] = prediction.votes[i].voted();
  }
  [[nodiscard]] Parts parts(const Prediction& prediction) const {
    return {.data = prediction.parts.data(),
            .model_stride = std::size_t{prediction.rows} * prediction.outputs,
            .answered = {values.data(), count},
            .rows = prediction.rows};
  }
  std::size_t count;
  std::array<bool, kMembersMax> values{};
};

}  // namespace

StackingModel::StackingModel(std::unique_ptr<Runner> runner, Combiner combiner)
    : combiner_(std::move(combiner)), runner_(std::move(runner)) {}

Result<std::unique_ptr<StackingModel>> StackingModel::launch(const EnsembleConfig& config,
                                                             const LaunchOptions& options) {
  std::vector<double> weights;
  for (const MemberConfig& member : config.members) weights.push_back(member.weight);
  auto combiner =
      Combiner::create(config.combine, config.task, std::move(weights), config.outputs(), config.limits.rows);
  if (!combiner) return std::unexpected(combiner.error());
  auto engine = Engine::create(std::make_shared<const EnsembleConfig>(second_stage(config)), options);
  if (!engine) return std::unexpected(engine.error());
  auto runner = std::make_unique<Runner>(std::move(*engine));
  if (auto started = runner->start(); !started) return std::unexpected(started.error());
  return std::unique_ptr<StackingModel>(new StackingModel(std::move(runner), std::move(*combiner)));
}

std::vector<float> StackingModel::input_of(const Prediction& prediction) const {
  std::vector<float> input(std::size_t{prediction.rows} * runner_->config().features);
  Combiner::stacking_input(Answered(prediction).parts(prediction), prediction.outputs, input);
  return input;
}

Result<void> StackingModel::answer(Prediction& prediction, Duration deadline) {
  const std::vector<float> input = input_of(prediction);
  Prediction stacked;
  if (auto done =
          runner_->predict({input.data(), prediction.rows, runner_->config().features}, stacked, deadline);
      !done) {
    return std::unexpected(explain(done.error()));
  }
  adopt(prediction, stacked);
  return {};
}

void StackingModel::answer_async(Prediction prediction, Duration deadline, OnPrediction done) {
  const std::vector<float> input = input_of(prediction);
  // Held by the callback, and here until it is known whether there will be one.
  struct Held {
    Prediction prediction;
    OnPrediction done;
  };
  const auto held = std::make_shared<Held>(Held{std::move(prediction), std::move(done)});
  auto accepted =
      runner_->predict_async({input.data(), held->prediction.rows, runner_->config().features}, deadline,
                             [this, held](Result<void> outcome, const Prediction& stacked) {
                               if (outcome) {
                                 adopt(held->prediction, stacked);
                               } else {
                                 outcome = std::unexpected(explain(outcome.error()));
                               }
                               held->done(std::move(outcome), std::move(held->prediction));
                             });
  if (!accepted) held->done(std::unexpected(explain(accepted.error())), std::move(held->prediction));
}

void StackingModel::adopt(Prediction& prediction, const Prediction& stacked) {
  prediction.value = stacked.value;
  const Answered answered(prediction);
  auto* classification = std::get_if<Classification>(&prediction.value);
  const std::span<float> answer = classification != nullptr
                                      ? std::span(classification->probabilities)
                                      : std::span(std::get<Regression>(prediction.value).values);
  const std::scoped_lock lock(mutex_);
  combiner_.measure(answered.parts(prediction),
                    {.answer = answer, .spread = prediction.spread, .disagreement = prediction.disagreement});
}

Error StackingModel::explain(Error error) {
  if (error.code == Errc::too_few_votes) {
    error.what = "the members voted, but their stacking model did not answer";
  }
  return error;
}

}  // namespace tutti
