// What an isolate says of its model's tiers: numbers in `up`, published as a whole behind a sequence number.
//
//   writer (worker)      sequence odd ── words ── sequence even
//   reader (supervisor)  sequence even? ── words ── still that sequence? ── else again, a few times
//
// Written by the loop between answers, without a lock, a system call or an allocation. A reader never holds
// the writer up, and one that meets a publication half done goes on with what it read last. Only for people
// and for policies that a lie can at worst make waste time: nothing is sized, indexed or waited for by these
// numbers. Lifetime counts, of this incarnation alone.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "shared/limits.hpp"
#include "shared/message.hpp"
#include "shared/ring.hpp"
#include "shared/tier_use.hpp"

namespace tutti {

struct TierNumbers {
  static constexpr std::uint64_t kHasTiers = 1;
  static constexpr std::uint64_t kNoTiers = 2;

  std::uint64_t known;       // kHasTiers or kNoTiers
  std::uint64_t tier;        // that it answers from
  std::uint64_t build_ns;    // that building tier 1 took
  std::uint64_t bytes;       // that tier 1 holds
  std::uint64_t compile_ns;  // that compiling tier 2 took
  std::uint64_t code_bytes;  // that tier 2 holds beside
  std::array<TierUse, kTierCount> tiers;
  BoundedText<20> kernels;   // "avx512"
  BoundedText<236> why_not;  // why it stays in its tier
};
static_assert(std::is_trivially_copyable_v<TierNumbers> && sizeof(TierNumbers) == 912);

struct TierBlock {
  static constexpr std::size_t kWords = sizeof(TierNumbers) / sizeof(std::uint64_t);
  std::atomic<std::uint64_t> sequence;  // odd while the words change
  std::array<std::atomic<std::uint64_t>, kWords> words;
};
// Two binaries map these bytes: changing them changes the protocol.
static_assert(sizeof(TierBlock) == 920 && std::is_standard_layout_v<TierBlock>);

/// Publishes `numbers`. One writer; `sequence` is what the last call returned, 0 at first: nothing is read
/// back.
inline std::uint64_t publish_tiers(TierBlock& block, std::uint64_t sequence,
                                   const TierNumbers& numbers) noexcept {
  const auto words = std::bit_cast<std::array<std::uint64_t, TierBlock::kWords>>(numbers);
  block.sequence.store(sequence + 1, std::memory_order_relaxed);
  // release: pairs with the reader's acquire of the same word. Whoever sees one of these words sees that the
  // sequence was odd, and finds it changed when it looks again.
  for (std::size_t i = 0; i < words.size(); ++i) block.words[i].store(words[i], std::memory_order_release);
  // release: pairs with the reader's first acquire. Seeing this sequence means seeing all of its words.
  block.sequence.store(sequence + 2, std::memory_order_release);
  return sequence + 2;
}

/// A whole publication, or nothing: none was made yet, or each of a few tries met one under way.
template <class Load = PlainLoad>
std::optional<TierNumbers> read_tiers(const TierBlock& block) noexcept {
  constexpr int kTries = 4;
  for (int tries = 0; tries < kTries; ++tries) {
    const std::uint64_t before = Load::acquire(block.sequence);
    if (before == 0) return std::nullopt;
    std::array<std::uint64_t, TierBlock::kWords> words;
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = Load::acquire(block.words[i]);
    // Not before the words, since those were acquired.
    const std::uint64_t after = Load::relaxed(block.sequence);
    if (before == after && before % 2 == 0) return std::bit_cast<TierNumbers>(words);
  }
  return std::nullopt;
}

}  // namespace tutti
