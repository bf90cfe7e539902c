// A member that fails too often is left alone for a while: its votes are `ejected`, and nobody waits for it.
//
//   closed ── 5 failures in a row, or half of at least 20 in 10 s, or too long outside the band ──▶ open
//     ▲                                                                                              │ 1 s ·
//     2^k └───────── the one request asked succeeds ◀── half open ◀──────────────────────────────────────┘
//                              it fails: open again, for twice as long, a minute at most
//
// A death is one failure, however many requests were in flight; what an input is to blame for is none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "supervisor/core/time.hpp"

namespace tutti {

/// What a settled vote says about its member.
enum class Outcome : std::uint8_t {
  good,
  bad,
  lost,     // to a death, which died() counts; but a probe that is lost has failed
  neutral,  // says nothing: the model refused this input, or nobody was asked
};

class Breaker {
 public:
  explicit Breaker(bool counts_failures) noexcept : counts_failures_(counts_failures) {}

  /// False: the member must not be asked now.
  [[nodiscard]] bool admits(Time now) const noexcept;
  /// The member was asked for `slot`: half open, that is the probe.
  void asked(std::uint32_t slot) noexcept;
  /// The vote on `slot` is settled. True if that opened the breaker.
  bool settled(std::uint32_t slot, Outcome outcome, Time now) noexcept;
  /// An isolate that was ready died. True if that opened the breaker.
  bool died(Time now) noexcept;
  /// A vote was within the band of the others' answers or outside. True if that ejected the member.
  bool judged(bool outside, Time now) noexcept;

  [[nodiscard]] bool open() const noexcept { return open_; }
  /// False for a request that was admitted and then waited while the breaker opened.
  [[nodiscard]] bool still_admits(std::uint32_t slot) const noexcept { return !open_ || probe_ == slot; }
  [[nodiscard]] Time until() const noexcept { return until_; }

 private:
  struct Second {
    std::int64_t number = -1;
    std::uint32_t good = 0;
    std::uint32_t bad = 0;
  };
  bool count(bool good, Time now) noexcept;
  void trip(Time now, std::uint32_t times) noexcept;
  void close() noexcept;

  bool counts_failures_;
  bool open_ = false;
  Time until_{};                        // while open: when one request may be asked
  std::uint32_t trips_ = 0;             // in a row
  std::optional<std::uint32_t> probe_;  // half open: the slot that decides
  std::uint32_t failures_in_a_row_ = 0;
  std::array<Second, 10> seconds_{};
  std::optional<Time> outside_since_;
  std::uint32_t outside_votes_ = 0;
  std::uint32_t band_trips_ = 0;  // since the last vote within the band
};

}  // namespace tutti
