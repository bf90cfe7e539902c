#include "supervisor/core/hunt.hpp"

#include <algorithm>
#include <cassert>

#include "shared/message.hpp"
#include "supervisor/core/core.hpp"
#include "supervisor/core/seeded_bug.hpp"

namespace tutti {

// ---- what is known ----

void Hunt::begin(std::uint32_t slot, std::uint32_t rows, Time now) noexcept {
  *this = {};
  active_ = true;
  slot_ = slot;
  rows_ = rows;
  until_ = now + kLasts;
  allow_deaths();
  halve({.first = 0, .rows = rows});
}

// Enough for the next row: a death a level, and as many again that were chance.
void Hunt::allow_deaths() noexcept {
  const auto levels = static_cast<std::uint32_t>(std::bit_width(rows_ - 1));
  deaths_left_ = std::min(2 * levels + 4, kDeathsMax - deaths_);
}

// The first half comes to lie on top.
void Hunt::halve(RowRange guilty) noexcept {
  assert(guilty.rows > 1 && unknown_count_ + 2 <= unknown_.size());
  const std::uint32_t half = guilty.rows / 2;
  unknown_[unknown_count_++] = {.range = {.first = guilty.first + half, .rows = guilty.rows - half}};
  unknown_[unknown_count_++] = {.range = {.first = guilty.first, .rows = half}, .first_half = true};
}

std::optional<std::uint32_t> Hunt::died() noexcept {
  assert(active_ && unknown_count_ > 0 && deaths_left_ > 0);
  asked_ = 0;
  const RowRange guilty = unknown_[--unknown_count_].range;
  ++deaths_;
  --deaths_left_;
  if (guilty.rows > 1) {
    halve(guilty);
    return std::nullopt;
  }
  allow_deaths();
  if (has_bug(31)) unknown_count_ = 0;
  return guilty.first;
}

void Hunt::survived() noexcept {
  assert(active_ && unknown_count_ > 0);
  asked_ = 0;
  const Unknown innocent = unknown_[--unknown_count_];
  if (!innocent.first_half) return;
  // One of the two must kill, so it is the other. A single row is asked all the same.
  const RowRange other = unknown_[unknown_count_ - 1].range;
  if (other.rows == 1) return;
  --unknown_count_;
  if (!has_bug(32)) halve(other);
}

void Hunt::lost() noexcept {
  asked_ = 0;
  ++lost_;
}

std::optional<RowRange> Hunt::next() const noexcept {
  if (unknown_count_ == 0) return std::nullopt;
  return unknown_[unknown_count_ - 1].range;
}

// ---- what is done about it ----

// The dead isolate still holds the slot; the hunt holds it from now on.
void Core::begin_hunt(std::uint32_t slot, std::uint32_t member, Time now) {
  Member& group = members_[member];
  if (closed_ || slots_[slot].rows < 2 || group.hunt.active() || now < group.hunt_after) return;
  if (scarce()) return;
  group.hunt.begin(slot, slots_[slot].rows, now);
  ++slots_[slot].holders;
  ++hunts_;
  ++counters_.hunts;
}

void Core::end_hunt(std::uint32_t member) {
  Hunt& hunt = members_[member].hunt;
  hunt.end();
  --hunts_;
  if (!has_bug(33)) {
    --slots_[hunt.slot()].holders;
    free_if_done(hunt.slot());
  }
}

void Core::give_up_hunt(std::uint32_t member) {
  ++counters_.hunts_given_up;
  end_hunt(member);
}

void Core::give_up_hunts() {
  for (std::uint32_t member = 0; hunts_ > 0 && member < members(); ++member) {
    if (members_[member].hunt.active()) give_up_hunt(member);
  }
}

// Sends the next probe of whoever's turn it is, if one may be sent.
void Core::hunt_on(Time now) {
  for (std::uint32_t member = 0; hunts_ > 0 && member < members(); ++member) {
    const Member& group = members_[member];
    if (!group.hunt.active()) continue;
    if (now >= group.hunt.until()) {
      give_up_hunt(member);
      continue;
    }
    const bool may_probe = prober_ == kNobody && (now >= hunt_pace_ || has_bug(34)) &&
                           group.suspects_waiting == 0 && group.suspect_isolate == kNobody;
    if (!may_probe) continue;
    if (const auto isolate = choose_prober(member, now)) probe(*isolate, now);
  }
}

std::optional<std::uint32_t> Core::choose_prober(std::uint32_t member, Time now) {
  const Member& group = members_[member];
  for (std::uint32_t isolate = group.first; isolate < group.first + group.instances; ++isolate) {
    if (isolates_[isolate].life.ready() && isolates_[isolate].count == 0) return isolate;
  }
  return choose(member, now, kNobody);
}

void Core::probe(std::uint32_t isolate, Time now) {
  Isolate& asked = isolates_[isolate];
  Member& group = members_[asked.member];
  const std::uint32_t slot = group.hunt.slot();
  const RowRange rows = *group.hunt.next();
  // A number of its own: an answer to the batch, or to another probe of it, is none to this.
  const std::uint64_t id = request_id(asked.life.generation(), slot, ++slots_[slot].counter);
  push(isolate, {.id = id,
                 .slot = slot,
                 .rows = rows.rows,
                 .deadline = now + probe_deadline_,
                 .hung_at = now + probe_deadline_ + grace_,
                 .first_row = rows.first,
                 .probe = true});
  group.hunt.asked(id);
  group.suspect_isolate = isolate;
  group.suspect_id = id;
  prober_ = isolate;
  ++counters_.probes;
}

void Core::probe_answered(std::uint32_t member, const Outstanding& probe, VoteFate fate) {
  Hunt& hunt = members_[member].hunt;
  if (!hunt.awaits(probe.id)) return;
  if (fate.state == VoteState::late) {
    // It did not come to it before the deadline: the member has no time for this.
    give_up_hunt(member);
    return;
  }
  hunt.survived();
  if (!hunt.next()) end_hunt(member);
}

// The probe was out on an isolate that died, of it or not.
void Core::probe_lost(std::uint32_t isolate, const Outstanding& probe, Demise demise, Time now) {
  const std::uint32_t member = isolates_[isolate].member;
  Member& group = members_[member];
  if (demise == Demise::of_input) {
    hunt_pace_ = now + hunt_interval_;
    ++counters_.hunt_deaths;
  }
  if (!group.hunt.awaits(probe.id)) return;
  std::optional<std::uint32_t> row;
  if (demise == Demise::of_input) {
    row = group.hunt.died();
  } else {
    group.hunt.lost();
  }
  if (row && probe_input_) {
    poison_.condemn_row(member, *probe_input_, now);
    ++counters_.rows_quarantined;
    actions_.push_back({.kind = Action::Kind::tell_row,
                        .isolate = isolate,
                        .slot = probe.slot,
                        .member = member,
                        .first_row = *row,
                        .rows = 1});
  }
  if (!group.hunt.next()) {
    end_hunt(member);
  } else if (demise == Demise::hung) {
    give_up_hunt(member);
  } else if (group.hunt.exhausted()) {
    group.hunt_after = now + PoisonTable::kRemembered;
    give_up_hunt(member);
  }
}

}  // namespace tutti
