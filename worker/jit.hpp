// When a model leaves its interpreter, and what became of it.
//
//   tier 0  the interpreter: answers from the first call on
//   tier 1  a compact layout and vector kernels, built at load or beside the first requests
//   tier 2  the same kernels, compiled by LLVM for this model's shape; only while the model is loaded, since
//           code is made before a worker gives up the right to make any
//
// Whatever the tier, the answers have the same bits.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace tutti {

struct JitSettings {
  enum class Mode : std::uint8_t { on, off } mode = Mode::on;  // off: stays in tier 0
  bool compile = false;                                        // tier 2, when it is loaded
  /// Calls that the interpreter answers first; 0: none. Absent: none where building takes less than about 50
  /// ms, else kJitThreshold.
  std::optional<std::uint32_t> threshold;
};
inline constexpr std::uint32_t kJitThreshold = 100;
inline constexpr std::size_t kTiers = 3;

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

/// Counts a call, and times it when it is one of those that are timed.
class CountedCall {
 public:
  explicit CountedCall(TierCounters& counters) noexcept
      : counters_(counters), is_timed_(counters.calls % TierCounters::kTimedCalls == 0) {
    if (is_timed_) begun_ = Clock::now();
  }
  /// The call has answered.
  void done(std::uint32_t rows) noexcept {
    counters_.count(rows);
    if (!is_timed_) return;
    counters_.timed_ns += static_cast<std::uint64_t>((Clock::now() - begun_) / std::chrono::nanoseconds(1));
    counters_.timed_rows += rows;
  }

 private:
  using Clock = std::chrono::steady_clock;

  TierCounters& counters_;
  bool is_timed_;
  Clock::time_point begun_;
};

struct TierReport {
  std::uint32_t tier = 0;
  std::array<TierCounters, kTiers> tiers{};
  std::string why_not;           // why it stays in its tier; empty while it may leave it, and in tier 2
  const char* kernels = "";      // of tiers 1 and 2: "avx512"
  std::uint64_t build_ns = 0;    // that building tier 1 took
  std::size_t bytes = 0;         // that tier 1 holds
  std::uint64_t compile_ns = 0;  // that compiling tier 2 took
  std::size_t code_bytes = 0;    // that tier 2 holds beside
};

}  // namespace tutti
