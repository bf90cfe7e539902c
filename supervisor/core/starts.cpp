// Starts and ends: templates, isolates, verdicts on those that are silent, restarts.
#include <signal.h>

#include <algorithm>

#include "supervisor/core/core.hpp"
#include "supervisor/core/seeded_bug.hpp"

namespace tutti {
namespace {

// A supervisor that was away for longer judges no worker for what it could not see meanwhile.
constexpr Duration kLagMax = std::chrono::milliseconds(250);

// What an input can do to its isolate. SIGKILL and SIGTERM come from outside, a hang can be the machine's.
bool blames_input(const VoteFate& cause) {
  if (cause.state == VoteState::crashed) return cause.detail != SIGKILL && cause.detail != SIGTERM;
  return cause.state == VoteState::exited || cause.state == VoteState::out_of_memory;
}

}  // namespace

// ---- isolates ----

void Core::hello(std::uint32_t isolate, Time now) {
  see(now);
  isolates_[isolate].life.hello(now);
  ask_suspects(isolates_[isolate].member, now);
  hunt_on(now);
}

void Core::condemn(std::uint32_t isolate, VoteFate cause) {
  const IsolateWish answer = isolates_[isolate].life.condemn(cause);
  if (answer == IsolateWish::kill && cause.state == VoteState::protocol_violation) ++counters_.lied;
  wish(answer, isolate);
}

std::optional<Blame> Core::blamed(std::uint32_t isolate, VoteFate seen) const {
  const Isolate& dead = isolates_[isolate];
  if (dead.count == 0 || !blames_input(dead.life.cause_of(seen))) return std::nullopt;
  const Outstanding& front = dead.queue[dead.head];
  return Blame{
      .slot = front.slot, .rows = {.first = front.first_row, .rows = front.rows}, .probe = front.probe};
}

void Core::gone(std::uint32_t isolate, VoteFate seen, Time now) {
  see(now);
  Isolate& dead = isolates_[isolate];
  Member& group = members_[dead.member];
  const auto guilty = blamed(isolate, seen);
  const bool poisoned = guilty && !guilty->probe && blame_input(*guilty, dead.member, now);
  ++counters_.deaths;

  const bool served = dead.life.ready() || dead.count > 0;
  const Demise demise = demise_of(isolate, seen);
  const bool charged = !poisoned && (demise == Demise::other || has_bug(36));
  const VoteFate cause = dead.life.gone(seen, now, random_, charged);
  dead.last_cause = cause;
  // What the supervisor ends on its own account is no failure.
  if (served && charged && !closed_ && group.breaker.died(now)) ++counters_.breaker_opened;
  while (const auto due = expected(isolate)) {
    const Outstanding owed = pop(isolate);
    if (has_bug(26) && dead.count == 0) break;
    if (owed.probe) probe_lost(isolate, owed, demise, now);
    if (due->wanted) lose(owed.slot, isolate, cause, now);
    let_go(owed.slot);
  }
  probe_input_.reset();
  ask_suspects(dead.member, now);
  hunt_on(now);
}

// True if the input has killed often enough to be quarantined.
bool Core::blame_input(const Blame& blame, std::uint32_t member, Time now) {
  const Pending& request = slots_[blame.slot];
  if (!request.fingerprint) return false;
  const std::uint32_t kills = poison_.blame(member, *request.fingerprint, request.rows == 1, now);
  if (kills < PoisonTable::kKillsMax) return false;
  ++counters_.poisoned;
  begin_hunt(blame.slot, member, now);
  return true;
}

// A liar lies for itself, whatever it was asked.
Core::Demise Core::demise_of(std::uint32_t isolate, VoteFate seen) const {
  const Isolate& dead = isolates_[isolate];
  if (dead.count == 0 || !dead.queue[dead.head].probe) return Demise::other;
  const VoteFate cause = dead.life.cause_of(seen);
  if (blames_input(cause)) return Demise::of_input;
  return cause.state == VoteState::hung ? Demise::hung : Demise::other;
}

void Core::spawn_failed(std::uint32_t isolate, Time now) {
  see(now);
  Isolate& missing = isolates_[isolate];
  if (!may_start(missing)) {
    missing.life.spawn_postponed(now);
    return;
  }
  missing.life.spawn_failed(now, random_);
  missing.last_cause = {.state = VoteState::start_failed};
}

// ---- templates ----

void Core::template_ready(std::uint32_t member, bool forks, Time now) {
  see(now);
  Member& group = members_[member];
  group.template_life.hello(now);
  if (forks || !group.template_life.ready()) return;
  group.templated = false;
  condemn_template(member, {.state = VoteState::exited});
}

void Core::template_gone(std::uint32_t member, VoteFate seen, Time now) {
  see(now);
  Member& group = members_[member];
  ++counters_.deaths;
  group.template_cause = group.template_life.gone(seen, now, random_);
  group.template_failed = true;
}

void Core::template_failed(std::uint32_t member, Time now) {
  see(now);
  Member& group = members_[member];
  group.template_life.spawn_failed(now, random_);
  group.template_cause = {.state = VoteState::start_failed};
  group.template_failed = true;
}

void Core::condemn_template(std::uint32_t member, VoteFate cause) {
  wish_template(members_[member].template_life.condemn(cause), member);
}

bool Core::tried(std::uint32_t isolate) const {
  const Isolate& asked = isolates_[isolate];
  const Member& group = members_[asked.member];
  return asked.life.tried() || (group.templated && group.template_failed);
}

// ---- time ----

// Every event comes through here. One that comes long after something was due shows that the supervisor was
// away; what it holds against silent workers waits as much longer, and a moment more for what they have to
// say. Requests do not wait: their callers do.
void Core::see(Time now) {
  if (last_seen_ > Time{} && now - last_seen_ > kLagMax) {
    const Time due = std::max(wake_at(), last_seen_);
    if (now - kLagMax > due && !has_bug(27)) {
      ++counters_.stalls;
      const Duration lag = now - due + kLagMax;
      spared_until_ = now + kLagMax;
      for (Isolate& isolate : isolates_) {
        isolate.life.extend(lag);
        for (std::uint32_t i = 0; i < isolate.count; ++i) {
          isolate.queue[(isolate.head + i) % slots()].hung_at += lag;
        }
      }
      for (Member& member : members_) member.template_life.extend(lag);
    }
  }
  last_seen_ = now;
}

bool Core::may_start(const Isolate& isolate) const {
  const Member& group = members_[isolate.member];
  return (!closed_ || has_bug(28)) && (!group.templated || group.template_life.ready() || has_bug(29));
}

bool Core::template_wanted(const Member& member) const { return member.templated && !closed_; }

// When the life next wants something: its restarts may have to wait for everybody's rate.
Time Core::start_time(const IsolateLife& life) const {
  const bool restart = !life.has_process() && life.was_started();
  return restart ? std::max(life.wake_at(), restarts_.next()) : life.wake_at();
}

// True if the life may be ticked: it has a process, or its time has come and the rate allows it.
bool Core::may_spawn(const IsolateLife& life, Time now) {
  if (life.has_process() || now < life.wake_at()) return true;
  if (!life.was_started()) return true;
  if (!restarts_.take(now)) return false;
  ++counters_.restarts;
  return true;
}

// One that is not needed any more is only seen off.
void Core::tick_template(std::uint32_t member, Time now) {
  Member& group = members_[member];
  if (!group.template_life.has_process() && !template_wanted(group)) return;
  if (may_spawn(group.template_life, now)) wish_template(group.template_life.tick(now), member);
}

// False if it had to wait for the rate.
bool Core::tick_isolate(std::uint32_t index, Time now) {
  Isolate& isolate = isolates_[index];
  if (isolate.count > 0 && now >= isolate.queue[isolate.head].hung_at) {
    if (!has_bug(30)) condemn(index, {.state = VoteState::hung});
  }
  if (!isolate.life.has_process() && !may_start(isolate)) return true;
  if (!may_spawn(isolate.life, now)) return false;
  wish(isolate.life.tick(now), index);
  return true;
}

void Core::wish(IsolateWish wish, std::uint32_t isolate) {
  if (wish == IsolateWish::kill) {
    ++counters_.killed;
    actions_.push_back({.kind = Action::Kind::kill, .isolate = isolate});
  }
  if (wish != IsolateWish::spawn) return;
  const std::uint32_t member = isolates_[isolate].member;
  actions_.push_back({.kind = Action::Kind::spawn,
                      .isolate = isolate,
                      .member = member,
                      .whole = !members_[member].templated});
}

void Core::wish_template(IsolateWish wish, std::uint32_t member) {
  if (wish == IsolateWish::kill) ++counters_.killed;
  if (wish == IsolateWish::spawn)
    actions_.push_back({.kind = Action::Kind::start_template, .member = member});
  if (wish == IsolateWish::kill) actions_.push_back({.kind = Action::Kind::kill_template, .member = member});
}

}  // namespace tutti
