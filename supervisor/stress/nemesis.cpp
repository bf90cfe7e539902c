#include "supervisor/stress/nemesis.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "supervisor/clock.hpp"
#include "worker/hostile/hostile.h"

namespace tutti::stress {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHealPatience = 15s;
constexpr Duration kTidyPatience = 2s;  // for what a strike seems to have left behind
constexpr Duration kStep = 1ms;

std::string milliseconds(Duration duration) {
  return fmt::format("{:.0f} ms", std::chrono::duration<double, std::milli>(duration).count());
}

}  // namespace

void EventBoard::put(const Event& event) {
  const std::lock_guard lock(mutex_);
  events_.push_back(event);
  changed_.notify_all();
}

void EventBoard::clear() {
  const std::lock_guard lock(mutex_);
  events_.clear();
}

std::optional<Event> EventBoard::wait(const std::string& isolate, std::initializer_list<Event::Kind> kinds,
                                      Time since, Time until) {
  std::unique_lock lock(mutex_);
  for (std::size_t looked = 0;;) {
    for (; looked < events_.size(); ++looked) {
      const Event& event = events_[looked];
      const bool kind = std::ranges::find(kinds, event.kind) != kinds.end();
      if (kind && event.isolate == isolate && event.at >= since) return event;
    }
    const Duration left = until - monotonic_now();
    if (left <= Duration::zero()) return std::nullopt;
    changed_.wait_for(lock, left);
  }
}

Nemesis::Nemesis(Ensemble& ensemble, Load& load, Journal& journal, EventBoard& board, Schedule& schedule,
                 Time begun, const Footprint& footprint, std::function<bool()> stopped)
    : ensemble_(ensemble),
      load_(load),
      journal_(journal),
      board_(board),
      schedule_(schedule),
      begun_(begun),
      footprint_(footprint),
      stopped_(std::move(stopped)) {}

void Nemesis::run(Time until, const std::function<void(const Target&)>& on_strike) {
  while (!stopped_() && !schedule_.faults().empty()) {
    const bool owed = schedule_.incomplete();
    const Target target = schedule_.next();
    if (!owed && monotonic_now() + schedule_.cost(target) > until) return;
    on_strike(target);
    strikes_.push_back(strike(target));
    rest(schedule_.pace().quiet);
    look_for_leavings(strikes_.back());
  }
}

Strike Nemesis::strike(const Target& target) {
  const Fault& fault = schedule_.faults()[target.fault];
  const std::uint32_t member = index_of(target.member);
  Strike strike{
      .fault = target.fault, .member = target.member, .noticed = {}, .healed = {}, .problem = {}, .left = {}};
  board_.clear();
  const Victim victim = pick(target.member);
  journal_.open_window(static_cast<std::uint32_t>(target.fault));
  journal_.strike(member);
  const Time struck = monotonic_now();
  strike.at = struck - begun_;
  if (victim.held()) {
    hit(fault, strike, victim, struck);
  } else {
    strike.problem =
        fmt::format("none of {}'s isolates became ready in {}", target.member, milliseconds(kHealPatience));
  }
  const Duration left = struck + schedule_.pace().window - monotonic_now();
  if (left > Duration::zero()) rest(left);
  if (journal_.seen_again(member)) {
    journal_.stand_by(member, monotonic_now());
  } else {
    journal_.stand_by_when_voting(member);
  }
  journal_.close_window();
  return strike;
}

void Nemesis::hit(const Fault& fault, Strike& strike, const Victim& victim, Time struck) {
  const std::uint32_t member = index_of(strike.member);
  if (fault.means == Fault::Means::signal) {
    if (!victim.strike(fault.code)) strike.problem = "the signal could not be sent";
  } else {
    command(fault, strike, struck);
  }
  journal_.watch_for(member, monotonic_now());
  const bool may_live = fault.outcome != Fault::Outcome::dies;
  // One that misses a vote may be slow about it, and may die of it after all.
  const auto over = [&](Time now) {
    if (fault.outcome == Fault::Outcome::unseen) return now >= struck + schedule_.pace().window;
    return now >= struck + patience() || (may_live && journal_.seen_again(member));
  };
  auto died = board_.wait(victim.name(), {Event::Kind::died}, struck, monotonic_now());
  while (!died && !over(monotonic_now()) && !stopped_())
    died = board_.wait(victim.name(), {Event::Kind::died}, struck, monotonic_now() + 5 * kStep);
  if (died) {
    strike.noticed = died->at - struck;
    heal(strike, victim, died->at);
    return;
  }
  if (!may_live) {
    strike.problem = fmt::format("it was not ended within {}", milliseconds(patience()));
  } else if (fault.outcome == Fault::Outcome::misses) {
    const auto seen = journal_.seen_again(member);
    if (seen && strike.noticed) strike.healed = *seen - struck - *strike.noticed;
    if (!seen && strike.problem.empty()) strike.problem = "it did not vote again";
  }
  end_stand_in(strike, victim);
}

// Asks the stand-in to misbehave, and reads what the answer says of it.
void Nemesis::command(const Fault& fault, Strike& strike, Time struck) {
  const Prediction prediction = load_.command(fault.code);
  const auto vote = std::ranges::find(prediction.votes, std::string_view(strike.member), &Vote::member);
  if (vote == prediction.votes.end()) return;
  if (vote->message.find(HOSTILE_UNSTOPPED) != std::string::npos) strike.problem = vote->message;
  if (fault.outcome == Fault::Outcome::misses) {
    if (vote->voted()) strike.problem = "its vote counted";
    strike.noticed = monotonic_now() - struck;
  }
}

// Waits until the isolate that died at `since` is replaced and its member votes again.
void Nemesis::heal(Strike& strike, const Victim& victim, Time since) {
  const std::uint32_t member = index_of(strike.member);
  const Time until = monotonic_now() + kHealPatience;
  const auto ready = board_.wait(victim.name(), {Event::Kind::ready}, since, until);
  if (!ready) {
    strike.problem = fmt::format("it was not replaced within {}", milliseconds(kHealPatience));
    return;
  }
  journal_.watch_for(member, ready->at);
  while (!journal_.seen_again(member) && monotonic_now() < until && !stopped_())
    std::this_thread::sleep_for(kStep);
  if (const auto seen = journal_.seen_again(member)) {
    strike.healed = *seen - since;
  } else if (!stopped_()) {
    strike.problem = fmt::format("it did not vote again within {}", milliseconds(kHealPatience));
  }
}

// Threads, descriptors and forks of a stand-in end with it; so does whatever was not noticed of it.
void Nemesis::end_stand_in(Strike& strike, const Victim& victim) {
  const Time now = monotonic_now();
  Strike cleaned{
      .fault = strike.fault, .member = strike.member, .noticed = {}, .healed = {}, .problem = {}, .left = {}};
  static_cast<void>(victim.strike(SIGKILL));
  if (board_.wait(victim.name(), {Event::Kind::died}, now, now + kHealPatience)) heal(cleaned, victim, now);
  if (strike.problem.empty()) strike.problem = cleaned.problem;
}

// What is freed a moment after its cause has a moment. Each strike answers for its own.
void Nemesis::look_for_leavings(Strike& strike) {
  const Time until = monotonic_now() + kTidyPatience;
  Footprint now = Footprint::now();
  while (!footprint_.difference(now).empty() && monotonic_now() < until && !stopped_()) {
    std::this_thread::sleep_for(20 * kStep);
    now = Footprint::now();
  }
  strike.left = footprint_.difference(now);
  footprint_ = now;
}

void Nemesis::rest(Duration length) {
  const Time until = monotonic_now() + length;
  while (monotonic_now() < until && !stopped_()) {
    std::this_thread::sleep_for(std::min<Duration>(until - monotonic_now(), 20ms));
  }
}

// An isolate of the member that is ready; of several, the next one.
Victim Nemesis::pick(const std::string& member) {
  const Time until = monotonic_now() + kHealPatience;
  while (!stopped_() && monotonic_now() < until) {
    std::vector<std::string> ready;
    for (const MemberStatus& one : ensemble_.status().members) {
      if (one.name != member) continue;
      for (const IsolateStatus& isolate : one.isolates) {
        if (isolate.phase == IsolatePhase::ready) ready.push_back(isolate.name);
      }
    }
    if (!ready.empty()) {
      Victim victim = Victim::hold(ensemble_, ready[picked_++ % ready.size()]);
      if (victim.held()) return victim;
    }
    std::this_thread::sleep_for(kStep);
  }
  return {};
}

std::uint32_t Nemesis::index_of(const std::string& member) const {
  const auto& members = ensemble_.config().members;
  const auto found = std::ranges::find(members, member, &MemberConfig::name);
  return static_cast<std::uint32_t>(found - members.begin());
}

// A hang is seen at the deadline and ended after the grace time.
Duration Nemesis::patience() const {
  const AnswerConfig& answer = ensemble_.config().answer;
  return answer.deadline + answer.grace + 5s;
}

}  // namespace tutti::stress
