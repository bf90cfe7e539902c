// What one tier of a model was asked: the part of an isolate's numbers that the public headers show as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tutti {

/// 0: the interpreter, 1: vector kernels over a compact layout, 2: such compiled for the model's shape.
inline constexpr std::size_t kTierCount = 3;
inline constexpr std::size_t kBatchBins = 21;

struct TierUse {
  std::uint64_t calls = 0;
  std::uint64_t rows = 0;
  std::uint64_t timed_rows = 0;  // of the calls that were timed, one in 16
  std::uint64_t timed_ns = 0;
  std::array<std::uint64_t, kBatchBins> batches{};  // [b]: calls of 2^b to 2^(b+1) - 1 rows

  bool operator==(const TierUse&) const = default;
};

}  // namespace tutti
