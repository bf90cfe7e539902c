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

constexpr Duration kWindow = 500ms;      // how long a strike's effect on others is measured, at least
constexpr Duration kQuietLeast = 250ms;  // between two strikes
constexpr Duration kQuietMore = 250ms;   // a random share of this comes on top
constexpr Duration kHealPatience = 15s;
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

Nemesis::Nemesis(Ensemble& ensemble, Load& load, Journal& journal, EventBoard& board,
                 std::vector<Fault> faults, const std::vector<std::string>& members,
                 const std::string& stand_in, Time begun, std::uint64_t seed, std::function<bool()> stopped)
    : ensemble_(ensemble),
      load_(load),
      journal_(journal),
      board_(board),
      faults_(std::move(faults)),
      begun_(begun),
      random_(seed),
      stopped_(std::move(stopped)) {
  for (std::size_t fault = 0; fault < faults_.size(); ++fault) {
    if (faults_[fault].means == Fault::Means::stand_in) {
      targets_.push_back({fault, stand_in});
    } else {
      for (const std::string& member : members) targets_.push_back({fault, member});
    }
  }
}

void Nemesis::run(Time until, const std::function<void(const Fault&, const std::string&)>& on_strike) {
  while (!stopped_()) {
    std::ranges::shuffle(targets_, random_);
    for (const Target& target : targets_) {
      if (stopped_() || monotonic_now() >= until) return;
      on_strike(faults_[target.fault], target.member);
      strikes_.push_back(strike(target));
      rest(kQuietLeast +
           Duration(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(kQuietMore.count()))));
    }
    complete_ = true;
  }
}

Strike Nemesis::strike(const Target& target) {
  const Fault& fault = faults_[target.fault];
  Strike strike{.fault = target.fault, .member = target.member, .noticed = {}, .healed = {}, .problem = {}};
  const auto isolate = pick(target.member);
  const std::uint32_t member = index_of(target.member);
  strike.window = journal_.open_window(member);
  const Time struck = monotonic_now();
  strike.at = struck - begun_;
  if (!isolate) {
    strike.problem =
        fmt::format("none of {}'s isolates became ready in {}", target.member, milliseconds(kHealPatience));
    journal_.close_window(false);
    return strike;
  }
  const std::string name(isolate->name);
  if (fault.means == Fault::Means::signal) {
    if (::kill(isolate->pid, fault.code) != 0) strike.problem = "the signal could not be sent";
  } else {
    command(fault, strike, struck, name);
  }
  journal_.watch_for(member);
  const bool may_live = fault.outcome != Fault::Outcome::dies;
  const auto died =
      board_.wait(name, {Event::Kind::died}, struck, may_live ? struck + kWindow : struck + patience());
  if (died) {
    strike.noticed = died->at - struck;
    heal(strike, name, member, died->at);
  } else if (!may_live) {
    strike.problem = fmt::format("it was not ended within {}", milliseconds(patience()));
  } else if (fault.outcome == Fault::Outcome::misses) {
    const auto seen = journal_.seen_again();
    if (seen && strike.noticed) strike.healed = *seen - struck - *strike.noticed;
    if (!seen && strike.problem.empty()) strike.problem = "it did not vote again";
  }
  if (!died) end_stand_in(strike, name, member, isolate->pid);
  const Duration left = struck + kWindow - monotonic_now();
  if (left > Duration::zero()) rest(left);
  journal_.close_window(journal_.seen_again().has_value());
  return strike;
}

// Asks the stand-in to misbehave, and reads what the answer says of it.
void Nemesis::command(const Fault& fault, Strike& strike, Time begun_at, const std::string& isolate) {
  const Prediction prediction = load_.command(fault.code);
  const auto vote = std::ranges::find(prediction.votes,
                                      std::string_view(isolate).substr(0, isolate.rfind('/')), &Vote::member);
  if (vote == prediction.votes.end()) return;
  if (vote->message.find(HOSTILE_UNSTOPPED) != std::string::npos) strike.problem = vote->message;
  if (fault.outcome == Fault::Outcome::misses) {
    if (vote->voted()) strike.problem = "its vote counted";
    strike.noticed = monotonic_now() - begun_at;
  }
}

// Waits until the isolate that died at `since` is replaced and its member votes again.
void Nemesis::heal(Strike& strike, const std::string& isolate, std::uint32_t member, Time since) {
  const Time until = monotonic_now() + kHealPatience;
  if (!board_.wait(isolate, {Event::Kind::ready}, since, until)) {
    strike.problem = fmt::format("it was not replaced within {}", milliseconds(kHealPatience));
    return;
  }
  journal_.watch_for(member);
  while (!journal_.seen_again() && monotonic_now() < until && !stopped_()) std::this_thread::sleep_for(kStep);
  if (const auto seen = journal_.seen_again()) {
    strike.healed = *seen - since;
  } else if (!stopped_()) {
    strike.problem = fmt::format("it did not vote again within {}", milliseconds(kHealPatience));
  }
}

// Threads, descriptors and forks of a stand-in end with it; so does whatever was not noticed of it.
void Nemesis::end_stand_in(Strike& strike, const std::string& isolate, std::uint32_t member, int pid) {
  strike.ended_by_us = true;
  const Time now = monotonic_now();
  ::kill(pid, SIGKILL);
  Strike cleaned;
  if (board_.wait(isolate, {Event::Kind::died}, now, now + kHealPatience))
    heal(cleaned, isolate, member, now);
  if (strike.problem.empty()) strike.problem = cleaned.problem;
}

void Nemesis::rest(Duration length) {
  const Time until = monotonic_now() + length;
  while (monotonic_now() < until && !stopped_()) {
    std::this_thread::sleep_for(std::min<Duration>(until - monotonic_now(), 20ms));
  }
}

// An isolate of the member that is ready; of several, a random one.
std::optional<IsolateStatus> Nemesis::pick(const std::string& member) {
  const Time until = monotonic_now() + kHealPatience;
  while (!stopped_()) {
    const EnsembleStatus status = ensemble_.status();
    std::vector<IsolateStatus> ready;
    for (const MemberStatus& one : status.members) {
      if (one.name != member) continue;
      std::ranges::copy_if(one.isolates, std::back_inserter(ready),
                           [](const IsolateStatus& isolate) { return isolate.phase == IsolatePhase::ready; });
    }
    if (!ready.empty()) return ready[random_() % ready.size()];
    if (monotonic_now() >= until) break;
    std::this_thread::sleep_for(kStep);
  }
  return std::nullopt;
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
