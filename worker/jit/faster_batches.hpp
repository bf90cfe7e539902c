// For which batches a second way to answer is faster than the first: measured, not assumed.
//
// Batches are told apart by powers of two: 1, 2, 3 to 4, 5 to 8, … 129 and more. For each the two ways answer
// in turn, so that what else the machine does meets both, and medians are compared.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tutti::jit {

class FasterBatches {
 public:
  static constexpr std::uint32_t kRowsMax = 256;  // that are measured; larger batches are like these

  [[nodiscard]] bool contains(std::uint32_t rows) const noexcept {
    return is_faster_[static_cast<std::size_t>(std::bit_width(std::clamp(rows, 1U, kRowsMax) - 1))];
  }
  [[nodiscard]] bool empty() const noexcept {
    return std::ranges::find(is_faster_, true) == is_faster_.end();
  }
  void add_all() noexcept { is_faster_.fill(true); }

  /// Fills the set: `before(rows)` and `after(rows)` answer a batch.
  template <class Before, class After>
  void measure(Before before, After after) {
    for (std::size_t size = 0; size < is_faster_.size(); ++size) {
      const std::uint32_t rows = 1U << size;
      Times old_times{};
      Times new_times{};
      for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
        old_times[repeat] = time_of([&] { before(rows); });
        new_times[repeat] = time_of([&] { after(rows); });
      }
      is_faster_[size] = median(new_times) * 100 < median(old_times) * (100 - kPercentToGain);
    }
  }

 private:
  static constexpr std::uint64_t kPercentToGain = 3;  // less than that is noise
  static constexpr std::size_t kRepeats = 7;
  static constexpr std::uint64_t kRepeatNs = 50'000;  // that one measurement takes at least
  using Times = std::array<std::uint64_t, kRepeats>;  // picoseconds a call

  static std::uint64_t median(Times times) {
    std::ranges::nth_element(times, times.begin() + kRepeats / 2);
    return times[kRepeats / 2];
  }
  template <class Call>
  static std::uint64_t time_of(const Call& call) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begun = Clock::now();
    for (std::uint64_t calls = 1;; ++calls) {
      call();
      const auto took = static_cast<std::uint64_t>((Clock::now() - begun) / std::chrono::nanoseconds(1));
      if (took >= kRepeatNs) return took * 1000 / calls;
    }
  }

  std::array<bool, std::bit_width(kRowsMax - 1) + 1> is_faster_{};
};

}  // namespace tutti::jit
