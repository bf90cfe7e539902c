#include "supervisor/core/fingerprint.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tutti {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

struct SipState {
  std::uint64_t v0, v1, v2, v3;

  void round() noexcept {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  }
  void absorb(std::uint64_t word) noexcept {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
  std::uint64_t squeeze() noexcept {
    for (int i = 0; i < 4; ++i) round();
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

Fingerprint fingerprint_of(std::span<const std::byte> bytes, const Fingerprint& key) noexcept {
  SipState state{.v0 = key.low ^ 0x736f6d6570736575ULL,
                 .v1 = key.high ^ 0x646f72616e646f6dULL ^ 0xee,
                 .v2 = key.low ^ 0x6c7967656e657261ULL,
                 .v3 = key.high ^ 0x7465646279746573ULL};
  const std::uint64_t length = std::uint64_t{bytes.size()} << 56U;
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    state.absorb(word);
  }
  std::uint64_t last = 0;
  if (!bytes.empty()) std::memcpy(&last, bytes.data(), bytes.size());
  state.absorb(last | length);
  state.v2 ^= 0xee;
  const std::uint64_t low = state.squeeze();
  state.v1 ^= 0xdd;
  return {.low = low, .high = state.squeeze()};
}

}  // namespace tutti
