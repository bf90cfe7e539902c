// When a model leaves its interpreter, and what became of it.
//
//   tier 0  the interpreter: answers from the first call on
//   tier 1  a compact layout and vector kernels, built at load or beside the first requests
//
// Whatever the tier, the answers have the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace tutti {

struct JitSettings {
  enum class Mode : std::uint8_t { on, off } mode = Mode::on;  // off: stays in tier 0
  /// Calls that the interpreter answers first; 0: none. Absent: none where building takes less than about 50
  /// ms, else kJitThreshold.
  std::optional<std::uint32_t> threshold;
};
inline constexpr std::uint32_t kJitThreshold = 100;

/// What one tier was asked. Times are taken of one call in kTimedCalls: a clock costs as much as a small
/// model.
struct TierCounters {
  static constexpr std::uint64_t kTimedCalls = 16;

  std::uint64_t calls = 0;
  std::uint64_t rows = 0;
  std::uint64_t timed_rows = 0;
  std::uint64_t timed_ns = 0;
  std::array<std::uint64_t, 21> batches{};  // [b]: calls of 2^b to 2^(b+1) - 1 rows

  void count(std::uint32_t batch) noexcept {
    ++calls;
    rows += batch;
    if (batch != 0) ++batches[std::min<std::size_t>(batches.size() - 1, std::bit_width(batch) - 1)];
  }
};

struct TierReport {
  std::uint32_t tier = 0;
  std::array<TierCounters, 2> tiers{};
  std::string why_not;         // why it stays in tier 0; empty while it may leave it or has left it
  const char* kernels = "";    // of tier 1: "avx512"
  std::uint64_t build_ns = 0;  // that building tier 1 took
  std::size_t bytes = 0;       // that tier 1 holds
};

}  // namespace tutti
