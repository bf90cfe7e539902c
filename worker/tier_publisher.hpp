// What a model says of its tiers, told to the supervisor without its being asked.
//
//   predict ── answer ── after_answer(): every 256th, and when the tier has changed ──▶ TierBlock in `up`
//   nothing to do ──────── before_sleep(): what was not told yet ───────────────────▶
//
// Told are this isolate's own calls: what its template did before the fork, its warm-up, is taken off.
#pragma once

#include <array>
#include <cstdint>

#include "shared/tiers.hpp"
#include "worker/model.hpp"

namespace tutti {

class TierPublisher {
 public:
  /// Publishes at once, if only that the model has no tiers.
  TierPublisher(TierBlock& block, const Model& model) noexcept;

  void after_answer() noexcept {
    if (report_ == nullptr) return;
    if (++untold_ >= kAnswersUntold || report_->tier != told_tier_) publish();
  }
  void before_sleep() noexcept {
    if (untold_ > 0) publish();
  }

 private:
  static constexpr std::uint32_t kAnswersUntold = 256;  // a publication costs about 0.4 us
  void publish() noexcept;

  TierBlock& block_;
  const TierReport* report_;  // null: the model has no tiers
  std::array<TierCounters, kTiers> before_{};
  std::uint64_t sequence_ = 0;
  std::uint32_t told_tier_ = 0;
  std::uint32_t untold_ = 0;
};

}  // namespace tutti
