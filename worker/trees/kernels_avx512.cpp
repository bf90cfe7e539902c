// AVX-512 with byte compares (F, BW, DQ, VL): 64 rows in one comparison, four trees in one leap.
//
// A tournament's comparison makes a mask, and one masked addition both chooses and numbers. Leaf values come
// from registers by permutation. vpermt2ps looks at the low bits of each word only, so the numbers of rows 0,
// 4, 8, … serve as they lie, those of rows 1, 5, 9, … after a shift: sums lie in that order until the end.
#include <immintrin.h>

#include <cstdint>

#include "worker/trees/kernels.hpp"
#include "worker/trees/leap.hpp"
#include "worker/trees/relay.hpp"
#include "worker/trees/tournament.hpp"
#include "worker/trees/walk.hpp"

namespace tutti::trees {
namespace {

/// leaves[number & (2^kDepth - 1)] for the sixteen words of `numbers`, of which further bits are passed over.
template <int kDepth>
[[gnu::always_inline]] inline __m512 leaves_of(__m512i numbers, const float* leaves) {
  if constexpr (kDepth <= 4) {
    const auto present = static_cast<__mmask16>((1U << (1 << kDepth)) - 1);
    if constexpr (kDepth < 4) numbers = _mm512_and_si512(numbers, _mm512_set1_epi32((1 << kDepth) - 1));
    return _mm512_permutexvar_ps(numbers, _mm512_maskz_loadu_ps(present, leaves));
  } else if constexpr (kDepth == 5) {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(leaves), numbers, _mm512_loadu_ps(leaves + 16));
  } else {
    // The highest bit chooses between two halves; it is moved to the sign.
    const __mmask16 upper = _mm512_movepi32_mask(_mm512_slli_epi32(numbers, 32 - kDepth));
    return _mm512_mask_blend_ps(upper, leaves_of<kDepth - 1>(numbers, leaves),
                                leaves_of<kDepth - 1>(numbers, leaves + (1 << (kDepth - 1))));
  }
}

/// The same in double for eight words.
template <int kDepth>
[[gnu::always_inline]] inline __m512d leaves_of(__m256i numbers, const double* leaves) {
  if constexpr (kDepth <= 3) {
    const auto present = static_cast<__mmask8>((1U << (1 << kDepth)) - 1);
    numbers = _mm256_and_si256(numbers, _mm256_set1_epi32((1 << kDepth) - 1));
    return _mm512_permutexvar_pd(_mm512_cvtepu32_epi64(numbers), _mm512_maskz_loadu_pd(present, leaves));
  } else if constexpr (kDepth == 4) {
    return _mm512_permutex2var_pd(_mm512_loadu_pd(leaves), _mm512_cvtepu32_epi64(numbers),
                                  _mm512_loadu_pd(leaves + 8));
  } else if constexpr (kDepth <= 6) {
    // The highest bit chooses between two halves; it is moved to the sign.
    const __mmask8 upper = _mm256_movepi32_mask(_mm256_slli_epi32(numbers, 32 - kDepth));
    return _mm512_mask_blend_pd(upper, leaves_of<kDepth - 1>(numbers, leaves),
                                leaves_of<kDepth - 1>(numbers, leaves + (1 << (kDepth - 1))));
  } else {
    const __m256i clean = _mm256_and_si256(numbers, _mm256_set1_epi32((1 << kDepth) - 1));
    return _mm512_i32gather_pd(clean, leaves, 8);
  }
}

/// Adds the leaves of sixteen rows to their sums.
template <int kDepth>
[[gnu::always_inline]] inline void add_sixteen(__m512i numbers, const float* leaves, float* sums) {
  _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), leaves_of<kDepth>(numbers, leaves)));
}
template <int kDepth>
[[gnu::always_inline]] inline void add_sixteen(__m512i numbers, const double* leaves, double* sums) {
  const __m256i halves[2] = {_mm512_castsi512_si256(numbers), _mm512_extracti64x4_epi64(numbers, 1)};
  for (std::size_t half = 0; half < 2; ++half) {
    double* const sum = sums + 8 * half;
    _mm512_store_pd(sum, _mm512_add_pd(_mm512_load_pd(sum), leaves_of<kDepth>(halves[half], leaves)));
  }
}

/// A vector of equal bytes that lies in a register. Left to themselves compilers broadcast it anew from a
/// general register, on the very port that compares.
[[gnu::always_inline]] inline __m512i equal_bytes(int byte) {
  __m512i bytes = _mm512_set1_epi8(static_cast<char>(byte));
  __asm__("" : "+v"(bytes));
  return bytes;
}

struct Rows64 {
  using Bytes = __m512i;
  static constexpr int kRows = 64;

  [[gnu::always_inline]] static inline __m512i threshold(std::uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
  }
  [[gnu::always_inline]] static inline __mmask64 above(const std::uint8_t* column, __m512i threshold) {
    return _mm512_cmplt_epu8_mask(threshold, _mm512_load_si512(column));
  }
  [[gnu::always_inline]] static inline Bytes lowest(const std::uint8_t* column, __m512i threshold) {
    return _mm512_maskz_mov_epi8(above(column, threshold), equal_bytes(1));
  }
  template <int kBit>
  [[gnu::always_inline]] static inline Bytes choose(Bytes left, Bytes right, const std::uint8_t* column,
                                                    __m512i threshold) {
    return _mm512_mask_add_epi8(left, above(column, threshold), right, equal_bytes(kBit));
  }
  template <int kDepth, class Number>
  [[gnu::always_inline]] static inline void add(Bytes numbers, const Number* leaves, Number* sums) {
    for (std::size_t part = 0; part < 4; ++part) {
      add_sixteen<kDepth>(_mm512_srli_epi32(numbers, static_cast<unsigned>(8 * part)), leaves,
                          sums + 16 * part);
    }
  }
  static std::uint32_t place(std::uint32_t row) { return row % 4 * 16 + row / 4; }
};

/// Half the width, for batches that would leave the other half empty.
struct Rows32 {
  using Bytes = __m256i;
  static constexpr int kRows = 32;

  [[gnu::always_inline]] static inline __m256i threshold(std::uint32_t word) {
    return _mm256_set1_epi32(static_cast<int>(word));
  }
  [[gnu::always_inline]] static inline __mmask32 above(const std::uint8_t* column, __m256i threshold) {
    return _mm256_cmplt_epu8_mask(threshold, _mm256_load_si256(reinterpret_cast<const __m256i*>(column)));
  }
  [[gnu::always_inline]] static inline Bytes lowest(const std::uint8_t* column, __m256i threshold) {
    return _mm256_maskz_mov_epi8(above(column, threshold), _mm512_castsi512_si256(equal_bytes(1)));
  }
  template <int kBit>
  [[gnu::always_inline]] static inline Bytes choose(Bytes left, Bytes right, const std::uint8_t* column,
                                                    __m256i threshold) {
    return _mm256_mask_add_epi8(left, above(column, threshold), right,
                                _mm512_castsi512_si256(equal_bytes(kBit)));
  }
  template <int kDepth, class Number>
  [[gnu::always_inline]] static inline void add(Bytes numbers, const Number* leaves, Number* sums) {
    add_sixteen<kDepth>(_mm512_cvtepu8_epi32(_mm256_castsi256_si128(numbers)), leaves, sums);
    add_sixteen<kDepth>(_mm512_cvtepu8_epi32(_mm256_extracti128_si256(numbers, 1)), leaves, sums + 16);
  }
  static std::uint32_t place(std::uint32_t row) { return row; }
};

/// All 32 trees in one register; a row's ranks, one to a word's high byte, in two.
struct Relay {
  using Words = __m512i;
  using Decisions = __mmask32;
  static constexpr int kParts = 1;
  static constexpr int kPartTrees = 32;

  struct Row {
    __m512i low;
    __m512i high;
  };
  [[gnu::always_inline]] static inline Row row(const std::uint8_t* bytes) {
    const auto* const halves = reinterpret_cast<const __m256i*>(bytes);
    return {_mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm256_loadu_si256(halves)), 8),
            _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm256_loadu_si256(halves + 1)), 8)};
  }
  [[gnu::always_inline]] static inline Words load(const std::uint16_t* from) {
    return _mm512_load_si512(from);
  }
  [[gnu::always_inline]] static inline Words blend(Decisions decisions, Words no, Words yes) {
    return _mm512_mask_blend_epi16(decisions, no, yes);
  }
  /// Where the ranks are equal the node is not smaller, whatever its plane.
  [[gnu::always_inline]] static inline Decisions right(const Row& row, Words nodes) {
    return _mm512_cmpgt_epu16_mask(_mm512_permutex2var_epi16(row.low, nodes, row.high), nodes);
  }
  template <int kDepth>
  [[gnu::always_inline]] static inline void store(std::uint16_t* into, const Decisions* decisions) {
    __m512i numbers = _mm512_setzero_si512();
    for (int level = 0; level < kDepth; ++level) {
      numbers = _mm512_mask_add_epi16(numbers, decisions[level], numbers,
                                      _mm512_set1_epi16(static_cast<short>(1 << (kDepth - 1 - level))));
    }
    _mm512_store_si512(into, numbers);
  }
};

struct Words16 {
  using Words = __m512i;
  static constexpr std::uint32_t kLanes = 16;

  [[gnu::always_inline]] static inline Words all(std::uint32_t word) {
    return _mm512_set1_epi32(static_cast<int>(word));
  }
  [[gnu::always_inline]] static inline Words load(const std::uint32_t* from) {
    return _mm512_load_si512(from);
  }
  [[gnu::always_inline]] static inline void store(std::uint32_t* into, Words words) {
    _mm512_store_si512(into, words);
  }
  [[gnu::always_inline]] static inline Words add(Words left, Words right) {
    return _mm512_add_epi32(left, right);
  }
  [[gnu::always_inline]] static inline Words times16(Words words) { return _mm512_slli_epi32(words, 4); }
  [[gnu::always_inline]] static inline Words gather(const std::uint32_t* from, Words at) {
    return _mm512_i32gather_epi32(at, from, 4);
  }
  [[gnu::always_inline]] static inline Words blend(__mmask16 mask, Words no, Words yes) {
    return _mm512_mask_blend_epi32(mask, no, yes);
  }
  [[gnu::always_inline]] static inline Words twice(Words at, __mmask16 right) {
    const Words doubled = _mm512_add_epi32(at, at);
    return _mm512_mask_add_epi32(doubled, right, doubled, _mm512_set1_epi32(1));
  }
  [[gnu::always_inline]] static inline __mmask16 is_block(Words exits) {
    return _mm512_cmpge_epi32_mask(exits, _mm512_set1_epi32(static_cast<int>(kBlockExit)));
  }
  [[gnu::always_inline]] static inline bool any(__mmask16 mask) { return mask != 0; }
};

/// The rank of each node's plane, in the high byte, is compared with the node as a whole: where the ranks are
/// equal the node is not smaller, whatever its other bits.
[[gnu::always_inline]] inline __mmask16 above(__m512i rank_on_top, __m512i node) {
  return _mm512_cmpgt_epu32_mask(rank_on_top, node);
}

/// Any number of planes: ranks are gathered from memory.
struct FromMemory {
  using Row = const std::uint8_t*;

  template <class View>
  static void prepare(const View& /*view*/, const std::uint8_t* /*bytes*/, std::uint32_t* /*words*/) {}
  template <class View>
  static Row row(const View& /*view*/, const std::uint8_t* bytes, const std::uint32_t* /*words*/) {
    return bytes;
  }
  template <class View>
  [[gnu::always_inline]] static inline __mmask16 right(const View& /*view*/, Row row, __m512i node) {
    const __m512i plane = _mm512_and_si512(node, _mm512_set1_epi32(0xffffff));
    return above(_mm512_slli_epi32(_mm512_i32gather_epi32(plane, row, 1), 24), node);
  }
};

/// Four blocks in a register. A row's ranks, one to a word's high byte, are kPairs pairs of registers of 64
/// planes; a permutation looks at the low six bits of a node, the next ones choose among the pairs. Where the
/// ranks are equal the node is not smaller, whatever its plane.
template <std::size_t kPairs>
struct LeapWords {
  struct Row {
    __m512i ranks[2 * kPairs];
  };
  static void prepare(const std::uint8_t* bytes, std::uint32_t* words) {
    for (std::size_t part = 0; part < 2 * kPairs; ++part) {
      const __m512i wide =
          _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32 * part)));
      _mm512_store_si512(words + 16 * part, _mm512_slli_epi16(wide, 8));
    }
  }
  [[gnu::always_inline]] static inline Row row(const std::uint8_t* /*bytes*/, const std::uint32_t* words) {
    Row row;
    for (std::size_t part = 0; part < 2 * kPairs; ++part) {
      row.ranks[part] = _mm512_load_si512(words + 16 * part);
    }
    return row;
  }
  [[gnu::always_inline]] static inline std::uint32_t decide(const Row& row, const void* a, const void* b,
                                                            const void* c, const void* d) {
    const auto one = [](const void* from) { return _mm_load_si128(static_cast<const __m128i*>(from)); };
    const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(one(a)), one(b), 1);
    const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(one(c)), one(d), 1);
    const __m512i nodes = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    const auto pair = [&](std::size_t number) {
      return _mm512_permutex2var_epi16(row.ranks[2 * number], nodes, row.ranks[2 * number + 1]);
    };
    __m512i ranks = pair(0);
    if constexpr (kPairs > 1) {
      const __mmask32 second = _mm512_test_epi16_mask(nodes, _mm512_set1_epi16(0x40));
      ranks = _mm512_mask_blend_epi16(second, ranks, pair(1));
      if constexpr (kPairs > 2) {
        const __mmask32 third = _mm512_test_epi16_mask(nodes, _mm512_set1_epi16(0x80));
        ranks = _mm512_mask_blend_epi16(third, ranks, _mm512_mask_blend_epi16(second, pair(2), pair(3)));
      }
    }
    return _mm512_cmpgt_epu16_mask(ranks, nodes);
  }
};

bool rank_rows(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
               std::uint8_t* bytes) {
  __mmask16 missing = 0;
  for (std::uint32_t row = 0; row < rows; ++row, x += columns, bytes += view.stride) {
    std::uint32_t column = 0;
    for (; columns - column >= 16; column += 16) {
      const __m512 numbers = _mm512_loadu_ps(x + column);
      missing = static_cast<__mmask16>(missing | _mm512_cmp_ps_mask(numbers, numbers, _CMP_UNORD_Q));
    }
    const __m512 rest =
        _mm512_maskz_loadu_ps(static_cast<__mmask16>((1U << (columns - column)) - 1), x + column);
    missing = static_cast<__mmask16>(missing | _mm512_cmp_ps_mask(rest, rest, _CMP_UNORD_Q));
    for (std::uint32_t plane = 0; plane < view.planes; ++plane) {
      const float* const table = view.tables + std::size_t{plane} * kRankTable;
      const __m512 number = _mm512_set1_ps(x[view.features[plane]]);
      const unsigned coarse = _mm512_cmp_ps_mask(_mm512_load_ps(table), number, _CMP_LE_OQ);
      const unsigned sixteens = static_cast<unsigned>(__builtin_popcount(coarse)) * 16;
      const unsigned fine = _mm512_cmp_ps_mask(_mm512_load_ps(table + 16 + sixteens), number, _CMP_LE_OQ);
      bytes[plane] = static_cast<std::uint8_t>(sixteens + static_cast<unsigned>(__builtin_popcount(fine)));
    }
  }
  return missing != 0;
}

/// The search tree of a plane in sixteen registers. A permutation looks at the low bits of a node's number
/// only, so the first four levels share a register; in the last two the first decisions choose among
/// registers.
struct SearchTree {
  __m512 part[16];

  [[gnu::always_inline]] static inline void descend(__m512i& at, __mmask16 right) {
    at = _mm512_add_epi32(at, at);
    at = _mm512_mask_add_epi32(at, right, at, _mm512_set1_epi32(1));
  }
  [[gnu::always_inline]] inline __m512 pair(int first, __m512i at) const {
    return _mm512_permutex2var_ps(part[first], at, part[first + 1]);
  }
  /// How many of the thresholds are <= x.
  [[gnu::always_inline]] inline __m512i count(__m512 x) const {
    const auto reached = [x](__m512 threshold) { return _mm512_cmp_ps_mask(threshold, x, _CMP_LE_OQ); };
    __m512i at = _mm512_set1_epi32(1);
    const __mmask16 first = reached(_mm512_permutexvar_ps(at, part[0]));
    descend(at, first);
    const __mmask16 second = reached(_mm512_permutexvar_ps(at, part[0]));
    descend(at, second);
    descend(at, reached(_mm512_permutexvar_ps(at, part[0])));
    descend(at, reached(_mm512_permutexvar_ps(at, part[0])));
    descend(at, reached(_mm512_permutexvar_ps(at, part[1])));
    descend(at, reached(pair(2, at)));
    descend(at, reached(_mm512_mask_blend_ps(first, pair(4, at), pair(6, at))));
    const __m512 low = _mm512_mask_blend_ps(second, pair(8, at), pair(10, at));
    const __m512 high = _mm512_mask_blend_ps(second, pair(12, at), pair(14, at));
    descend(at, reached(_mm512_mask_blend_ps(first, low, high)));
    return at;  // 256 more than the count: the low byte is right
  }
};

bool rank_columns(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
                  std::uint8_t* bytes, std::uint32_t shift) {
  constexpr std::uint32_t kTile = 64;  // rows whose numbers stay in the first-level cache for all planes
  const __m512i lines =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(columns)));
  __mmask16 missing = 0;
  for (std::uint32_t tile = 0; tile < rows; tile += kTile) {
    const std::uint32_t end = rows - tile < kTile ? rows : tile + kTile;
    for (std::uint32_t plane = 0; plane < view.planes; ++plane) {
      SearchTree tree;
      for (std::size_t part = 0; part < 16; ++part) {
        tree.part[part] = _mm512_load_ps(view.trees + std::size_t{plane} * kRankTree + 16 * part);
      }
      const float* const column = x + view.features[plane];
      std::uint8_t* const into = bytes + (std::size_t{plane} << shift);
      for (std::uint32_t row = tile; row < end; row += 16) {
        const auto present = static_cast<__mmask16>(end - row >= 16 ? 0xffffU : (1U << (end - row)) - 1);
        const __m512 numbers = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), present, lines,
                                                        column + std::size_t{row} * columns, 4);
        missing = static_cast<__mmask16>(missing | _mm512_cmp_ps_mask(numbers, numbers, _CMP_UNORD_Q));
        _mm_store_si128(reinterpret_cast<__m128i*>(into + row), _mm512_cvtepi32_epi8(tree.count(numbers)));
      }
    }
  }
  return missing != 0;
}

template <class Number>
void tournament(const TournamentView<Number>& view, const std::uint8_t* columns, std::uint32_t shift,
                std::uint32_t rows, Number* sums, Number* margins) {
  begin_sums(view, 1U << shift, sums);
  if (rows <= 32) {
    add_trees<Rows32, 1>(view, columns, shift, sums);
    return end_sums<Rows32>(view, 0, rows, sums, margins);
  }
  if (rows <= 64) {
    add_trees<Rows64, 1>(view, columns, shift, sums);
  } else if (rows <= 128) {
    add_trees<Rows64, 2>(view, columns, shift, sums);
  } else if (rows <= 192) {
    add_trees<Rows64, 3>(view, columns, shift, sums);
  } else {
    add_trees<Rows64, 4>(view, columns, shift, sums);
  }
  end_sums<Rows64>(view, 0, rows, sums, margins);
}

template <class Number>
void walk(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows, std::uint32_t* words,
          Number* margins) {
  walk_all<Words16, FromMemory>(view, bytes, rows, words, margins);
}

template <class Number>
void leap(const LeapView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows, std::uint32_t* words,
          Number* margins) {
  if (view.planes <= 64) return leap_all<LeapWords<1>, Rows64>(view, bytes, rows, words, margins);
  if (view.planes <= 128) return leap_all<LeapWords<2>, Rows64>(view, bytes, rows, words, margins);
  leap_all<LeapWords<4>, Rows64>(view, bytes, rows, words, margins);
}

}  // namespace

constinit const Kernels kAvx512Kernels{
    .name = "avx512",
    .symbol = "kAvx512Kernels",
    .tournament_rows = 64,
    .wide_percent = 60,
    .relay_cost = 22,
    .relay_leaves_cost = 5100,
    .walk_cost = 60,
    .leap_cost = 28,
    .crown_rows = 64,
    .rank_rows = rank_rows,
    .rank_columns = rank_columns,
    .narrow = {.tournament = tournament, .relay = relay_all<Relay>, .walk = walk, .leap = leap},
    .wide = {.tournament = tournament, .relay = relay_all<Relay>, .walk = walk, .leap = leap}};

}  // namespace tutti::trees
