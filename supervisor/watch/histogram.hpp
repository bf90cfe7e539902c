// Durations counted in buckets, so that a quantile over any number of requests costs a fixed few kilobytes.
//
//   0 1 2 … 31 | 32 33 … 63 | 64 66 68 … | 128 132 …      each octave has 32 steps: at most 3 % off
//
// The layout is that of HdrHistogram (Tene, 2012). Adding allocates nothing and cannot fail: what is longer
// than the last bucket counts there. One writer; a reader takes a copy under the same lock.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "supervisor/core/time.hpp"

namespace tutti {

class Histogram {
 public:
  void add(Duration duration) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
    ++counts_[bucket_of(ns)];
    ++total_;
  }

  void add(const Histogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) counts_[bucket] += other.counts_[bucket];
    total_ += other.total_;
  }

  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

  /// The q-quantile by nearest rank, as the middle of its bucket; 0 of none.
  [[nodiscard]] Duration quantile(double q) const noexcept {
    if (total_ == 0) return {};
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(total_ - 1));
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    while (bucket + 1 < kBuckets && (seen += counts_[bucket]) <= rank) ++bucket;
    return Duration(static_cast<std::int64_t>(lowest(bucket) + (lowest(bucket + 1) - lowest(bucket)) / 2));
  }

 private:
  static constexpr std::size_t kSteps = 32;  // of an octave
  static constexpr std::size_t kShift = 5;
  static constexpr std::size_t kOctaves = 42;  // to 2^42 ns, over an hour
  static constexpr std::size_t kBuckets = kSteps * (kOctaves - kShift + 1);
  static_assert(kSteps == std::size_t{1} << kShift);

  static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < kSteps) return ns;
    const auto octave = static_cast<std::size_t>(std::bit_width(ns)) - 1 - kShift;
    return std::min(kSteps * octave + (ns >> octave), kBuckets - 1);
  }
  static constexpr std::uint64_t lowest(std::size_t bucket) noexcept {
    if (bucket < 2 * kSteps) return bucket;
    const std::size_t octave = bucket / kSteps - 1;
    return std::uint64_t{bucket - octave * kSteps} << octave;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace tutti
