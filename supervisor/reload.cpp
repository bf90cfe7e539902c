#include "supervisor/reload.hpp"

#include <algorithm>
#include <utility>

namespace tutti {
namespace {

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

// A promotion changes how models are answered from and not what they are: files that changed are a reload's.
Result<void> same_models(const std::vector<FileStamp>& loaded, const EnsembleConfig& config) {
  const std::vector<FileStamp> now = stamps_of(config);
  for (std::size_t member = 0; member < now.size(); ++member) {
    if (now[member] == loaded[member]) continue;
    return std::unexpected(Error{Errc::bad_model, "its model has changed since it was loaded",
                                 config.members[member].model, "tutti reload takes the new one"});
  }
  return {};
}

}  // namespace

const std::string& place_of(const EnsembleConfig& config) {
  return config.path.empty() ? config.name : config.path;
}

Result<void> replace_members(Generations& generations, EnsembleConfig config, const LaunchOptions& options,
                             Replacement what) {
  std::vector<float> golden;
  std::vector<FileStamp> models;
  {
    const auto old = generations.use();
    if (auto fits = same_shape(*old->config, config); !fits) return fits;
    golden = old->runner->sample_row();
    models = old->models;
  }
  if (what == Replacement::promotion) {
    if (auto same = same_models(models, config); !same) return same;
  }
  auto next = Generation::launch(std::move(config), options);
  if (!next) return std::unexpected(next.error());
  if (auto passed = pass_golden_request(**next, golden); !passed) return passed;
  // Once more: what was loaded lies between the two looks.
  if (what == Replacement::promotion) {
    if (auto same = same_models(models, *(*next)->config); !same) return same;
    (*next)->models = models;
  }
  generations.replace(std::move(*next), what);
  return {};
}

}  // namespace tutti
