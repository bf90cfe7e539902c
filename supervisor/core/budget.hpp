// Two budgets that keep help from doing harm: restarts per second, and extra attempts per request.
#pragma once

#include <algorithm>
#include <cstdint>

#include "supervisor/core/seeded_bug.hpp"
#include "supervisor/core/time.hpp"

namespace tutti {

/// At most `rate` a second on average, and `rate` at once (a token bucket, kept as the time at which it would
/// be full).
class RateLimit {
 public:
  explicit RateLimit(std::uint32_t rate) noexcept
      : interval_(Duration(std::chrono::seconds(1)) / std::max(rate, 1U)),
        burst_(interval_ * (std::max(rate, 1U) - 1)) {}

  /// The earliest time at which take() succeeds.
  [[nodiscard]] Time next() const noexcept { return full_at_ - burst_; }
  bool take(Time now) noexcept {
    if (now < next() && !has_bug(1)) return false;
    full_at_ = std::max(full_at_, now) + interval_;
    return true;
  }

 private:
  Duration interval_;
  Duration burst_;
  Time full_at_{};
};

/// Extra attempts: at most one for each twenty requests asked, and ten at once.
class ExtraBudget {
 public:
  static constexpr std::uint32_t kRequestsPerExtra = 20;
  static constexpr std::uint32_t kExtrasAtOnce = 10;

  void earn() noexcept { credit_ = std::min(credit_ + 1, kRequestsPerExtra * kExtrasAtOnce); }
  bool spend() noexcept {
    if (credit_ < kRequestsPerExtra) return has_bug(2);
    credit_ -= kRequestsPerExtra;
    return true;
  }

 private:
  std::uint32_t credit_ = kRequestsPerExtra * kExtrasAtOnce;
};

}  // namespace tutti
