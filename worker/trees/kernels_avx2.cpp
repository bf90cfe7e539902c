// AVX2: 32 rows in one comparison, sixteen trees in a relay, four in a leap. No gathers: of eight words, they
// were measured to take two to four times what plain loads take.
//
// There is no unsigned comparison of bytes. The lowest nodes need 0 or 1 and get it from a saturating
// difference; for the others an average with 254 - threshold has its highest bit set exactly where rank >
// threshold, and the highest bit is what a blend looks at.
#include <immintrin.h>

#include <cstdint>

#include "worker/trees/kernels.hpp"
#include "worker/trees/leap.hpp"
#include "worker/trees/relay.hpp"
#include "worker/trees/tournament.hpp"

namespace tutti::trees {
namespace {

[[gnu::always_inline]] inline __m256i load_bytes(const std::uint8_t* from) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
}

struct Rows32 {
  using Bytes = __m256i;
  static constexpr int kRows = 32;

  struct Threshold {
    __m256i itself;
    __m256i opposite;
  };
  [[gnu::always_inline]] static inline Threshold threshold(std::uint32_t word) {
    const __m256i itself = _mm256_set1_epi32(static_cast<int>(word));
    return {itself, _mm256_sub_epi8(_mm256_set1_epi8(static_cast<char>(254)), itself)};
  }
  [[gnu::always_inline]] static inline Bytes lowest(const std::uint8_t* column, const Threshold& threshold) {
    return _mm256_min_epu8(_mm256_subs_epu8(load_bytes(column), threshold.itself), _mm256_set1_epi8(1));
  }
  template <int kBit>
  [[gnu::always_inline]] static inline Bytes choose(Bytes left, Bytes right, const std::uint8_t* column,
                                                    const Threshold& threshold) {
    return _mm256_blendv_epi8(left, _mm256_add_epi8(right, _mm256_set1_epi8(static_cast<char>(kBit))),
                              _mm256_avg_epu8(load_bytes(column), threshold.opposite));
  }
  template <int kDepth>
  [[gnu::always_inline]] static inline void add(Bytes numbers, const float* leaves, float* sums) {
    if constexpr (kDepth > 3) return add_loaded(numbers, leaves, sums);
    const __m256i present =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(1 << kDepth), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    for (std::size_t part = 0; part < 4; ++part) {
      float* const sum = sums + 8 * part;
      const __m256i words = _mm256_srli_epi32(numbers, static_cast<int>(8 * part));
      const __m256 leaf = _mm256_permutevar8x32_ps(_mm256_maskload_ps(leaves, present),
                                                   _mm256_and_si256(words, _mm256_set1_epi32(255)));
      _mm256_store_ps(sum, _mm256_add_ps(_mm256_load_ps(sum), leaf));
    }
  }
  template <int kDepth>
  [[gnu::always_inline]] static inline void add(Bytes numbers, const double* leaves, double* sums) {
    alignas(32) std::uint8_t rows[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(rows), numbers);
    for (std::size_t part = 0; part < 4; ++part) {
      for (std::size_t half = 0; half < 2; ++half) {
        const std::uint8_t* const row = rows + 16 * half + part;
        double* const sum = sums + 8 * part + 4 * half;
        const __m256d leaf = _mm256_setr_pd(leaves[row[0]], leaves[row[4]], leaves[row[8]], leaves[row[12]]);
        _mm256_store_pd(sum, _mm256_add_pd(_mm256_load_pd(sum), leaf));
      }
    }
  }
  /// A gather would do, but costs twice the plain loads, and more where a microcode keeps it from leaking.
  [[gnu::always_inline]] static inline void add_loaded(Bytes numbers, const float* leaves, float* sums) {
    alignas(32) std::uint8_t rows[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(rows), numbers);
    for (std::size_t part = 0; part < 4; ++part) {
      const std::uint8_t* const row = rows + part;
      float* const sum = sums + 8 * part;
      const __m256 leaf = _mm256_setr_ps(leaves[row[0]], leaves[row[4]], leaves[row[8]], leaves[row[12]],
                                         leaves[row[16]], leaves[row[20]], leaves[row[24]], leaves[row[28]]);
      _mm256_store_ps(sum, _mm256_add_ps(_mm256_load_ps(sum), leaf));
    }
  }
  static std::uint32_t place(std::uint32_t row) { return row % 4 * 8 + row / 4; }
};

/// Sixteen trees in a register, twice. A row's ranks are four tables of sixteen bytes; a shuffle gives zero
/// where the highest bit of an index is set, which a saturating addition arranges for the planes of other
/// tables.
struct Relay {
  using Words = __m256i;
  using Decisions = __m256i;  // all bits of a word, or none
  static constexpr int kParts = 2;
  static constexpr int kPartTrees = 16;

  struct Row {
    __m256i tables[4];
  };
  [[gnu::always_inline]] static inline Row row(const std::uint8_t* bytes) {
    Row row;
    for (std::size_t table = 0; table < 4; ++table) {
      row.tables[table] =
          _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * table)));
    }
    return row;
  }
  [[gnu::always_inline]] static inline Words load(const std::uint16_t* from) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }
  [[gnu::always_inline]] static inline Words blend(Decisions decisions, Words no, Words yes) {
    return _mm256_blendv_epi8(no, yes, decisions);
  }
  [[gnu::always_inline]] static inline Decisions right(const Row& row, Words nodes) {
    // The plane in the high byte; the low byte finds nothing.
    const __m256i planes = _mm256_or_si256(_mm256_slli_epi16(nodes, 8), _mm256_set1_epi16(0x80));
    __m256i ranks = _mm256_setzero_si256();
    for (int table = 0; table < 4; ++table) {
      const __m256i index =
          _mm256_adds_epu8(_mm256_xor_si256(planes, _mm256_set1_epi16(static_cast<short>(table << 12))),
                           _mm256_set1_epi16(0x7000));
      ranks = _mm256_or_si256(ranks, _mm256_shuffle_epi8(row.tables[table], index));
    }
    // No unsigned comparison of words either: both are moved down by half of their range.
    const __m256i half = _mm256_set1_epi16(static_cast<short>(0x8000));
    return _mm256_cmpgt_epi16(_mm256_xor_si256(ranks, half), _mm256_xor_si256(nodes, half));
  }
  template <int kDepth>
  [[gnu::always_inline]] static inline void store(std::uint16_t* into, const Decisions* decisions) {
    __m256i numbers = _mm256_setzero_si256();
    for (int level = 0; level < kDepth; ++level) {
      numbers = _mm256_sub_epi16(_mm256_add_epi16(numbers, numbers), decisions[level]);
    }
    _mm256_store_si256(reinterpret_cast<__m256i*>(into), numbers);
  }
};

/// Four blocks in a register, as bytes: first their planes, then their ranks. A row's ranks are kTables
/// tables of sixteen bytes, looked up as in the relay.
template <int kTables>
struct LeapBytes {
  struct Row {
    __m256i tables[kTables];
  };
  static void prepare(const std::uint8_t* /*bytes*/, std::uint32_t* /*words*/) {}
  [[gnu::always_inline]] static inline Row row(const std::uint8_t* bytes, const std::uint32_t* /*words*/) {
    Row row;
    for (std::size_t table = 0; table < kTables; ++table) {
      row.tables[table] =
          _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * table)));
    }
    return row;
  }
  [[gnu::always_inline]] static inline std::uint32_t decide(const Row& row, const void* a, const void* b,
                                                            const void* c, const void* d) {
    const auto two = [](const void* low, const void* high) {
      return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_load_si128(static_cast<const __m128i*>(low))),
                                     _mm_load_si128(static_cast<const __m128i*>(high)), 1);
    };
    // Halves are packed within each half of a register: so the blocks come out in order.
    const __m256i even = two(a, c);
    const __m256i odd = two(b, d);
    const __m256i low_bytes = _mm256_set1_epi16(255);
    const __m256i planes =
        _mm256_packus_epi16(_mm256_and_si256(even, low_bytes), _mm256_and_si256(odd, low_bytes));
    const __m256i limits = _mm256_packus_epi16(_mm256_srli_epi16(even, 8), _mm256_srli_epi16(odd, 8));
    __m256i ranks = _mm256_setzero_si256();
    for (int table = 0; table < kTables; ++table) {
      const __m256i index = _mm256_adds_epu8(
          _mm256_xor_si256(planes, _mm256_set1_epi8(static_cast<char>(table << 4))), _mm256_set1_epi8(0x70));
      ranks = _mm256_or_si256(ranks, _mm256_shuffle_epi8(row.tables[table], index));
    }
    const __m256i stays = _mm256_cmpeq_epi8(_mm256_max_epu8(ranks, limits), limits);
    return ~static_cast<std::uint32_t>(_mm256_movemask_epi8(stays));
  }
};

/// How many of sixteen numbers in order are <= x.
[[gnu::always_inline]] inline unsigned count16(const float* sorted, __m256 x) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_load_ps(sorted), x, _CMP_LE_OQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_load_ps(sorted + 8), x, _CMP_LE_OQ));
  return static_cast<unsigned>(__builtin_popcount(static_cast<unsigned>(low | high << 8)));
}

[[gnu::always_inline]] inline std::uint8_t rank_of(const float* table, float x) {
  const __m256 number = _mm256_set1_ps(x);
  const unsigned sixteens = count16(table, number) * 16;
  return static_cast<std::uint8_t>(sixteens + count16(table + 16 + sixteens, number));
}

bool rank_rows(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
               std::uint8_t* bytes) {
  int missing = 0;
  for (std::uint32_t row = 0; row < rows; ++row, x += columns, bytes += view.stride) {
    std::uint32_t column = 0;
    for (; columns - column >= 8; column += 8) {
      const __m256 numbers = _mm256_loadu_ps(x + column);
      missing |= _mm256_movemask_ps(_mm256_cmp_ps(numbers, numbers, _CMP_UNORD_Q));
    }
    for (; column < columns; ++column) missing |= static_cast<int>(x[column] != x[column]);
    for (std::uint32_t plane = 0; plane < view.planes; ++plane) {
      bytes[plane] = rank_of(view.tables + std::size_t{plane} * kRankTable, x[view.features[plane]]);
    }
  }
  return missing != 0;
}

bool rank_columns(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
                  std::uint8_t* bytes, std::uint32_t shift) {
  constexpr std::uint32_t kTile = 64;  // rows whose numbers stay in the first-level cache for all planes
  unsigned missing = 0;
  for (std::uint32_t tile = 0; tile < rows; tile += kTile) {
    const std::uint32_t end = rows - tile < kTile ? rows : tile + kTile;
    for (std::uint32_t plane = 0; plane < view.planes; ++plane) {
      const float* const table = view.tables + std::size_t{plane} * kRankTable;
      const float* const column = x + view.features[plane];
      std::uint8_t* const into = bytes + (std::size_t{plane} << shift);
      for (std::uint32_t row = tile; row < end; ++row) {
        const float number = column[std::size_t{row} * columns];
        missing |= static_cast<unsigned>(number != number);
        into[row] = rank_of(table, number);
      }
    }
  }
  return missing != 0;
}

template <class Number>
void tournament(const TournamentView<Number>& view, const std::uint8_t* columns, std::uint32_t shift,
                std::uint32_t rows, Number* sums, Number* margins) {
  begin_sums(view, 1U << shift, sums);
  std::uint32_t row = 0;
  for (; rows - row > 32; row += rows - row < 64 ? rows - row : 64) {
    add_trees<Rows32, 2>(view, columns + row, shift, sums + row);
  }
  if (row < rows) add_trees<Rows32, 1>(view, columns + row, shift, sums + row);
  end_sums<Rows32>(view, 0, rows, sums, margins);
}

template <class Number>
void leap(const LeapView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows, std::uint32_t* words,
          Number* margins) {
  if (view.planes <= 64) return leap_all<LeapBytes<4>, Rows32>(view, bytes, rows, words, margins);
  if (view.planes <= 128) return leap_all<LeapBytes<8>, Rows32>(view, bytes, rows, words, margins);
  leap_all<LeapBytes<16>, Rows32>(view, bytes, rows, words, margins);
}

}  // namespace

constinit const Kernels kAvx2Kernels{
    .name = "avx2",
    .symbol = "kAvx2Kernels",
    .tournament_rows = 32,
    .wide_percent = 90,
    .relay_cost = 190,
    .relay_leaves_cost = 1000,
    .descend_rows = 8,
    .walk_cost = 80,
    .leap_cost = 46,
    .crown_rows = 32,
    .rank_rows = rank_rows,
    .rank_columns = rank_columns,
    .narrow = {.tournament = tournament, .relay = relay_all<Relay>, .walk = walk_plainly, .leap = leap},
    .wide = {.tournament = tournament, .relay = relay_all<Relay>, .walk = walk_plainly, .leap = leap}};

}  // namespace tutti::trees
