#include "supervisor/stress/campaign.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti::stress {
namespace {

using namespace std::chrono_literals;

constexpr Duration kGapMost = 4ms;  // between two kills
constexpr Duration kAimMost = 1ms;  // from choosing a process to its kill
constexpr Duration kStep = 1ms;
constexpr Duration kTemplateEcho = 100ms;  // until then a template's death may have taken isolates along
constexpr Duration kHealPatience = 15s;
constexpr std::size_t kProblemsKept = 20;
constexpr std::uint32_t kTemplateEach = 16;  // one kill in so many is of a template
constexpr std::uint32_t kAgainEach = 8;      // and one of a process whose member is down already

// Later in a count of 16 bits that begins anew.
bool is_later(std::uint16_t generation, std::uint16_t than) {
  return static_cast<std::int16_t>(static_cast<std::uint16_t>(generation - than)) > 0;
}

}  // namespace

Campaign::Campaign(const EnsembleConfig& config, const std::vector<std::string>& members, std::uint64_t seed)
    : random_(seed) {
  const auto count = static_cast<std::uint32_t>(config.members.size());
  down_max_ = std::max(count - std::min(config.answer.quorum.of(count), count), 1U);
  for (const MemberConfig& member : config.members) {
    const auto index = static_cast<std::uint32_t>(members_.size());
    const bool is_target = std::ranges::find(members, member.name) != members.end();
    members_.push_back({.name = member.name, .is_target = is_target, .died_at = {}});
    for (std::uint32_t i = 0; i < member.instances; ++i) {
      const std::string name = fmt::format("{}/{}", member.name, i);
      isolates_.emplace(name, Isolate{.member = index, .died_at = {}});
      if (is_target) last_.push_back(name);
    }
  }
}

void Campaign::on_event(const Event& event) {
  const std::lock_guard lock(mutex_);
  const auto found = isolates_.find(event.isolate);
  if (found == isolates_.end()) return;
  Isolate& isolate = found->second;
  if (event.kind == Event::Kind::died) {
    Member& member = members_[isolate.member];
    if (isolate.down && event.generation == isolate.generation && !isolate.died_at) {
      toll_.noticed.push_back(event.at - isolate.killed_at);
      isolate.died_at = event.at;
    } else if (member.template_hit) {
      isolate.down = true;
      isolate.generation = event.generation;
      isolate.died_at = event.at;
    } else if (!isolate.down && journal_ != nullptr && !event.isolate.empty()) {
      note_problem(fmt::format("{} died though nobody killed it: {}", event.isolate, describe(event.cause)));
    }
    return;
  }
  if (event.kind != Event::Kind::ready || !isolate.down) return;
  if (!is_later(event.generation, isolate.generation)) return;
  isolate.down = false;
  if (!is_down(isolate.member)) {
    members_[isolate.member].died_at = isolate.died_at;
    stand_by(isolate.member, event.at);
  }
}

void Campaign::note_problem(std::string text) {
  if (toll_.problems.size() < kProblemsKept) toll_.problems.push_back(std::move(text));
}

void Campaign::stand_by(std::uint32_t member, Time from) {
  if (journal_ == nullptr) return;
  journal_->watch_for(member, from);
  journal_->stand_by(member, from);
}

bool Campaign::is_down(std::uint32_t member) const {
  if (members_[member].template_hit) return true;
  return std::ranges::any_of(
      isolates_, [&](const auto& entry) { return entry.second.member == member && entry.second.down; });
}

std::uint32_t Campaign::down() const {
  std::uint32_t count = 0;
  for (std::uint32_t member = 0; member < members_.size(); ++member) count += is_down(member) ? 1U : 0U;
  return count;
}

// What the journal has seen meanwhile, and templates whose death took nobody along.
void Campaign::settle(Time now) {
  for (std::uint32_t index = 0; index < members_.size(); ++index) {
    Member& member = members_[index];
    if (member.template_hit && now - member.template_hit_at > kTemplateEcho) {
      member.template_hit = false;
      if (!is_down(index)) stand_by(index, now);
    }
    const auto seen = member.died_at ? journal_->seen_again(index) : std::nullopt;
    if (!seen) continue;
    toll_.healed.push_back(*seen - *member.died_at);
    member.died_at.reset();
  }
}

// The name of an isolate or of a member, for its template; "" when nobody may be killed now.
std::string Campaign::choose(const EnsembleStatus& status, std::uint64_t left) {
  if (left <= last_.size()) return down() == 0 ? last_[left - 1] : std::string();
  const bool again = random_() % kAgainEach == 0;
  const bool model = random_() % kTemplateEach == 0;
  const std::uint32_t members_down = down();
  std::vector<std::string> names;
  for (std::uint32_t index = 0; index < members_.size() && index < status.members.size(); ++index) {
    const MemberStatus& member = status.members[index];
    const bool is_member_down = is_down(index);
    if (!members_[index].is_target || is_member_down != again) continue;
    if (!is_member_down && members_down >= down_max_) continue;
    if (model && member.template_pid != 0) names.push_back(member.name);
    for (const IsolateStatus& isolate : member.isolates) {
      if (!model && isolate.pid != 0) names.push_back(isolate.name);
    }
  }
  return names.empty() ? std::string() : names[random_() % names.size()];
}

// Noted first and killed then: whatever comes of it comes after it was noted.
void Campaign::kill(const Victim& victim) {
  const Time now = monotonic_now();
  const auto found = isolates_.find(victim.name());
  const bool is_template = found == isolates_.end();
  const auto index = static_cast<std::uint32_t>(
      is_template ? std::ranges::find(members_, victim.name(), &Member::name) - members_.begin()
                  : found->second.member);
  // One that was killed before and is not buried yet.
  if (!is_template && found->second.down && !is_later(victim.generation(), found->second.generation)) return;
  const bool was_down = is_down(index);
  if (!was_down) journal_->strike(index);
  if (!victim.strike(SIGKILL)) {
    // It has ended while it was aimed at.
    if (!was_down) stand_by(index, now);
    return;
  }
  ++toll_.kills;
  members_[index].died_at.reset();
  if (is_template) {
    ++toll_.template_kills;
    members_[index].template_hit = true;
    members_[index].template_hit_at = now;
  } else {
    found->second = {
        .member = index, .down = true, .generation = victim.generation(), .killed_at = now, .died_at = {}};
  }
}

Campaign::Toll Campaign::toll() const {
  const std::lock_guard lock(mutex_);
  return toll_;
}

void Campaign::pause(Duration most) {
  std::this_thread::sleep_for(
      Duration(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most.count()))));
}

void Campaign::run(Ensemble& ensemble, Journal& journal, std::uint64_t count, Time until,
                   const std::function<bool()>& stopped,
                   const std::function<void(std::uint64_t killed)>& on_kill) {
  {
    const std::lock_guard lock(mutex_);
    journal_ = &journal;
  }
  Time last_kill = monotonic_now();
  const auto over = [&] {
    const Time now = monotonic_now();
    return now >= until || now >= last_kill + kHealPatience || stopped();
  };
  for (std::uint64_t killed = 0; killed < count && !over();) {
    on_kill(killed);
    pause(kGapMost);
    const EnsembleStatus status = ensemble.status();
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      settle(monotonic_now());
      name = choose(status, count - killed);
    }
    if (name.empty()) continue;
    const Victim victim = Victim::hold(ensemble, name);
    if (!victim.held()) continue;
    pause(kAimMost);
    const std::lock_guard lock(mutex_);
    kill(victim);
    if (toll_.kills > killed) last_kill = monotonic_now();
    killed = toll_.kills;
  }
  const Time patience = monotonic_now() + kHealPatience;
  const auto recovered = [&] {
    const std::lock_guard lock(mutex_);
    settle(monotonic_now());
    return down() == 0;
  };
  while (!recovered() && monotonic_now() < patience) std::this_thread::sleep_for(kStep);
  const std::lock_guard lock(mutex_);
  for (std::uint32_t member = 0; member < members_.size(); ++member) {
    if (is_down(member)) note_problem(fmt::format("{} did not recover", members_[member].name));
  }
  journal_ = nullptr;
}

}  // namespace tutti::stress
