#include "supervisor/core/isolate.hpp"

#include <algorithm>
#include <cassert>

namespace tutti {
namespace {

constexpr Duration kLongLife = std::chrono::seconds(60);
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
    if (++generation_ == 0) generation_ = 1;
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
  if (std::holds_alternative<Starting>(state_)) state_ = Ready{now};
  tried_ = true;
}

IsolateWish IsolateLife::condemn(VoteFate cause) {
  if (!has_process() || std::holds_alternative<Dying>(state_)) return IsolateWish::nothing;
  const auto* ready = std::get_if<Ready>(&state_);
  state_ = Dying{cause, ready != nullptr ? std::optional(ready->since) : std::nullopt};
  return IsolateWish::kill;
}

VoteFate IsolateLife::gone(VoteFate seen, Time now, Random& random) {
  assert(has_process());
  const auto* dying = std::get_if<Dying>(&state_);
  VoteFate cause = dying != nullptr ? dying->cause : seen;
  if (std::holds_alternative<Starting>(state_) && cause.state == VoteState::exited) {
    cause.state = VoteState::start_failed;
  }
  const auto* ready = std::get_if<Ready>(&state_);
  const std::optional<Time> since = dying != nullptr   ? dying->ready_since
                                    : ready != nullptr ? std::optional(ready->since)
                                                       : std::nullopt;
  if (since && now - *since >= kLongLife) {
    failures_ = 0;
    probes_ = 0;
    recent_failures_.clear();
  }
  plan_restart(now, random);
  return cause;
}

void IsolateLife::plan_restart(Time now, Random& random) {
  tried_ = true;
  recent_failures_.push_back(now);
  while (recent_failures_.front() + restart_.window < now || recent_failures_.size() > restart_.budget + 1U) {
    recent_failures_.pop_front();
  }
  // Over the budget once, slow for good: until a long life shows that the cause is gone.
  if (probes_ > 0 || recent_failures_.size() > restart_.budget) {
    state_ = Waiting{now + doubled(kSlowProbeMin, probes_++, kSlowProbeMax)};
    return;
  }
  const Duration bound = doubled(restart_.backoff_min, failures_, restart_.backoff_max);
  const bool first = failures_++ == 0;
  const auto wait = Duration(random.up_to(static_cast<std::uint64_t>(bound.count())));
  state_ = Waiting{first ? now : now + wait};
}

Time IsolateLife::wake_at() const noexcept {
  if (const auto* waiting = std::get_if<Waiting>(&state_)) return waiting->until;
  if (const auto* starting = std::get_if<Starting>(&state_)) return starting->hello_deadline;
  return kNever;
}

}  // namespace tutti
