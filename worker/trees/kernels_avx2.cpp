// AVX2: 32 rows in one comparison, eight trees in one walk.
//
// There is no unsigned comparison of bytes. The lowest nodes need 0 or 1 and get it from a saturating
// difference; for the others an average with 254 - threshold has its highest bit set exactly where rank >
// threshold, and the highest bit is what a blend looks at.
#include <immintrin.h>

#include <cstdint>

#include "worker/trees/kernels.hpp"
#include "worker/trees/tournament.hpp"
#include "worker/trees/transpose.hpp"
#include "worker/trees/walk.hpp"

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
    for (int part = 0; part < 4; ++part) {
      float* const sum = sums + 8 * part;
      const __m256i words = _mm256_and_si256(_mm256_srli_epi32(numbers, 8 * part), _mm256_set1_epi32(255));
      __m256 leaf;
      if constexpr (kDepth <= 3) {
        const __m256i present =
            _mm256_cmpgt_epi32(_mm256_set1_epi32(1 << kDepth), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        leaf = _mm256_permutevar8x32_ps(_mm256_maskload_ps(leaves, present), words);
      } else {
        leaf = _mm256_i32gather_ps(leaves, words, 4);
      }
      _mm256_store_ps(sum, _mm256_add_ps(_mm256_load_ps(sum), leaf));
    }
  }
  static std::uint32_t place(std::uint32_t row) { return row % 4 * 8 + row / 4; }
};

struct Lanes {
  using Bytes = __m256i;
  static constexpr std::uint32_t kPlanes = 32;

  static Bytes load(const std::uint8_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Bytes low(Bytes left, Bytes right) { return _mm256_unpacklo_epi8(left, right); }
  static Bytes high(Bytes left, Bytes right) { return _mm256_unpackhi_epi8(left, right); }
  static void store(Bytes bytes, std::uint8_t* column, std::size_t next) {
    _mm_store_si128(reinterpret_cast<__m128i*>(column), _mm256_castsi256_si128(bytes));
    _mm_store_si128(reinterpret_cast<__m128i*>(column + next), _mm256_extracti128_si256(bytes, 1));
  }
};

struct Words8 {
  using Words = __m256i;
  static constexpr std::uint32_t kLanes = 8;

  [[gnu::always_inline]] static inline Words load(const std::uint32_t* from) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
  }
  [[gnu::always_inline]] static inline Words add(Words left, Words right) {
    return _mm256_add_epi32(left, right);
  }
  [[gnu::always_inline]] static inline Words gather(const std::uint32_t* from, Words at) {
    return _mm256_i32gather_epi32(reinterpret_cast<const int*>(from), at, 4);
  }
  [[gnu::always_inline]] static inline __m256 gather_floats(const float* from, Words at) {
    return _mm256_i32gather_ps(from, at, 4);
  }
  [[gnu::always_inline]] static inline void store_floats(float* into, __m256 floats) {
    _mm256_store_ps(into, floats);
  }
  [[gnu::always_inline]] static inline Words blend(Words mask, Words no, Words yes) {
    return _mm256_blendv_epi8(no, yes, mask);
  }
  [[gnu::always_inline]] static inline Words child(Words node, Words right, std::uint32_t plane_bits) {
    const Words left = _mm256_srl_epi32(_mm256_and_si256(node, _mm256_set1_epi32(0xffffff)),
                                        _mm_cvtsi32_si128(static_cast<int>(plane_bits)));
    return _mm256_sub_epi32(left, right);
  }
};

struct FromMemory {
  using Row = const std::uint8_t*;

  static void prepare(const WalkView& /*view*/, const std::uint8_t* /*bytes*/, std::uint32_t* /*words*/) {}
  static Row row(const WalkView& /*view*/, const std::uint8_t* bytes, const std::uint32_t* /*words*/) {
    return bytes;
  }
  [[gnu::always_inline]] static inline __m256i right(const WalkView& view, Row row, __m256i node) {
    const __m256i plane =
        _mm256_and_si256(node, _mm256_set1_epi32(static_cast<int>((1U << view.plane_bits) - 1)));
    const __m256i rank = _mm256_and_si256(_mm256_i32gather_epi32(reinterpret_cast<const int*>(row), plane, 1),
                                          _mm256_set1_epi32(255));
    return _mm256_cmpgt_epi32(rank, _mm256_srli_epi32(node, 24));
  }
};

/// How many of sixteen numbers in order are <= x.
[[gnu::always_inline]] inline unsigned count16(const float* sorted, __m256 x) {
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_load_ps(sorted), x, _CMP_LE_OQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_load_ps(sorted + 8), x, _CMP_LE_OQ));
  return static_cast<unsigned>(__builtin_popcount(static_cast<unsigned>(low | high << 8)));
}

bool rank(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
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
      const float* const table = view.tables + std::size_t{plane} * kRankTable;
      const __m256 number = _mm256_set1_ps(x[view.features[plane]]);
      const unsigned sixteens = count16(table, number) * 16;
      bytes[plane] = static_cast<std::uint8_t>(sixteens + count16(table + 16 + sixteens, number));
    }
  }
  return missing != 0;
}

void tournament(const TournamentView& view, const std::uint8_t* columns, std::uint32_t shift,
                std::uint32_t rows, float* sums, float* margins) {
  begin_sums(view, 1U << shift, sums);
  std::uint32_t row = 0;
  for (; rows - row > 32; row += rows - row < 64 ? rows - row : 64) {
    add_trees<Rows32, 2>(view, columns + row, shift, sums + row);
  }
  if (row < rows) add_trees<Rows32, 1>(view, columns + row, shift, sums + row);
  end_sums<Rows32>(view, 0, rows, sums, margins);
}

void walk(const WalkView& view, const std::uint8_t* bytes, std::uint32_t rows, std::uint32_t* words,
          float* margins) {
  walk_all<Words8, FromMemory>(view, bytes, rows, words, margins);
}

}  // namespace

constinit const Kernels kAvx2Kernels{.name = "avx2",
                                     .tournament_rows = 32,
                                     .walk_cost = 30,
                                     .rank = rank,
                                     .transpose = transpose_all<Lanes>,
                                     .tournament = tournament,
                                     .walk = walk};

}  // namespace tutti::trees
