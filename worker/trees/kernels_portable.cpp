// Any CPU: vectors of sixteen bytes, which the compilers know without being told an instruction set, and
// walks of eight trees in plain words.
#include <cstdint>

#include "worker/trees/kernels.hpp"
#include "worker/trees/leap.hpp"
#include "worker/trees/tournament.hpp"
#include "worker/trees/walk.hpp"

namespace tutti::trees {
namespace {

using Vector = std::uint8_t __attribute__((vector_size(16)));

[[gnu::always_inline]] inline Vector load_bytes(const std::uint8_t* from) {
  Vector bytes;
  __builtin_memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

struct Rows16 {
  using Bytes = Vector;
  static constexpr int kRows = 16;

  [[gnu::always_inline]] static inline Vector threshold(std::uint32_t word) {
    return Vector{} + static_cast<std::uint8_t>(word);
  }
  [[gnu::always_inline]] static inline Vector above(const std::uint8_t* column, Vector threshold) {
    return reinterpret_cast<Vector>(load_bytes(column) > threshold);
  }
  [[gnu::always_inline]] static inline Bytes lowest(const std::uint8_t* column, Vector threshold) {
    return above(column, threshold) & 1;
  }
  template <int kBit>
  [[gnu::always_inline]] static inline Bytes choose(Bytes left, Bytes right, const std::uint8_t* column,
                                                    Vector threshold) {
    const Vector goes_right = above(column, threshold);
    return (goes_right & (right | static_cast<std::uint8_t>(kBit))) | (~goes_right & left);
  }
  template <int kDepth, class Number>
  [[gnu::always_inline]] static inline void add(Bytes numbers, const Number* leaves, Number* sums) {
    for (int row = 0; row < kRows; ++row) sums[row] += leaves[numbers[row]];
  }
  static std::uint32_t place(std::uint32_t row) { return row; }
};

struct Eight {
  std::uint32_t lanes[8];
};

struct Words8 {
  using Words = Eight;
  static constexpr std::uint32_t kLanes = 8;

  [[gnu::always_inline]] static inline Words all(std::uint32_t word) {
    return {{word, word, word, word, word, word, word, word}};
  }
  [[gnu::always_inline]] static inline Words load(const std::uint32_t* from) {
    Words words;
    __builtin_memcpy(&words, from, sizeof words);
    return words;
  }
  [[gnu::always_inline]] static inline void store(std::uint32_t* into, const Words& words) {
    __builtin_memcpy(into, &words, sizeof words);
  }
  [[gnu::always_inline]] static inline Words add(const Words& left, const Words& right) {
    Words sum;
    for (int lane = 0; lane < 8; ++lane) sum.lanes[lane] = left.lanes[lane] + right.lanes[lane];
    return sum;
  }
  [[gnu::always_inline]] static inline Words times16(const Words& words) {
    Words product;
    for (int lane = 0; lane < 8; ++lane) product.lanes[lane] = words.lanes[lane] << 4;
    return product;
  }
  [[gnu::always_inline]] static inline Words gather(const std::uint32_t* from, const Words& at) {
    Words words;
    for (int lane = 0; lane < 8; ++lane) words.lanes[lane] = from[at.lanes[lane]];
    return words;
  }
  /// A mask is 0 or 1 in each lane.
  [[gnu::always_inline]] static inline Words blend(const Words& mask, const Words& no, const Words& yes) {
    Words words;
    for (int lane = 0; lane < 8; ++lane) {
      words.lanes[lane] = no.lanes[lane] ^ ((no.lanes[lane] ^ yes.lanes[lane]) & (0U - mask.lanes[lane]));
    }
    return words;
  }
  [[gnu::always_inline]] static inline Words twice(const Words& at, const Words& right) {
    Words doubled;
    for (int lane = 0; lane < 8; ++lane) doubled.lanes[lane] = 2 * at.lanes[lane] + right.lanes[lane];
    return doubled;
  }
  [[gnu::always_inline]] static inline Words is_block(const Words& exits) {
    Words mask;
    for (int lane = 0; lane < 8; ++lane) {
      mask.lanes[lane] = static_cast<std::uint32_t>(static_cast<std::int32_t>(exits.lanes[lane]) >=
                                                    static_cast<std::int32_t>(kBlockExit));
    }
    return mask;
  }
  [[gnu::always_inline]] static inline bool any(const Words& mask) {
    std::uint32_t some = 0;
    for (int lane = 0; lane < 8; ++lane) some |= mask.lanes[lane];
    return some != 0;
  }
};

struct FromMemory {
  using Row = const std::uint8_t*;

  template <class View>
  static void prepare(const View& /*view*/, const std::uint8_t* /*bytes*/, std::uint32_t* /*words*/) {}
  template <class View>
  static Row row(const View& /*view*/, const std::uint8_t* bytes, const std::uint32_t* /*words*/) {
    return bytes;
  }
  template <class View>
  [[gnu::always_inline]] static inline Eight right(const View& /*view*/, Row row, const Eight& node) {
    constexpr std::uint32_t kPlane = 0xffffff;
    Eight goes_right;
    for (int lane = 0; lane < 8; ++lane) {
      goes_right.lanes[lane] =
          static_cast<std::uint32_t>(row[node.lanes[lane] & kPlane] > node.lanes[lane] >> 24);
    }
    return goes_right;
  }
};

/// Node by node: what others ask at once is here no more than the three nodes of the way.
struct LeapPlainly {
  using Row = const std::uint8_t*;

  static void prepare(const std::uint8_t* /*bytes*/, std::uint32_t* /*words*/) {}
  [[gnu::always_inline]] static inline Row row(const std::uint8_t* bytes, const std::uint32_t* /*words*/) {
    return bytes;
  }
  [[gnu::always_inline]] static inline std::uint32_t decide(Row row, const void* a, const void* b,
                                                            const void* c, const void* d) {
    const std::uint16_t* const blocks[4] = {
        static_cast<const std::uint16_t*>(a), static_cast<const std::uint16_t*>(b),
        static_cast<const std::uint16_t*>(c), static_cast<const std::uint16_t*>(d)};
    std::uint32_t decisions = 0;
    for (unsigned block = 0; block < 4; ++block) {
      std::uint32_t node = 1;
      for (int level = 0; level < 3; ++level) {
        const std::uint32_t limit = blocks[block][node];
        const auto right = static_cast<std::uint32_t>(row[limit & 255U] > limit >> 8);
        decisions |= right << (8 * block + node);
        node = 2 * node + right;
      }
    }
    return decisions;
  }
};

/// How many of sixteen numbers are <= x.
[[gnu::always_inline]] inline unsigned count16(const float* numbers, float x) {
  unsigned count = 0;
  for (int index = 0; index < 16; ++index) count += static_cast<unsigned>(numbers[index] <= x);
  return count;
}

[[gnu::always_inline]] inline std::uint8_t rank_of(const float* table, float x) {
  const unsigned sixteens = count16(table, x) * 16;
  return static_cast<std::uint8_t>(sixteens + count16(table + 16 + sixteens, x));
}

bool rank_rows(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
               std::uint8_t* bytes) {
  unsigned missing = 0;
  for (std::uint32_t row = 0; row < rows; ++row, x += columns, bytes += view.stride) {
    for (std::uint32_t column = 0; column < columns; ++column) {
      missing |= static_cast<unsigned>(x[column] != x[column]);
    }
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
  for (; rows - row > 16; row += rows - row < 32 ? rows - row : 32) {
    add_trees<Rows16, 2>(view, columns + row, shift, sums + row);
  }
  if (row < rows) add_trees<Rows16, 1>(view, columns + row, shift, sums + row);
  end_sums<Rows16>(view, 0, rows, sums, margins);
}

}  // namespace

template <class Number>
void walk_plainly(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
                  std::uint32_t* words, Number* margins) {
  walk_all<Words8, FromMemory>(view, bytes, rows, words, margins);
}
template void walk_plainly(const WalkView<float>&, const std::uint8_t*, std::uint32_t, std::uint32_t*,
                           float*);
template void walk_plainly(const WalkView<double>&, const std::uint8_t*, std::uint32_t, std::uint32_t*,
                           double*);

constinit const Kernels kPortableKernels{
    .name = "portable",
    .symbol = "kPortableKernels",
    .tournament_rows = 16,
    .wide_percent = 90,
    .descend_rows = 8,
    .walk_cost = 80,
    .leap_cost = 80,
    .crown_rows = 32,
    .rank_rows = rank_rows,
    .rank_columns = rank_columns,
    .narrow = {.tournament = tournament, .walk = walk_plainly, .leap = leap_all<LeapPlainly, Rows16>},
    .wide = {.tournament = tournament, .walk = walk_plainly, .leap = leap_all<LeapPlainly, Rows16>}};

}  // namespace tutti::trees
