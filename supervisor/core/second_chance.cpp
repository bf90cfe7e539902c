// Second attempts: hedges against a slow instance, retries after a death, and the turns of suspects.
#include <algorithm>

#include "supervisor/core/core.hpp"
#include "supervisor/core/seeded_bug.hpp"

namespace tutti {
namespace {

// A timer is set for a hedge, so it must not come at every request of a fast model.
constexpr Duration kHedgeMin = std::chrono::milliseconds(1);

}  // namespace

// When the member's vote is slower than usual; kNever if it is not to be hedged.
Time Core::hedge_time(std::uint32_t slot, std::uint32_t member) const {
  const Pending& request = slots_[slot];
  const MemberVote& vote = request.votes[member];
  const bool first = vote.fate.state == VoteState::pending && vote.isolate != kNobody &&
                     vote.second == kNobody && !vote.hedged && !vote.retried;
  if (!hedges_ || members_[member].instances < 2 || !first || (vote.suspect && !has_bug(22))) return kNever;
  const auto usual = members_[member].latency.p95();
  if (!usual) return kNever;
  const Time due = request.accepted + std::max(*usual, kHedgeMin);
  return due < request.deadline ? due : kNever;
}

// Each vote has one chance: what cannot be hedged when it is due is not hedged at all.
void Core::hedge(std::uint32_t slot, Time now) {
  Pending& request = slots_[slot];
  request.hedge_at = kNever;
  for (std::uint32_t member = 0; member < members(); ++member) {
    const Time due = hedge_time(slot, member);
    if (now >= due) {
      hedge_vote(slot, member, now);
    } else {
      request.hedge_at = std::min(request.hedge_at, due);
    }
  }
}

void Core::hedge_vote(std::uint32_t slot, std::uint32_t member, Time now) {
  MemberVote& vote = slots_[slot].votes[member];
  vote.hedged = true;
  // Under load a second attempt takes the place of somebody's first.
  if (2 * in_flight_ > in_flight_max_ && !has_bug(23)) return;
  const auto other = choose(member, now, vote.isolate);
  if (!other || !members_[member].extra.spend()) return;
  ++counters_.hedged;
  ask(*other, slot);
}

// An attempt was lost to the death of its isolate.
void Core::lose(std::uint32_t slot, std::uint32_t isolate, VoteFate cause, Time now) {
  const std::uint32_t member = isolates_[isolate].member;
  MemberVote& vote = slots_[slot].votes[member];
  vote.suspect = true;
  if (vote.second != kNobody) {
    if (vote.isolate == isolate) vote.isolate = vote.second;
    vote.second = kNobody;
    return;
  }
  const std::optional<Fingerprint>& input = slots_[slot].fingerprint;
  if (input && poison_.kills(member, *input, now) >= PoisonTable::kKillsMax) {
    settle(slot, member, {.state = VoteState::quarantined}, now);
    return;
  }
  const bool spent = (vote.retried || vote.hedged) && !has_bug(24);
  const bool may_retry = !spent && now < slots_[slot].deadline && !closed_ && any_ready(member);
  if (!may_retry || !members_[member].extra.spend()) {
    settle(slot, member, cause, now);
    return;
  }
  vote.retried = true;
  vote.lost_to = cause;
  ++counters_.retried;
  make_suspect(slot, member);
}

void Core::make_suspect(std::uint32_t slot, std::uint32_t member) {
  MemberVote& vote = slots_[slot].votes[member];
  vote.suspect = true;
  vote.waiting = true;
  vote.isolate = kNobody;
  ++members_[member].suspects_waiting;
}

// One suspect of the member is worked on at a time, so that the next death tells which one it was.
void Core::ask_suspects(std::uint32_t member, Time now) {
  Member& group = members_[member];
  while (group.suspects_waiting > 0 && (group.suspect_isolate == kNobody || has_bug(25))) {
    const std::uint32_t slot = oldest_suspect(member);
    MemberVote& vote = slots_[slot].votes[member];
    const std::optional<Fingerprint>& input = slots_[slot].fingerprint;
    // While this request waited for its turn its deadline may have passed, or its input killed once more.
    if (now >= slots_[slot].deadline) {
      settle(slot, member, vote.retried ? vote.lost_to : VoteFate{.state = VoteState::late}, now);
    } else if (input && poison_.kills(member, *input, now) >= PoisonTable::kKillsMax && !has_bug(14)) {
      settle(slot, member, {.state = VoteState::quarantined}, now);
    } else if (!vote.retried && !group.breaker.still_admits(slot)) {
      settle(slot, member, {.state = VoteState::ejected}, now);
    } else if (const auto isolate = choose(member, now, kNobody)) {
      vote.waiting = false;
      --group.suspects_waiting;
      group.suspect_isolate = *isolate;
      if (!vote.retried) group.extra.earn();
      ask(*isolate, slot);
      group.suspect_id = actions_.back().id;
    } else if (!any_ready(member)) {
      settle(slot, member, vote.retried ? vote.lost_to : why_not_asked(member, now), now);
    } else {
      return;  // all are overdue: until one answers
    }
  }
}

std::uint32_t Core::oldest_suspect(std::uint32_t member) const {
  std::uint32_t oldest = kNobody;
  for (std::uint32_t slot = 0; slot < slots(); ++slot) {
    if (slots_[slot].state != Pending::State::waiting || !slots_[slot].votes[member].waiting) continue;
    if (oldest == kNobody || slots_[slot].accepted < slots_[oldest].accepted) oldest = slot;
  }
  return oldest;
}

}  // namespace tutti
