#include "supervisor/core/core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "shared/message.hpp"
#include "supervisor/plan.hpp"

namespace tutti {
namespace {
constexpr std::uint32_t kNobody = UINT32_MAX;
}

Core::Core(const EnsembleConfig& config, std::uint64_t seed, bool templates)
    : random_(seed),
      grace_(config.answer.grace),
      in_flight_max_(config.limits.in_flight),
      quorum_(config.answer.quorum.of(static_cast<std::uint32_t>(config.members.size()))) {
  const std::uint32_t slot_count = slots_of(config);
  for (const MemberConfig& member : config.members) {
    const auto index = static_cast<std::uint32_t>(members_.size());
    if (member.name == config.answer.last_resort) last_resort_ = index;
    members_.push_back({.first = isolates(),
                        .instances = member.instances,
                        .template_life = IsolateLife(config.restart),
                        .templated = templates});
    for (std::uint32_t i = 0; i < member.instances; ++i) {
      isolates_.push_back({.life = IsolateLife(config.restart), .member = index, .queue = {}});
      isolates_.back().queue.resize(slot_count);
    }
  }
  slots_.resize(slot_count);
  for (std::uint32_t slot = slot_count; slot > 0; --slot) {
    slots_[slot - 1].votes.resize(members_.size());
    free_.push_back(slot - 1);  // the lowest slot is used first: its lines are warm
  }
  // Between two drains each request causes at most a publish a member and a finish, each isolate and each
  // template a kill or spawn.
  actions_.reserve(slot_count * (members_.size() + 1) + 2 * (isolates_.size() + members_.size()));
  taken_.reserve(actions_.capacity());
}

Result<std::uint32_t> Core::submit(Time now, Time deadline, std::uint32_t rows) {
  if (closed_) {
    return std::unexpected(
        Error{Errc::stopped, "the ensemble is shutting down", "predict", "launch it again"});
  }
  if (in_flight_ >= in_flight_max_ || free_.empty()) {
    if (free_.empty()) relieve_pressure();
    return std::unexpected(Error{Errc::overloaded,
                                 fmt::format("{} requests are in flight already", in_flight_), "predict",
                                 "wait for an answer, or raise limits.in_flight"});
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  Pending& request = slots_[slot];
  request.state = Pending::State::waiting;
  request.rows = rows;
  ++request.counter;
  request.accepted = now;
  request.deadline = deadline;
  request.waiting_for = members();
  request.voted = 0;
  request.holders = 0;
  ++in_flight_;
  for (MemberVote& vote : request.votes) vote = {.isolate = kNobody};
  for (std::uint32_t member = 0; member < members(); ++member) {
    if (const auto isolate = choose(member, now, kNobody)) {
      ask(*isolate, slot);
    } else {
      settle(slot, member, why_not_asked(member, now), now);
    }
  }
  return slot;
}

// The next ready isolate of the member that is not overdue, in turn.
std::optional<std::uint32_t> Core::choose(std::uint32_t member, Time now, std::uint32_t except) {
  Member& group = members_[member];
  for (std::uint32_t step = 0; step < group.instances; ++step) {
    const std::uint32_t isolate = group.first + (group.next + step) % group.instances;
    if (isolate == except || !isolates_[isolate].life.ready() || overdue(isolates_[isolate], now)) continue;
    group.next = (group.next + step + 1) % group.instances;
    return isolate;
  }
  return std::nullopt;
}

// Deadlines of a queue need not be in order: a caller may bring one of its own.
bool Core::overdue(const Isolate& isolate, Time now) const {
  for (std::uint32_t i = 0; i < isolate.count; ++i) {
    if (now >= isolate.queue[(isolate.head + i) % slots()].deadline) return true;
  }
  return false;
}

// A member that is ready but overdue is late; one that just died says what of; else it is not ready.
VoteFate Core::why_not_asked(std::uint32_t member, Time now) const {
  const Member& group = members_[member];
  VoteFate fate{.state = VoteState::not_ready};
  if (group.templated && !group.template_life.ready()) fate = group.template_cause;
  for (std::uint32_t isolate = group.first; isolate < group.first + group.instances; ++isolate) {
    const IsolateLife& life = isolates_[isolate].life;
    if (life.ready() && overdue(isolates_[isolate], now)) return {.state = VoteState::late};
    if (!life.ready() && isolates_[isolate].last_cause.state != VoteState::not_ready) {
      fate = isolates_[isolate].last_cause;
    }
    if (const auto* dying = std::get_if<Dying>(&life.state())) fate = dying->cause;
  }
  return fate;
}

void Core::ask(std::uint32_t isolate, std::uint32_t slot) {
  Isolate& asked = isolates_[isolate];
  Pending& request = slots_[slot];
  assert(asked.count < slots());
  const std::uint64_t id = request_id(asked.life.generation(), slot, request.counter);
  asked.queue[(asked.head + asked.count) % slots()] = {.id = id, .slot = slot, .deadline = request.deadline};
  ++asked.count;
  ++owed_;
  ++request.holders;
  request.votes[asked.member].isolate = isolate;
  actions_.push_back({.kind = Action::Kind::publish, .isolate = isolate, .slot = slot, .id = id});
}

std::optional<Expected> Core::expected(std::uint32_t isolate) const {
  const Isolate& asked = isolates_[isolate];
  if (asked.count == 0) return std::nullopt;
  const Outstanding& front = asked.queue[asked.head];
  const Pending& request = slots_[front.slot];
  const MemberVote& vote = request.votes[asked.member];
  return Expected{.id = front.id,
                  .slot = front.slot,
                  .rows = request.rows,
                  .wanted = request.state == Pending::State::waiting && vote.isolate == isolate &&
                            vote.fate.state == VoteState::pending};
}

void Core::answered(std::uint32_t isolate, VoteFate fate, Time now) {
  Isolate& asked = isolates_[isolate];
  const auto due = expected(isolate);
  assert(due);
  asked.head = (asked.head + 1) % slots();
  --asked.count;
  --owed_;
  if (due->wanted) settle(due->slot, asked.member, fate, now);
  let_go(due->slot);
}

void Core::condemn(std::uint32_t isolate, VoteFate cause) {
  wish(isolates_[isolate].life.condemn(cause), isolate);
}

void Core::gone(std::uint32_t isolate, VoteFate seen, Time now) {
  Isolate& dead = isolates_[isolate];
  const VoteFate cause = dead.life.gone(seen, now, random_);
  dead.last_cause = cause;
  while (const auto owed = expected(isolate)) {
    dead.head = (dead.head + 1) % slots();
    --dead.count;
    --owed_;
    if (owed->wanted) {
      MemberVote& vote = slots_[owed->slot].votes[dead.member];
      const bool may_retry = !vote.retried && now < slots_[owed->slot].deadline && !closed_;
      const auto other = may_retry ? choose(dead.member, now, isolate) : std::nullopt;
      if (other) {
        vote.retried = true;
        ask(*other, owed->slot);
      } else {
        settle(owed->slot, dead.member, cause, now);
      }
    }
    let_go(owed->slot);
  }
}

void Core::spawn_failed(std::uint32_t isolate, Time now) {
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
  Member& group = members_[member];
  group.template_life.hello(now);
  if (forks || !group.template_life.ready()) return;
  group.templated = false;
  condemn_template(member, {.state = VoteState::exited});
}

void Core::template_gone(std::uint32_t member, VoteFate seen, Time now) {
  Member& group = members_[member];
  group.template_cause = group.template_life.gone(seen, now, random_);
  group.template_failed = true;
}

void Core::template_failed(std::uint32_t member, Time now) {
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

bool Core::may_start(const Isolate& isolate) const {
  const Member& group = members_[isolate.member];
  return !closed_ && (!group.templated || group.template_life.ready());
}

// One that is not needed any more is only seen off.
void Core::tick_template(std::uint32_t member, Time now) {
  Member& group = members_[member];
  const bool waiting = !group.template_life.has_process();
  if (waiting && (closed_ || !group.templated)) return;
  wish_template(group.template_life.tick(now), member);
}

void Core::wish_template(IsolateWish wish, std::uint32_t member) {
  if (wish == IsolateWish::spawn)
    actions_.push_back({.kind = Action::Kind::start_template, .member = member});
  if (wish == IsolateWish::kill) actions_.push_back({.kind = Action::Kind::kill_template, .member = member});
}

void Core::tick(Time now) {
  for (std::uint32_t slot = 0; slot < slots(); ++slot) {
    Pending& request = slots_[slot];
    if (request.state != Pending::State::waiting || now < request.deadline) continue;
    for (std::uint32_t member = 0; member < members(); ++member) {
      if (request.votes[member].fate.state == VoteState::pending) {
        settle(slot, member, {.state = VoteState::late}, now);
      }
    }
  }
  for (std::uint32_t member = 0; member < members(); ++member) tick_template(member, now);
  for (std::uint32_t index = 0; index < isolates(); ++index) {
    Isolate& isolate = isolates_[index];
    if (isolate.count > 0 && now >= isolate.queue[isolate.head].deadline + grace_) {
      condemn(index, {.state = VoteState::hung});
    }
    if (isolate.life.has_process() || may_start(isolate)) wish(isolate.life.tick(now), index);
  }
}

void Core::settle(std::uint32_t slot, std::uint32_t member, VoteFate fate, Time now) {
  Pending& request = slots_[slot];
  MemberVote& vote = request.votes[member];
  assert(request.state == Pending::State::waiting && vote.fate.state == VoteState::pending);
  vote.fate = fate;
  vote.latency = now - request.accepted;
  if (fate.state == VoteState::voted) ++request.voted;
  if (--request.waiting_for > 0) return;
  request.state = Pending::State::finished;
  --in_flight_;
  actions_.push_back({.kind = Action::Kind::finish, .slot = slot});
}

void Core::let_go(std::uint32_t slot) {
  --slots_[slot].holders;
  free_if_done(slot);
}

void Core::release(std::uint32_t slot) {
  assert(slots_[slot].state == Pending::State::finished);
  slots_[slot].state = Pending::State::held;
  free_if_done(slot);
}

void Core::free_if_done(std::uint32_t slot) {
  Pending& request = slots_[slot];
  if (request.state != Pending::State::held || request.holders > 0) return;
  request.state = Pending::State::free;
  free_.push_back(slot);
}

// Every slot is taken: overdue isolates hold them. Those that hold a request that has finished without them
// go.
void Core::relieve_pressure() {
  for (std::uint32_t index = 0; index < isolates(); ++index) {
    const Isolate& isolate = isolates_[index];
    for (std::uint32_t i = 0; i < isolate.count; ++i) {
      const Outstanding& owed = isolate.queue[(isolate.head + i) % slots()];
      if (slots_[owed.slot].state != Pending::State::held) continue;
      condemn(index, {.state = VoteState::hung});
      break;
    }
  }
}

void Core::kill_all() {
  for (std::uint32_t index = 0; index < isolates(); ++index) condemn(index, {.state = VoteState::exited});
  for (std::uint32_t member = 0; member < members(); ++member) {
    condemn_template(member, {.state = VoteState::exited});
  }
}

void Core::wish(IsolateWish wish, std::uint32_t isolate) {
  if (wish == IsolateWish::spawn) {
    const std::uint32_t member = isolates_[isolate].member;
    actions_.push_back({.kind = Action::Kind::spawn,
                        .isolate = isolate,
                        .member = member,
                        .whole = !members_[member].templated});
  }
  if (wish == IsolateWish::kill) actions_.push_back({.kind = Action::Kind::kill, .isolate = isolate});
}

std::span<const Action> Core::take_actions() {
  taken_.clear();
  std::swap(taken_, actions_);
  return taken_;
}

std::uint32_t Core::members_ready() const {
  return static_cast<std::uint32_t>(std::ranges::count_if(members_, [&](const Member& member) {
    const auto* first = isolates_.data() + member.first;
    return std::any_of(first, first + member.instances,
                       [](const Isolate& isolate) { return isolate.life.ready(); });
  }));
}

bool Core::answerable(const Pending& request) const {
  if (request.voted >= quorum_) return true;
  return last_resort_ && request.votes[*last_resort_].fate.state == VoteState::voted;
}

Time Core::wake_at() const {
  Time wake = kNever;
  for (const Pending& request : slots_) {
    if (request.state == Pending::State::waiting) wake = std::min(wake, request.deadline);
  }
  for (const Isolate& isolate : isolates_) {
    // A verdict that was spoken already is nothing to wake for.
    const bool judged = std::holds_alternative<Dying>(isolate.life.state());
    if (isolate.count > 0 && !judged) wake = std::min(wake, isolate.queue[isolate.head].deadline + grace_);
    if (isolate.life.has_process() || may_start(isolate)) wake = std::min(wake, isolate.life.wake_at());
  }
  for (const Member& member : members_) {
    const bool wanted = member.template_life.has_process() || (member.templated && !closed_);
    if (wanted) wake = std::min(wake, member.template_life.wake_at());
  }
  return wake;
}

}  // namespace tutti
