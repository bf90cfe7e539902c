// What is counted of each member's votes. One writer (whoever holds the engine); allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "supervisor/status.hpp"
#include "supervisor/watch/histogram.hpp"

namespace tutti {

class MemberTally {
 public:
  void add(const VoteFate& fate, Duration latency) noexcept {
    ++fates_[static_cast<std::size_t>(fate.state) % kStatesMax];
    if (fate.state == VoteState::voted) latency_.add(latency);
  }

  /// Fills in a member's votes and latencies.
  void tell(MemberStatus& member) const {
    member.latency = {.count = latency_.total(),
                      .p50 = latency_.quantile(0.5),
                      .p99 = latency_.quantile(0.99),
                      .p999 = latency_.quantile(0.999)};
    for (std::size_t i = 0; i < kStatesMax; ++i) {
      const auto state = static_cast<VoteState>(i);
      if (state == VoteState::voted) member.voted = fates_[i];
      if (state != VoteState::voted && fates_[i] > 0) member.missed.emplace_back(state, fates_[i]);
    }
  }

 private:
  static constexpr std::size_t kStatesMax = 64;  // more than VoteState has
  std::array<std::uint64_t, kStatesMax> fates_{};
  Histogram latency_;
};

}  // namespace tutti
