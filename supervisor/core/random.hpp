// A small seeded generator, so that chance is an argument and any run can be replayed.
#pragma once

#include <cstdint>

namespace tutti {

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31U);
  }

  /// Uniform in [0, bound]; the bias of the modulus is below bound / 2^64.
  std::uint64_t up_to(std::uint64_t bound) noexcept {
    return bound == UINT64_MAX ? next() : next() % (bound + 1);
  }

 private:
  std::uint64_t state_;
};

}  // namespace tutti
