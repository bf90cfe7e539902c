#include "supervisor/core/isolate.hpp"

#include <algorithm>
#include <cassert>

#include "supervisor/core/seeded_bug.hpp"

namespace tutti {
namespace {

constexpr Duration kLongLife = std::chrono::seconds(60);
constexpr Duration kHonestLife = std::chrono::minutes(10);
constexpr int kStartBackoff = 20;  // a model that could not be loaded is seldom there a moment later
constexpr Duration kSlowProbeMin = std::chrono::seconds(30);
constexpr Duration kSlowProbeMax = std::chrono::minutes(10);

// bound · 2^power, at most max.
Duration doubled(Duration bound, std::uint32_t power, Duration max) {
  for (; power > 0 && bound < max; --power) bound *= 2;
  return std::min(bound, max);
}

}  // namespace

IsolateWish IsolateLife::tick(Time now) {
  if (const auto* waiting = std::get_if<Waiting>(&state_); waiting != nullptr && now >= waiting->until) {
    ++starts_;
    if (!has_bug(10) && ++generation_ == 0) generation_ = 1;
    state_ = Starting{now + restart_.start_timeout};
    return IsolateWish::spawn;
  }
  if (const auto* starting = std::get_if<Starting>(&state_);
      starting != nullptr && now >= starting->hello_deadline) {
    return condemn({.state = VoteState::start_timeout});
  }
  return IsolateWish::nothing;
}

void IsolateLife::hello(Time now) {
  if (std::holds_alternative<Starting>(state_) || has_bug(11)) state_ = Ready{now};
  tried_ = true;
}

IsolateWish IsolateLife::condemn(VoteFate cause) {
  if (!has_process() || std::holds_alternative<Dying>(state_)) return IsolateWish::nothing;
  const auto* ready = std::get_if<Ready>(&state_);
  state_ = Dying{cause, ready != nullptr ? std::optional(ready->since) : std::nullopt};
  return IsolateWish::kill;
}

VoteFate IsolateLife::cause_of(VoteFate seen) const noexcept {
  VoteFate cause = seen;
  if (const auto* dying = std::get_if<Dying>(&state_)) cause = dying->cause;
  if (std::holds_alternative<Starting>(state_) && cause.state == VoteState::exited) {
    cause.state = VoteState::start_failed;
  }
  return cause;
}

VoteFate IsolateLife::gone(VoteFate seen, Time now, Random& random, bool charged) {
  assert(has_process());
  const VoteFate cause = cause_of(seen);
  const auto* dying = std::get_if<Dying>(&state_);
  const auto* ready = std::get_if<Ready>(&state_);
  const std::optional<Time> since = dying != nullptr   ? dying->ready_since
                                    : ready != nullptr ? std::optional(ready->since)
                                                       : std::nullopt;
  if (since && now - *since >= kLongLife) {
    failures_ = 0;
    probes_ = 0;
    recent_failures_.clear();
    if (now - *since >= kHonestLife) violations_ = 0;
  }
  if (charged) {
    plan_restart(cause.state, now, random);
  } else {
    state_ = Waiting{now};
  }
  return cause;
}

void IsolateLife::plan_restart(VoteState cause, Time now, Random& random) {
  tried_ = true;
  recent_failures_.push_back(now);
  while (recent_failures_.front() + restart_.window < now || recent_failures_.size() > restart_.budget + 1U) {
    recent_failures_.pop_front();
  }
  if (cause == VoteState::protocol_violation || cause == VoteState::escape_attempt) ++violations_;
  const bool liar = violations_ >= restart_.violations && !has_bug(7);
  const bool over_budget = recent_failures_.size() > restart_.budget && !has_bug(8);
  // Over the budget once, slow for good: until a long life shows that the cause is gone.
  if (probes_ > 0 || over_budget || liar) {
    state_ = Waiting{now + doubled(kSlowProbeMin, probes_++, kSlowProbeMax)};
    return;
  }
  const bool at_start = cause == VoteState::start_failed || cause == VoteState::start_timeout;
  const Duration first_bound = at_start ? kStartBackoff * restart_.backoff_min : restart_.backoff_min;
  const Duration max = has_bug(9) ? Duration(std::chrono::hours(24)) : restart_.backoff_max;
  const Duration bound = doubled(first_bound, failures_, max);
  const bool at_once = failures_++ == 0 && !at_start;
  const auto wait = Duration(random.up_to(static_cast<std::uint64_t>(bound.count())));
  state_ = Waiting{at_once ? now : now + wait};
}

void IsolateLife::extend(Duration lag) noexcept {
  if (auto* starting = std::get_if<Starting>(&state_)) starting->hello_deadline += lag;
}

Time IsolateLife::wake_at() const noexcept {
  if (const auto* waiting = std::get_if<Waiting>(&state_)) return waiting->until;
  if (const auto* starting = std::get_if<Starting>(&state_)) return starting->hello_deadline;
  return kNever;
}

}  // namespace tutti
