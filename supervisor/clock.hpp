// The supervisor's clock: the one place where time is asked for. The core gets it as an argument.
#pragma once

#include <chrono>

#include "supervisor/core/time.hpp"

namespace tutti {

inline Time monotonic_now() noexcept {
  return Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

}  // namespace tutti
