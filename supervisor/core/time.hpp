// Time in the core: a point on the supervisor's monotonic clock, always an argument, never asked for.
#pragma once

#include <chrono>
#include <cstdint>

namespace tutti {

using Duration = std::chrono::nanoseconds;

/// CLOCK_MONOTONIC without a now(): the core cannot read it, a simulation can drive it.
struct MonotonicClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using Time = MonotonicClock::time_point;

inline constexpr Time kNever = Time::max();

}  // namespace tutti
