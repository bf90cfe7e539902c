// A running 95th percentile: a histogram whose buckets grow by a quarter of a power of two, halved now and
// then so that it follows what the model does of late. The result is at most 25 % too large.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "supervisor/core/time.hpp"

namespace tutti {

class RunningLatency {
 public:
  static constexpr std::uint32_t kSamplesMin = 100;

  void add(Duration latency) noexcept {
    ++buckets_[bucket_of(latency)];
    ++total_;
    if (total_ >= kHalvedAt) halve();
    if (total_ >= kSamplesMin && total_ % 32 == 0) measure();
  }
  /// Nothing before kSamplesMin answers.
  [[nodiscard]] std::optional<Duration> p95() const noexcept {
    return p95_ > Duration::zero() ? std::optional(p95_) : std::nullopt;
  }

 private:
  static constexpr std::uint32_t kHalvedAt = 2048;
  static constexpr std::uint32_t kPowers = 37;  // of microseconds: to a day and beyond

  // 1 µs is bucket 0; each power of two has four buckets.
  static std::size_t bucket_of(Duration latency) noexcept {
    const auto microseconds = static_cast<std::uint64_t>(
        std::clamp<std::int64_t>(latency.count() / 1000, 1, (std::int64_t{1} << (kPowers - 1)) - 1));
    const auto power = static_cast<std::uint32_t>(std::bit_width(microseconds)) - 1;
    const std::uint64_t quarter =
        power >= 2 ? (microseconds >> (power - 2)) & 3U : (microseconds << (2 - power)) & 3U;
    return std::size_t{power} * 4 + static_cast<std::size_t>(quarter);
  }
  static Duration upper_end(std::size_t bucket) noexcept {
    const auto power = static_cast<std::uint32_t>(bucket / 4);
    const std::uint64_t quarters = 5 + bucket % 4;  // of 2^power: the next bucket's lower end
    return Duration(static_cast<std::int64_t>((quarters << power) * 250));
  }
  void halve() noexcept {
    total_ = 0;
    for (std::uint32_t& count : buckets_) total_ += count /= 2;
  }
  void measure() noexcept {
    std::uint32_t above = total_ / 20;
    for (std::size_t bucket = buckets_.size(); bucket > 0; --bucket) {
      if (buckets_[bucket - 1] > above) {
        p95_ = upper_end(bucket - 1);
        return;
      }
      above -= buckets_[bucket - 1];
    }
  }

  std::array<std::uint32_t, std::size_t{kPowers} * 4> buckets_{};
  std::uint32_t total_ = 0;
  Duration p95_{};
};

}  // namespace tutti
