// Which row of a batch kills: the batch is quarantined as a whole, then halved until single rows are left.
//
//   [0 ······················ 255]  has killed twice: one of its halves must kill
//   [0 ········ 127]  died          guilty: halved further, and nothing is known of the other half
//   [0 ·· 63] answered              innocent, so [64 ·· 127] is guilty without being asked, and halved at
//   once
//            …
//   [17]      died                  found: this row is quarantined, wherever it comes again
//
// What is asked is a probe: rows of a slot that already lie in `input`, so nothing is copied. Nobody waits
// for its answer. A single row is found only by its own death, never by inference, and the rest of the batch
// is asked as well: there may be another. A row that costs its isolate costs at most log2(rows) deaths.
//
// Requests come first. A member has one hunt at a time, for which one slot is held, and only while half of
// the slots are free: a submit() that leaves fewer ends every hunt. A probe takes its turn among the suspects
// of its member and after those that wait, prefers an isolate that owes nothing, has the config's deadline,
// and one probe is out at a time in the whole ensemble. A hang ends the hunt, and so does close().
//
// A death of a hunt is nobody's fault: it is not charged to the isolate and does not count for the breaker.
// What a hostile worker gains by dying (or not) when it is probed is bounded:
//   - a hunt begins with two deaths by one input, the first of which is charged: the restart budget bounds
//     the hunts. Within one it may die kDeathsMax times, and fewer if that finds nothing. One that used them
//     up is not hunted for as long as a poison is remembered;
//   - no two deaths of hunts come within one interval of restart.rate, over all members, and each restart is
//     still paid from that rate: others wait a moment longer for theirs;
//   - the rows it dies of are kept from itself alone. It could refuse them as well;
//   - lies and escapes are charged as ever, and so is what kills it from outside.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "shared/limits.hpp"
#include "supervisor/core/time.hpp"

namespace tutti {

/// Rows of a batch: `rows` of them from `first` on.
struct RowRange {
  std::uint32_t first = 0;
  std::uint32_t rows = 0;

  bool operator==(const RowRange&) const = default;
};

/// What is known of one batch. Verdicts go in, the next range to be probed comes out.
class Hunt {
 public:
  /// Of one hunt: two rows of the largest batch, or five of 256, each at its dearest.
  static constexpr std::uint32_t kDeathsMax = 40;
  /// Probes that end without a verdict (killed from outside, or lost behind another's death) before the hunt
  /// is given up: more than chance has in store.
  static constexpr std::uint32_t kLostMax = 3;
  /// Longer than kDeathsMax deaths need at one restart a second.
  static constexpr Duration kLasts = std::chrono::seconds(60);

  /// The slot's batch of two rows or more has killed.
  void begin(std::uint32_t slot, std::uint32_t rows, Time now) noexcept;
  void end() noexcept { active_ = false; }
  /// The probe of next() is out, under this id.
  void asked(std::uint64_t id) noexcept { asked_ = id; }
  /// The probe's range has killed. Returns its row if it was a single one.
  std::optional<std::uint32_t> died() noexcept;
  void survived() noexcept;
  /// The probe ended without a verdict: the same range is next.
  void lost() noexcept;

  [[nodiscard]] bool active() const noexcept { return active_; }
  /// True if the probe with this id is the one that is out.
  [[nodiscard]] bool awaits(std::uint64_t id) const noexcept { return active_ && asked_ == id; }
  /// The range to be probed next; nothing: every row is known.
  [[nodiscard]] std::optional<RowRange> next() const noexcept;
  /// True if it may cost no more: it has had its deaths without finding enough, or lost too many probes.
  [[nodiscard]] bool exhausted() const noexcept { return deaths_left_ == 0 || lost_ > kLostMax; }
  [[nodiscard]] std::uint32_t slot() const noexcept { return slot_; }
  [[nodiscard]] Time until() const noexcept { return until_; }

 private:
  struct Unknown {
    RowRange range;
    bool first_half = false;  // the other half lies under it
  };
  void halve(RowRange guilty) noexcept;
  void allow_deaths() noexcept;

  // Halving leaves one unknown half a level, and two at the last.
  static constexpr std::size_t kUnknownMax = std::bit_width(kRowsMax) + 1;
  std::array<Unknown, kUnknownMax> unknown_{};
  std::uint32_t unknown_count_ = 0;
  bool active_ = false;
  std::uint32_t slot_ = 0;
  std::uint32_t rows_ = 0;
  std::uint64_t asked_ = 0;
  std::uint32_t deaths_ = 0;
  std::uint32_t deaths_left_ = 0;
  std::uint32_t lost_ = 0;
  Time until_{};
};

}  // namespace tutti
