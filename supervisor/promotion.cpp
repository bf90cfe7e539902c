#include "supervisor/promotion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

#include "supervisor/reload.hpp"

namespace tutti {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);

bool compiles_by_itself(const JitConfig& jit) {
  return jit.mode.value_or(JitMode::full) == JitMode::full &&
         jit.compile.value_or(JitCompile::automatic) == JitCompile::automatic;
}

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

std::optional<PromotionForecast> forecast_of(const JitConfig& jit, const TierStatus& tiers,
                                             Duration compile_cost) {
  const bool in_tier_1 = tiers.presence == TierPresence::present && tiers.tier == 1 && tiers.why_not.empty();
  if (!in_tier_1 || !compiles_by_itself(jit)) return std::nullopt;
  const TierUse& use = tiers.tiers[1];
  constexpr double kForgoneMax = 1e18;  // ns: a liar's numbers must fit as well
  const double forgone = static_cast<double>(use.rows) * ns_per_row(use).value_or(0) * kShareSaved;
  return PromotionForecast{.forgone = Duration(static_cast<std::int64_t>(std::min(forgone, kForgoneMax))),
                           .cost = compile_cost};
}

Duration compile_cost_of(const EnsembleStatus& status, Duration guess) {
  Duration seen{};
  for (const MemberStatus& member : status.members) seen = std::max(seen, member.tiers.compile);
  // A liar must not make compiling too dear for the others.
  constexpr int kGuessesMax = 4;
  return seen > Duration::zero() ? std::min(seen, kGuessesMax * guess) : guess;
}

bool may_be_promoted(const JitConfig& jit, const TierStatus& tiers) {
  if (!compiles_by_itself(jit) || tiers.presence == TierPresence::none) return false;
  return tiers.presence == TierPresence::unknown || (tiers.tier < 2 && tiers.why_not.empty());
}

Promoter::Promoter(Generations& generations, LaunchOptions options)
    : generations_(generations), options_(std::move(options)) {}

Promoter::~Promoter() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Promoter::consider() {
  if (!options_.promotes) return;
  const EnsembleStatus status = generations_.status(ReadUsage::no);
  const auto config = generations_.use()->config;
  // Another reload may have come between the two looks.
  const std::size_t members = std::min(config->members.size(), status.members.size());
  bool useful = false;
  for (std::size_t i = 0; i < members; ++i)
    useful = useful || may_be_promoted(jit_of(config->jit, config->members[i]), status.members[i].tiers);
  const std::scoped_lock lock(mutex_);
  if (!useful || watching_ || stopping_) return;
  // One that has ended holds no lock any more.
  if (thread_.joinable()) thread_.join();
  watching_ = true;
  try {
    thread_ = std::thread([this] { watch(); });
  } catch (const std::system_error&) {
    watching_ = false;  // everything goes on in the tiers that it has
  }
}

void Promoter::watch() {
  std::unique_lock lock(mutex_);
  for (bool useful = true; useful && !stopping_;) {
    changed_.wait_for(lock, kLookEvery, [&] { return stopping_; });
    if (stopping_) break;
    lock.unlock();
    try {
      useful = look();
    } catch (const std::exception&) {
      useful = true;  // out of memory, most likely: later, then
    }
    lock.lock();
  }
  watching_ = false;
}

// True while it may be worth looking again.
bool Promoter::look() {
  const std::unique_lock reloading(generations_.reloading(), std::try_to_lock);
  if (!reloading.owns_lock()) return true;
  const EnsembleStatus status = generations_.status(ReadUsage::no);
  const auto config = generations_.use()->config;
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(config_generation_, status.config_generation) != status.config_generation)
      notes_.clear();
  }
  const std::vector<Due> due = due_of(*config, status);
  if (!due.empty()) promote(*config, due);
  for (std::size_t i = 0; i < config->members.size(); ++i) {
    const MemberConfig& member = config->members[i];
    if (!tried(member.name) && may_be_promoted(jit_of(config->jit, member), status.members[i].tiers))
      return true;
  }
  return false;
}

bool Promoter::tried(const std::string& member) const {
  const std::scoped_lock lock(mutex_);
  return notes_.contains(member);
}

std::vector<Promoter::Due> Promoter::due_of(const EnsembleConfig& config,
                                            const EnsembleStatus& status) const {
  const Duration cost = compile_cost_of(status, options_.compile_guess);
  std::vector<Due> due;
  for (std::size_t i = 0; i < config.members.size(); ++i) {
    const auto forecast = forecast_of(jit_of(config.jit, config.members[i]), status.members[i].tiers, cost);
    if (forecast && forecast->forgone >= forecast->cost && !tried(config.members[i].name))
      due.push_back({.member = i, .forecast = *forecast});
  }
  return due;
}

void Promoter::promote(const EnsembleConfig& config, const std::vector<Due>& due) {
  EnsembleConfig next = config;
  {
    const std::scoped_lock lock(mutex_);
    for (const Due& one : due) {
      next.members[one.member].jit.compile = JitCompile::load;
      notes_[config.members[one.member].name];
    }
  }
  const auto done = replace_members(generations_, std::move(next), options_, Replacement::promotion);
  tell(config, due, done);
}

void Promoter::tell(const EnsembleConfig& config, const std::vector<Due>& due, const Result<void>& done) {
  const EnsembleStatus status = generations_.status(ReadUsage::no);
  for (const Due& one : due) {
    const std::string& name = config.members[one.member].name;
    const TierStatus& tiers = status.members[one.member].tiers;
    if (done && tiers.tier == 2) {
      generations_.use()->runner->tell_promotion(
          one.member, Event::Kind::promoted,
          fmt::format("tier 2: {} is compiled, in {:.2f} s; it saves about {:.0f} % of what took {:.1f} s so "
                      "far",
                      name, seconds_of(tiers.compile), kShareSaved * 100,
                      seconds_of(one.forecast.forgone) / kShareSaved));
      continue;
    }
    std::string why = done ? tiers.why_not : describe(done.error());
    if (why.empty()) why = "its worker has not compiled it";
    // Noted first: who hears of it may ask at once.
    {
      const std::scoped_lock lock(mutex_);
      notes_[name] = why;
    }
    generations_.use()->runner->tell_promotion(one.member, Event::Kind::not_promoted,
                                               fmt::format("tier 2: {} stays in tier 1: {}", name, why));
  }
}

void Promoter::annotate(EnsembleStatus& status) const {
  const auto config = generations_.use()->config;
  const Duration cost = compile_cost_of(status, options_.compile_guess);
  const std::scoped_lock lock(mutex_);
  const std::size_t members = std::min(config->members.size(), status.members.size());
  for (std::size_t i = 0; i < members; ++i) {
    // A reload between the two looks: the next status tells.
    if (status.members[i].name != config->members[i].name) continue;
    TierStatus& tiers = status.members[i].tiers;
    const JitConfig jit = jit_of(config->jit, config->members[i]);
    if (tiers.presence != TierPresence::present || tiers.tier != 1 || !tiers.why_not.empty()) continue;
    const auto note = notes_.find(config->members[i].name);
    if (jit.mode == JitMode::tier1)
      tiers.why_not = "jit is tier1";
    else if (note != notes_.end())
      tiers.why_not = note->second;
    else if (options_.promotes)
      tiers.forecast = forecast_of(jit, tiers, cost);
  }
}

}  // namespace tutti
