// Requests: who is asked, what an answer settles, when a slot is free again.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "shared/message.hpp"
#include "supervisor/core/core.hpp"
#include "supervisor/core/seeded_bug.hpp"

namespace tutti {
namespace {

// What a vote says about its member's health.
Outcome outcome_of(VoteState state) {
  switch (state) {
    case VoteState::voted:
      return Outcome::good;
    case VoteState::late:
    case VoteState::rejected:
      return Outcome::bad;
    case VoteState::crashed:
    case VoteState::exited:
    case VoteState::hung:
    case VoteState::protocol_violation:
    case VoteState::out_of_memory:
    case VoteState::escape_attempt:
      return Outcome::lost;
    default:
      return Outcome::neutral;
  }
}

}  // namespace

Result<std::uint32_t> Core::submit(Time now, Time deadline, std::uint32_t rows,
                                   std::optional<Fingerprint> fingerprint,
                                   std::span<const Fingerprint> row_fingerprints) {
  see(now);
  if (closed_) {
    return std::unexpected(
        Error{Errc::stopped, "the ensemble is shutting down", "predict", "launch it again"});
  }
  if ((in_flight_ >= in_flight_max_ && !has_bug(12)) || free_.empty()) {
    if (free_.empty()) relieve_pressure(now);
    ++counters_.shed;
    return std::unexpected(Error{Errc::overloaded,
                                 fmt::format("{} requests are in flight already", in_flight_), "predict",
                                 "wait for an answer, or raise limits.in_flight"});
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  if (hunts_ > 0 && scarce() && !has_bug(35)) give_up_hunts();
  Pending& request = slots_[slot];
  request.state = Pending::State::waiting;
  request.rows = rows;
  if (!has_bug(13)) ++request.counter;
  request.accepted = now;
  request.deadline = deadline;
  request.hedge_at = kNever;
  request.waiting_for = members();
  request.voted = 0;
  request.holders = 0;
  request.fingerprint = fingerprint;
  ++in_flight_;
  ++counters_.accepted;
  for (MemberVote& vote : request.votes) vote = {};
  const bool rows_known = !row_fingerprints.empty();
  if (rows_known) find_guilty_rows(row_fingerprints, now);
  for (std::uint32_t member = 0; member < members(); ++member) {
    ask_member(slot, member, rows_known ? guilty_rows_[member] : kNobody, now);
  }
  return slot;
}

void Core::find_guilty_rows(std::span<const Fingerprint> rows, Time now) {
  std::ranges::fill(guilty_rows_, kNobody);
  poison_.expire(now);
  for (std::uint32_t row = 0; row < rows.size(); ++row) {
    poison_.for_each_victim(
        rows[row], [&](std::uint32_t member) { guilty_rows_[member] = std::min(guilty_rows_[member], row); });
  }
}

void Core::ask_member(std::uint32_t slot, std::uint32_t member, std::uint32_t guilty_row, Time now) {
  if (guilty_row != kNobody) {
    settle(slot, member, quarantined_for_row(guilty_row), now);
    return;
  }
  Member& group = members_[member];
  const std::optional<Fingerprint>& input = slots_[slot].fingerprint;
  const std::uint32_t kills = input && !poison_.empty() ? poison_.kills(member, *input, now) : 0;
  if (kills >= PoisonTable::kKillsMax && !has_bug(14)) {
    settle(slot, member, {.state = VoteState::quarantined}, now);
    return;
  }
  if (!group.breaker.admits(now)) {
    settle(slot, member, {.state = VoteState::ejected}, now);
    return;
  }
  const auto isolate = choose(member, now, kNobody);
  if (!isolate) {
    settle(slot, member, why_not_asked(member, now), now);
    return;
  }
  group.breaker.asked(slot);
  if (kills > 0) {
    make_suspect(slot, member);
    ask_suspects(member, now);
    return;
  }
  group.extra.earn();
  ask(*isolate, slot);
  slots_[slot].hedge_at = std::min(slots_[slot].hedge_at, hedge_time(slot, member));
}

// The next ready isolate of the member that is not overdue, in turn.
std::optional<std::uint32_t> Core::choose(std::uint32_t member, Time now, std::uint32_t except) {
  Member& group = members_[member];
  for (std::uint32_t step = 0; step < group.instances; ++step) {
    const std::uint32_t isolate = group.first + (group.next + step) % group.instances;
    if (isolate == except || (!isolates_[isolate].life.ready() && !has_bug(15))) continue;
    if (overdue(isolates_[isolate], now) && !has_bug(16)) continue;
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

// One attempt. A vote that has one already gets this as its second.
void Core::ask(std::uint32_t isolate, std::uint32_t slot) {
  const Isolate& asked = isolates_[isolate];
  Pending& request = slots_[slot];
  push(isolate, {.id = request_id(asked.life.generation(), slot, request.counter),
                 .slot = slot,
                 .rows = request.rows,
                 .deadline = request.deadline,
                 .hung_at = request.deadline + grace_});
  ++counters_.asked;
  MemberVote& vote = request.votes[asked.member];
  (vote.isolate == kNobody ? vote.isolate : vote.second) = isolate;
}

void Core::push(std::uint32_t isolate, const Outstanding& owed) {
  Isolate& asked = isolates_[isolate];
  assert(asked.count < slots());
  asked.queue[(asked.head + asked.count) % slots()] = owed;
  ++asked.count;
  ++owed_;
  if (!has_bug(17)) ++slots_[owed.slot].holders;
  actions_.push_back({.kind = Action::Kind::publish,
                      .isolate = isolate,
                      .slot = owed.slot,
                      .id = owed.id,
                      .probe = owed.probe,
                      .first_row = owed.first_row,
                      .rows = owed.rows,
                      .deadline = owed.deadline});
}

std::optional<Expected> Core::expected(std::uint32_t isolate) const {
  const Isolate& asked = isolates_[isolate];
  if (asked.count == 0) return std::nullopt;
  const Outstanding& front = asked.queue[asked.head];
  const Pending& request = slots_[front.slot];
  const MemberVote& vote = request.votes[asked.member];
  const bool attempt = vote.isolate == isolate || vote.second == isolate;
  return Expected{.id = front.id,
                  .slot = front.slot,
                  .rows = front.rows,
                  .wanted = !front.probe && request.state == Pending::State::waiting && attempt &&
                            vote.fate.state == VoteState::pending,
                  .probe = front.probe};
}

Core::Outstanding Core::pop(std::uint32_t isolate) {
  Isolate& asked = isolates_[isolate];
  const Outstanding front = asked.queue[asked.head];
  asked.head = (asked.head + 1) % slots();
  --asked.count;
  --owed_;
  Member& group = members_[asked.member];
  if (group.suspect_isolate == isolate && group.suspect_id == front.id) group.suspect_isolate = kNobody;
  if (front.probe) prober_ = kNobody;
  return front;
}

void Core::answered(std::uint32_t isolate, VoteFate fate, Time now) {
  see(now);
  const auto due = expected(isolate);
  assert(due);
  const Outstanding owed = pop(isolate);
  // Who answers is not hung: what stood behind it has its grace from now on.
  Isolate& alive = isolates_[isolate];
  Outstanding& next = alive.queue[alive.head];
  if (alive.count > 0) next.hung_at = std::max(next.hung_at, now + grace_);
  const std::uint32_t member = alive.member;
  if (owed.probe) {
    probe_answered(member, owed, fate);
  } else {
    take_answer(isolate, *due, fate, now);
  }
  let_go(owed.slot);
  ask_suspects(member, now);
  hunt_on(now);
}

// The answer to a request, wanted or not.
void Core::take_answer(std::uint32_t isolate, const Expected& due, VoteFate fate, Time now) {
  const std::uint32_t member = isolates_[isolate].member;
  Member& group = members_[member];
  const Pending& request = slots_[due.slot];
  MemberVote& vote = slots_[due.slot].votes[member];
  const bool second = vote.second == isolate;
  if (!second && !vote.retried) group.latency.add(now - request.accepted);
  if (request.fingerprint && !poison_.empty()) poison_.absolve(member, *request.fingerprint);
  if (!due.wanted) {
    ++counters_.dropped;
  } else if (fate.state != VoteState::voted && vote.second != kNobody) {
    // The other attempt may do better.
    if (!second) vote.isolate = vote.second;
    vote.second = kNobody;
  } else {
    if (second && fate.state == VoteState::voted) ++counters_.hedges_won;
    settle(due.slot, member, fate, now);
  }
}

void Core::settle(std::uint32_t slot, std::uint32_t member, VoteFate fate, Time now) {
  Pending& request = slots_[slot];
  Member& group = members_[member];
  MemberVote& vote = request.votes[member];
  assert(request.state == Pending::State::waiting && vote.fate.state == VoteState::pending);
  if (vote.waiting) --group.suspects_waiting;
  const bool asked = vote.isolate != kNobody;
  vote.waiting = false;
  vote.fate = fate;
  vote.latency = now - request.accepted;
  if (fate.state == VoteState::voted || has_bug(18)) ++request.voted;
  count_vote(fate.state);
  const Outcome outcome = asked || fate.state == VoteState::voted ? outcome_of(fate.state) : Outcome::neutral;
  if (group.breaker.settled(slot, outcome, now)) ++counters_.breaker_opened;
  if (--request.waiting_for > 0) return;
  request.state = Pending::State::finished;
  --in_flight_;
  ++counters_.finished;
  actions_.push_back({.kind = Action::Kind::finish, .slot = slot});
}

void Core::settle_overdue(std::uint32_t slot, Time now) {
  if (has_bug(19) && slots_[slot].voted == 0) return;
  for (std::uint32_t member = 0; member < members(); ++member) {
    const MemberVote& vote = slots_[slot].votes[member];
    if (vote.fate.state != VoteState::pending) continue;
    const bool only_lost = vote.waiting && vote.retried;
    settle(slot, member, only_lost ? vote.lost_to : VoteFate{.state = VoteState::late}, now);
  }
}

void Core::count_vote(VoteState state) {
  switch (state) {
    case VoteState::voted:
      ++counters_.voted;
      break;
    case VoteState::late:
      ++counters_.late;
      break;
    case VoteState::rejected:
      ++counters_.rejected;
      break;
    case VoteState::failed:
      ++counters_.failed;
      break;
    case VoteState::quarantined:
      ++counters_.quarantined;
      break;
    case VoteState::ejected:
      ++counters_.ejected;
      break;
    case VoteState::not_ready:
    case VoteState::start_failed:
    case VoteState::start_timeout:
      ++counters_.not_ready;
      break;
    default:
      ++counters_.lost;
  }
}

void Core::let_go(std::uint32_t slot) {
  if (has_bug(17)) return;
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
  if (has_bug(20) && request.voted == 0) return;
  request.state = Pending::State::free;
  free_.push_back(slot);
}

// Every slot is taken: overdue isolates hold them. Those that hold a request that has finished without them
// go.
void Core::relieve_pressure(Time now) {
  if (now < spared_until_ || has_bug(21)) return;
  for (std::uint32_t index = 0; index < isolates(); ++index) {
    const Isolate& isolate = isolates_[index];
    for (std::uint32_t i = 0; i < isolate.count; ++i) {
      const Outstanding& owed = isolate.queue[(isolate.head + i) % slots()];
      if (slots_[owed.slot].state != Pending::State::held) continue;
      if (owed.probe && now < owed.deadline) continue;
      condemn(index, {.state = VoteState::hung});
      break;
    }
  }
}

}  // namespace tutti
