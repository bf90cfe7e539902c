#include "supervisor/core/core.hpp"

#include <algorithm>
#include <utility>

#include "supervisor/plan.hpp"

namespace tutti {

Core::Core(const EnsembleConfig& config, std::uint64_t seed, bool templates)
    : random_(seed),
      grace_(config.answer.grace),
      probe_deadline_(config.answer.deadline),
      hunt_interval_(Duration(std::chrono::seconds(1)) / std::max(config.restart.rate, 1U)),
      in_flight_max_(config.limits.in_flight),
      quorum_(config.answer.quorum.of(static_cast<std::uint32_t>(config.members.size()))),
      hedges_(config.answer.hedge),
      restarts_(config.restart.rate) {
  const std::uint32_t slot_count = slots_of(config);
  for (const MemberConfig& member : config.members) {
    const auto index = static_cast<std::uint32_t>(members_.size());
    if (member.name == config.answer.last_resort) last_resort_ = index;
    members_.push_back({.first = isolates(),
                        .instances = member.instances,
                        .template_life = IsolateLife(config.restart),
                        .templated = templates,
                        .breaker = Breaker(config.answer.breaker),
                        .latency = {},
                        .extra = {},
                        .hunt = {}});
    for (std::uint32_t i = 0; i < member.instances; ++i) {
      isolates_.push_back({.life = IsolateLife(config.restart), .member = index, .queue = {}});
      isolates_.back().queue.resize(slot_count);
    }
  }
  guilty_rows_.resize(members_.size());
  slots_.resize(slot_count);
  for (std::uint32_t slot = slot_count; slot > 0; --slot) {
    slots_[slot - 1].votes.resize(members_.size());
    free_.push_back(slot - 1);  // the lowest slot is used first: its lines are warm
  }
  // Between two drains each request causes at most two publishes a member and a finish, each isolate and each
  // template a kill or spawn, each death a row to tell of, and hunts a probe.
  actions_.reserve(slot_count * (2 * members_.size() + 1) + 3 * isolates_.size() + 2 * members_.size() + 1);
  taken_.reserve(actions_.capacity());
}

void Core::tick(Time now) {
  see(now);
  for (std::uint32_t slot = 0; slot < slots(); ++slot) {
    Pending& request = slots_[slot];
    if (request.state != Pending::State::waiting) continue;
    if (now >= request.deadline) {
      settle_overdue(slot, now);
    } else if (now >= request.hedge_at) {
      hedge(slot, now);
    }
  }
  for (std::uint32_t member = 0; member < members(); ++member) tick_template(member, now);
  // In turn, so that nobody starves while restarts are rationed.
  std::optional<std::uint32_t> refused;
  for (std::uint32_t step = 0; step < isolates(); ++step) {
    const std::uint32_t isolate = (first_restart_ + step) % isolates();
    if (!tick_isolate(isolate, now) && !refused) refused = isolate;
  }
  first_restart_ = refused.value_or(first_restart_);
  hunt_on(now);
}

void Core::close() {
  closed_ = true;
  give_up_hunts();
}

bool Core::wants_fingerprints(Time now) {
  poison_.expire(now);
  return !poison_.empty();
}

void Core::judged(std::uint32_t member, bool outside, Time now) {
  if (members_[member].breaker.judged(outside, now)) ++counters_.band_ejections;
}

void Core::kill_all() {
  for (std::uint32_t index = 0; index < isolates(); ++index) condemn(index, {.state = VoteState::exited});
  for (std::uint32_t member = 0; member < members(); ++member) {
    condemn_template(member, {.state = VoteState::exited});
  }
}

std::span<const Action> Core::take_actions() {
  taken_.clear();
  std::swap(taken_, actions_);
  return taken_;
}

std::uint32_t Core::members_ready() const {
  std::uint32_t ready = 0;
  for (std::uint32_t member = 0; member < members(); ++member) ready += any_ready(member) ? 1U : 0U;
  return ready;
}

bool Core::any_ready(std::uint32_t member) const {
  const auto* first = isolates_.data() + members_[member].first;
  return std::any_of(first, first + members_[member].instances,
                     [](const Isolate& isolate) { return isolate.life.ready(); });
}

bool Core::answerable(const Pending& request) const {
  if (request.voted >= quorum_) return true;
  return last_resort_ && request.votes[*last_resort_].fate.state == VoteState::voted;
}

Time Core::wake_at() const {
  Time wake = kNever;
  for (const Pending& request : slots_) {
    if (request.state == Pending::State::waiting) wake = std::min({wake, request.deadline, request.hedge_at});
  }
  for (const Isolate& isolate : isolates_) {
    // A verdict that was spoken already is nothing to wake for.
    const bool judged = std::holds_alternative<Dying>(isolate.life.state());
    if (isolate.count > 0 && !judged) wake = std::min(wake, isolate.queue[isolate.head].hung_at);
    if (isolate.life.has_process() || may_start(isolate)) wake = std::min(wake, start_time(isolate.life));
  }
  for (const Member& member : members_) {
    if (member.template_life.has_process() || template_wanted(member)) {
      wake = std::min(wake, start_time(member.template_life));
    }
    if (member.hunt.active()) wake = std::min(wake, member.hunt.until());
  }
  // A pace that is over does not hold the next probe up: something else does, and will be an event.
  if (hunts_ > 0 && hunt_pace_ > last_seen_) wake = std::min(wake, hunt_pace_);
  return wake;
}

}  // namespace tutti
