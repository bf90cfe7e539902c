// What a member's isolates have said of its model's tiers, over all of their lives.
//
//   up (hostile) ──read_tiers──▶ hear(): clamped, made printable ──▶ live[instance] ─┐
//                                    end(): a life is over ──▶ ended ────────────────┴─▶ total()
//
// Calls and rows are summed over isolates and lives; of the rest the slowest isolate that lives speaks for
// the member, since a member is as fast as that one. Nobody's numbers are believed further than to be shown,
// and to decide that a compilation may pay: a liar makes its own member be loaded anew, once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "shared/tiers.hpp"
#include "supervisor/status.hpp"

namespace tutti {

/// A stranger's numbers as they may be shown and added up: none beyond 2^53, texts printable.
TierStatus checked(const TierNumbers& said);

/// Adds what other was asked to what total was.
void add_use(TierStatus& total, const TierStatus& other);

class TierLedger {
 public:
  explicit TierLedger(std::uint32_t instances) : live_(instances) {}

  /// What an instance says now. Nothing: what it said before stands.
  void hear(std::uint32_t instance, const std::optional<TierNumbers>& said);
  /// The life of that instance is over; what it said is kept.
  void end(std::uint32_t instance);
  [[nodiscard]] TierStatus total() const;

 private:
  std::vector<TierStatus> live_;  // [instances]
  TierStatus ended_;
};

}  // namespace tutti
