// A name for an input that nobody outside can steer: two inputs share one only by a chance of 2^-128.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tutti {

struct Fingerprint {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const Fingerprint&) const = default;
};

/// SipHash-2-4 with 128 bits of result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012).
/// Keyed, so that a client cannot make an innocent input look like one that kills.
Fingerprint fingerprint_of(std::span<const std::byte> bytes, const Fingerprint& key) noexcept;

}  // namespace tutti
