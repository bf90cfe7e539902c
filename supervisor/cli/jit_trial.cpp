#include "supervisor/cli/jit_trial.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "supervisor/clock.hpp"
#include "supervisor/tier_ledger.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kBudget = 2s;         // of all members and tiers together
constexpr Duration kPatience = 2s;       // for one answer
constexpr std::uint32_t kCallsMin = 17;  // one in sixteen is timed
constexpr Duration kStretchMax = 1s;     // of one batch size, whatever its calls
constexpr std::array<std::uint32_t, 4> kBatches{1, 8, 64, 256};

/// The config of one member alone. It loses no vote, since nobody counts them.
EnsembleConfig alone(const EnsembleConfig& config, std::size_t member) {
  EnsembleConfig one = config;
  one.members = {config.members[member]};
  one.members.front().instances = 1;
  one.combine = {.rule = CombineRule::mean};
  one.answer = {.quorum = {.kind = Quorum::Kind::count, .count = 1}, .deadline = kPatience};
  one.log_level = LogLevel::off;
  one.events.clear();
  one.limits.rows = std::min(config.limits.rows, kBatches.back());
  return one;
}

/// How a member is loaded so that it answers from one tier, as far as it comes.
struct Setup {
  JitMode mode;
  JitCompile compile;
};
constexpr std::array<Setup, kTierCount> kSetups{{{JitMode::off, JitCompile::automatic},
                                                 {JitMode::tier1, JitCompile::automatic},
                                                 {JitMode::full, JitCompile::load}}};

std::vector<float> random_rows(std::size_t numbers) {
  std::mt19937 random(1);  // the same rows in every tier
  std::normal_distribution<float> normal;
  std::vector<float> x(numbers);
  for (float& number : x) number = normal(random);
  return x;
}

std::uint64_t calls_of(const TierStatus& tiers) {
  std::uint64_t calls = 0;
  for (const TierUse& use : tiers.tiers) calls += use.calls;
  return calls;
}

/// A member alone, loaded so that it answers from one tier, and asked.
class Trial {
 public:
  Trial(Ensemble ensemble, const std::atomic<int>& interrupted)
      : ensemble_(std::move(ensemble)),
        interrupted_(interrupted),
        x_(random_rows(std::size_t{ensemble_.config().limits.rows} * ensemble_.config().features)) {}

  [[nodiscard]] MemberStatus member() const { return ensemble_.status().members.front(); }

  /// Asks for `budget`. Returns what the member's tiers have come to then. A model may refuse such rows.
  Result<TierStatus> ask(std::uint32_t batch, Duration budget) {
    const Time begun = monotonic_now();
    for (std::uint32_t calls = 0; interrupted_ == 0; ++calls) {
      const Duration took = monotonic_now() - begun;
      if (took >= kStretchMax || (took >= budget && calls >= kCallsMin)) break;
      const auto done = ensemble_.predict({x_.data(), batch, ensemble_.config().features}, prediction_);
      if (!done) return std::unexpected(done.error());
      ++answers_;
    }
    // The worker tells the rest when it has nothing to do.
    TierStatus tiers;
    for (int looks = 0; looks < 100; ++looks) {
      tiers = member().tiers;
      if (calls_of(tiers) >= answers_) break;
      std::this_thread::sleep_for(2ms);
    }
    return tiers;
  }

 private:
  Ensemble ensemble_;
  const std::atomic<int>& interrupted_;
  std::vector<float> x_;
  Prediction prediction_;
  std::uint64_t answers_ = 0;
};

/// Notes what was added to what the tiers took, for each tier that was asked.
void note_times(BatchTimes& batch, const TierStatus& before, const TierStatus& after) {
  for (std::size_t tier = 0; tier < kTierCount; ++tier) {
    const TierUse added{.timed_rows = after.tiers[tier].timed_rows - before.tiers[tier].timed_rows,
                        .timed_ns = after.tiers[tier].timed_ns - before.tiers[tier].timed_ns};
    if (const auto time = ns_per_row(added)) batch.ns_per_row[tier] = time;
  }
}

Result<TierStatus> try_setup(EnsembleConfig config, const Setup& setup, Duration budget,
                             const std::atomic<int>& interrupted, std::vector<BatchTimes>& batches) {
  config.members.front().jit = {.mode = setup.mode, .threshold = 0, .compile = setup.compile};
  auto ensemble = Ensemble::launch(config, {.require_quorum = false});
  if (!ensemble) return std::unexpected(ensemble.error());
  Trial trial(*std::move(ensemble), interrupted);
  const MemberStatus member = trial.member();
  if (member.ready == 0) {
    return std::unexpected(
        Error{Errc::not_ready, member.last_error, member.name, "tutti check shows each member's problem"});
  }
  TierStatus tiers = member.tiers;
  if (tiers.presence != TierPresence::present) return tiers;
  for (BatchTimes& batch : batches) {
    auto after = trial.ask(batch.rows, budget / batches.size());
    if (!after) return after;
    note_times(batch, tiers, *after);
    tiers = *std::move(after);
  }
  return tiers;
}

Result<TierStatus> try_member(const EnsembleConfig& config, std::size_t member, Duration budget,
                              const std::atomic<int>& interrupted, std::vector<BatchTimes>& batches) {
  const JitMode allowed = jit_of(config.jit, config.members[member]).mode.value_or(JitMode::full);
  const EnsembleConfig one = alone(config, member);
  for (const std::uint32_t rows : kBatches) {
    if (rows <= one.limits.rows) batches.push_back({.rows = rows});
  }
  TierStatus before;
  for (const Setup& setup : kSetups) {
    if (setup.mode > allowed || interrupted != 0) break;
    auto tiers = try_setup(one, setup, budget, interrupted, batches);
    if (!tiers || tiers->presence != TierPresence::present) return tiers;
    add_use(*tiers, before);
    before = *std::move(tiers);
  }
  return before;
}

}  // namespace

std::vector<TriedMember> try_tiers(const EnsembleConfig& config, const std::atomic<int>& interrupted) {
  const Duration budget = kBudget / static_cast<int>(config.members.size() * kTierCount);
  std::vector<TriedMember> tried;
  for (std::size_t i = 0; i < config.members.size() && interrupted == 0; ++i) {
    TriedMember member{.name = config.members[i].name, .tiers = {}, .batches = {}};
    member.tiers = try_member(config, i, budget, interrupted, member.batches);
    tried.push_back(std::move(member));
  }
  return tried;
}

}  // namespace tutti::cli
