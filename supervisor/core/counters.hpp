// What the core has decided since it was made. Every number only grows.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tutti {

struct Counters {
  // requests
  std::uint64_t accepted = 0;
  std::uint64_t finished = 0;
  std::uint64_t shed = 0;  // refused: too many in flight
  // votes, one a member and request
  std::uint64_t voted = 0;
  std::uint64_t late = 0;
  std::uint64_t lost = 0;         // to a death: crashed, exited, hung and the like
  std::uint64_t rejected = 0;     // wrong shape, not a valid number
  std::uint64_t failed = 0;       // the model said no
  std::uint64_t not_ready = 0;    // no isolate to ask, of whatever cause
  std::uint64_t quarantined = 0;  // the input has killed the member twice
  std::uint64_t ejected = 0;      // the member's breaker was open
  // attempts
  std::uint64_t asked = 0;       // requests put into a ring, retries and hedges included
  std::uint64_t retried = 0;     // asked once more after a death
  std::uint64_t hedged = 0;      // asked of a second instance because the first was slow
  std::uint64_t hedges_won = 0;  // where the second answered first
  std::uint64_t dropped = 0;     // answers that came when nobody wanted them any more
  // isolates and templates
  std::uint64_t deaths = 0;
  std::uint64_t killed = 0;          // by the core
  std::uint64_t lied = 0;            // protocol violations
  std::uint64_t restarts = 0;        // starts after the first, of isolates and templates
  std::uint64_t breaker_opened = 0;  // for failures
  std::uint64_t band_ejections = 0;  // for answers outside the others' band
  std::uint64_t poisoned = 0;        // inputs that were quarantined
  // hunts for rows that kill
  std::uint64_t hunts = 0;
  std::uint64_t hunts_given_up = 0;    // for want of slots or time, or because they cost too much
  std::uint64_t probes = 0;            // parts of batches that were asked
  std::uint64_t hunt_deaths = 0;       // of them
  std::uint64_t rows_quarantined = 0;  // found
  // the supervisor
  std::uint64_t stalls = 0;  // times that the supervisor itself was late, and judged nobody for it

  bool operator==(const Counters&) const = default;
};

/// Field by field, of a struct that is nothing but such numbers.
template <class Numbers>
constexpr Numbers sum_of(const Numbers& one, const Numbers& other) noexcept {
  using Fields = std::array<std::uint64_t, sizeof(Numbers) / sizeof(std::uint64_t)>;
  auto sum = std::bit_cast<Fields>(one);
  const auto added = std::bit_cast<Fields>(other);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += added[i];
  return std::bit_cast<Numbers>(sum);
}

}  // namespace tutti
