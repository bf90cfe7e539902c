// The leap: all seven nodes of three levels are asked at once, and a table says where their answers lead. So
// a step of three levels is one lookup, one comparison and one dependent load, whatever the way taken.
//
//   block    │ - 1 2 3 4 5 6 7 │ exits 8 … 15 │     one cache line; node n's children are 2n and 2n + 1
//   four blocks of four trees ──lookup of their planes──▶ ranks ──compare──▶ 4 x 8 decisions, one bit a node
//   eight decisions ──table──▶ exit ──▶ the next block, or a leaf's value
//
// No gather: sixteen of its loads cost what a dozen plain ones do at best, and three times that where a
// processor was taught not to leak through them. A tile of pairs of a row and four trees goes down level by
// level, so that its loads wait for memory beside each other: one row under many trees, or many rows under
// the same four, which then stay in the nearest cache. A pair that has arrived while others go on leaps its
// last block again. Leaves are added one by one, in the order of the trees; for a single row they are woven
// into the next tile, because each addition waits for the one before.
//
// Written once; an instruction set says how four blocks are asked (struct Set):
//
//   prepare(bytes, planes, words)      a row's ranks as lookups want them; may do nothing
//   Row; row(bytes, words)             the same in registers
//   decide(row, a, b, c, d)            eight decisions for each of four blocks' nodes, the first in the low
//                                      byte; of node n in bit n, and bit 0 is clear
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/trees/kernels.hpp"
#include "worker/trees/tournament.hpp"

namespace tutti::trees {
namespace {

struct LeapExits {
  std::uint8_t of[256];
};

/// Where eight decisions lead: the number of an exit, 0 to 7.
constexpr LeapExits leap_exits() {
  LeapExits exits{};
  for (unsigned decisions = 0; decisions < 256; ++decisions) {
    unsigned node = 1;
    while (node < 8) node = 2 * node + (decisions >> node & 1U);
    exits.of[decisions] = static_cast<std::uint8_t>(node - 8);
  }
  return exits;
}
constexpr LeapExits kLeapExits = leap_exits();

/// What an exit to a leaf adds.
[[gnu::always_inline]] inline float leaf_of(const LeapView<float>& /*view*/, std::uint32_t exit) {
  float leaf = 0.0F;
  __builtin_memcpy(&leaf, &exit, sizeof leaf);
  return leaf;
}
[[gnu::always_inline]] inline double leaf_of(const LeapView<double>& view, std::uint32_t exit) {
  return view.leaves[exit];
}

/// Exits of one row whose leaves are still to be added to its sum.
template <class Number>
struct LeapChain {
  const LeapView<Number>* view = nullptr;
  Number sum{};
  const std::uint32_t* next = nullptr;
  const std::uint32_t* end = nullptr;

  [[gnu::always_inline]] inline void add(int count) {
    for (; count > 0 && next != end; --count, ++next) sum += leaf_of(*view, *next);
  }
};

/// A tile of pairs, [tree][row] of 4 * kQuads trees and kRows rows. Loops over all of it have no branches in
/// them: compilers make vectors of them.
template <std::uint32_t kRows, std::uint32_t kQuads>
struct LeapTile {
  static constexpr std::uint32_t kTrees = 4 * kQuads;
  alignas(64) std::uint32_t blocks[kTrees * kRows];  // words that each pair's block begins at
  alignas(64) std::uint32_t exits[kTrees * kRows];

  /// From the crowns, whose exits lie in order, to the first blocks.
  [[gnu::always_inline]] inline void enter(const std::uint32_t* bases) {
    for (std::uint32_t tree = 0; tree < kTrees; ++tree) {
      for (std::uint32_t row = 0; row < kRows; ++row) {
        blocks[tree * kRows + row] = bases[tree] + exits[tree * kRows + row] * kBlockWords;
      }
    }
  }
  /// To the blocks that exits name; where an exit is a leaf's value the pair stays. Says whether any moved.
  [[gnu::always_inline]] inline bool follow(const std::uint32_t* bases) {
    std::uint32_t moved = 0;
    for (std::uint32_t tree = 0; tree < kTrees; ++tree) {
      for (std::uint32_t row = 0; row < kRows; ++row) {
        const std::uint32_t exit = exits[tree * kRows + row];
        const std::uint32_t here = blocks[tree * kRows + row];
        const std::uint32_t below = bases[tree] + (exit - kBlockExit) * kBlockWords;
        const bool further = static_cast<std::int32_t>(exit) >= static_cast<std::int32_t>(kBlockExit);
        const std::uint32_t all = 0U - static_cast<std::uint32_t>(further);
        blocks[tree * kRows + row] = (below & all) | (here & ~all);
        moved |= all;
      }
    }
    return moved != 0;
  }
  [[gnu::always_inline]] inline void prefetch(const std::uint32_t* words) const {
    for (std::uint32_t pair = 0; pair < kTrees * kRows; ++pair) __builtin_prefetch(words + blocks[pair]);
  }
};

/// Rows of a tile, as lookups want them.
struct LeapRows {
  const std::uint8_t* bytes;
  const std::uint32_t* words;
};
template <class Set, class Number>
[[gnu::always_inline]] inline typename Set::Row row_at(const LeapView<Number>& view, const LeapRows& rows,
                                                       std::uint32_t row) {
  return Set::row(rows.bytes + std::size_t{row} * view.stride,
                  rows.words + std::size_t{row} * view.row_words);
}

constexpr int leap_additions(std::uint32_t rows) { return rows == 1 ? 2 : 0; }

/// Sends the tile's pairs from the roots to the blocks below the crowns.
template <class Set, class Number, std::uint32_t kRows, std::uint32_t kQuads>
[[gnu::always_inline]] inline void leap_crowns(const LeapView<Number>& view, const LeapRows& rows,
                                               std::uint32_t first, LeapTile<kRows, kQuads>& tile,
                                               LeapChain<Number>& chain) {
  for (std::uint32_t row = 0; row < kRows; ++row) {
    const auto ranks = row_at<Set>(view, rows, row);
    for (std::uint32_t quad = 0; quad < kQuads; ++quad) {
      const std::uint16_t* const crown = view.crowns + (std::size_t{first} + quad) * 4 * kLeapNodes;
      const std::uint32_t decisions =
          Set::decide(ranks, crown, crown + kLeapNodes, crown + std::size_t{2} * kLeapNodes,
                      crown + std::size_t{3} * kLeapNodes);
      for (std::uint32_t tree = 0; tree < 4; ++tree) {
        tile.exits[(quad * 4 + tree) * kRows + row] = kLeapExits.of[decisions >> (8 * tree) & 255U];
      }
      chain.add(leap_additions(kRows));
    }
  }
  tile.enter(view.bases + std::size_t{first} * 4);
  tile.prefetch(view.words);
}

/// Sends the tile's pairs from blocks of level `level` to their leaves, whose values are the exits at the
/// end.
template <class Set, class Number, std::uint32_t kRows, std::uint32_t kQuads>
[[gnu::always_inline]] inline void leap_blocks(const LeapView<Number>& view, const LeapRows& rows,
                                               std::uint32_t first, std::uint32_t level,
                                               LeapTile<kRows, kQuads>& tile, LeapChain<Number>& chain) {
  const std::uint32_t* const bases = view.bases + std::size_t{first} * 4;
  std::uint32_t levels = 1;
  for (std::uint32_t quad = first; quad < first + kQuads; ++quad) {
    if (view.levels[quad * 4 / kVectorTrees] > levels) levels = view.levels[quad * 4 / kVectorTrees];
  }
  for (;; ++level) {
    for (std::uint32_t row = 0; row < kRows; ++row) {
      const auto ranks = row_at<Set>(view, rows, row);
      for (std::uint32_t quad = 0; quad < kQuads; ++quad) {
        const std::uint32_t* from[4];
        for (std::uint32_t tree = 0; tree < 4; ++tree) {
          from[tree] = view.words + tile.blocks[(quad * 4 + tree) * kRows + row];
        }
        const std::uint32_t decisions = Set::decide(ranks, from[0], from[1], from[2], from[3]);
        for (std::uint32_t tree = 0; tree < 4; ++tree) {
          tile.exits[(quad * 4 + tree) * kRows + row] =
              from[tree][8 + kLeapExits.of[decisions >> (8 * tree) & 255U]];
        }
        chain.add(leap_additions(kRows));
      }
    }
    if (level == levels || !tile.follow(bases)) return;
    tile.prefetch(view.words);
  }
}

/// One row under all trees; one margin.
template <class Set, class Number>
void leap_row(const LeapView<Number>& view, const std::uint8_t* bytes, const std::uint32_t* words,
              Number* margin) {
  constexpr std::uint32_t kQuads = 16;
  LeapTile<1, kQuads> tiles[2];
  LeapTile<1, 4> small_tiles[2];
  LeapChain<Number> chain;
  chain.view = &view;
  chain.sum = *margin;
  const LeapRows rows{bytes, words};
  std::uint32_t turn = 0;
  const std::uint32_t quads = (view.tree_count + 3) / 4;
  const auto then_add = [&](std::uint32_t first, std::uint32_t count, const std::uint32_t* leaves) {
    chain.add(kQuads * 4);
    chain.next = leaves;
    const std::uint32_t left = view.tree_count - first * 4;
    chain.end = chain.next + (left < count * 4 ? left : count * 4);
    turn ^= 1U;
  };
  std::uint32_t quad = 0;
  for (; quads - quad >= kQuads; quad += kQuads) {
    leap_crowns<Set>(view, rows, quad, tiles[turn], chain);
    leap_blocks<Set>(view, rows, quad, 1, tiles[turn], chain);
    then_add(quad, kQuads, tiles[turn].exits);
  }
  for (; quad < quads; quad += 4) {  // bases and crowns are padded to whole vectors of trees
    leap_crowns<Set>(view, rows, quad, small_tiles[turn], chain);
    leap_blocks<Set>(view, rows, quad, 1, small_tiles[turn], chain);
    then_add(quad, 4, small_tiles[turn].exits);
  }
  chain.add(kQuads * 4);
  *margin = chain.sum;
}

/// kRows rows under the four trees of one quad. `numbers`, where they are known: the first six decisions of
/// each pair as a number, u8 [tree][kBlockRows].
template <class Set, std::uint32_t kRows, class Number>
void leap_rows(const LeapView<Number>& view, const LeapRows& rows, const std::uint8_t* numbers,
               std::uint32_t quad, Number* margins) {
  LeapTile<kRows, 1> tile;
  LeapChain<Number> none;
  if (numbers == nullptr) {
    leap_crowns<Set>(view, rows, quad, tile, none);
    leap_blocks<Set>(view, rows, quad, 1, tile, none);
  } else {
    for (std::uint32_t tree = 0; tree < 4; ++tree) {
      const std::uint32_t base = view.bases[quad * 4 + tree];
      for (std::uint32_t row = 0; row < kRows; ++row) {
        const std::uint32_t number = numbers[tree * kBlockRows + row];
        const std::uint32_t block = base + number / 8 * kBlockWords;
        tile.blocks[tree * kRows + row] = block;
        tile.exits[tree * kRows + row] = view.words[block + 8 + number % 8];
      }
    }
    if (tile.follow(view.bases + std::size_t{quad} * 4)) {
      tile.prefetch(view.words);
      leap_blocks<Set>(view, rows, quad, 2, tile, none);
    }
  }
  const std::uint32_t left = view.tree_count - quad * 4;
  for (std::uint32_t tree = 0; tree < 4 && tree < left; ++tree) {
    const std::uint32_t* const exits = tile.exits + std::size_t{tree} * kRows;
    if (view.groups == 1) {
      for (std::uint32_t row = 0; row < kRows; ++row) margins[row] += leaf_of(view, exits[row]);
      continue;
    }
    Number* const margin = margins + view.tree_groups[quad * 4 + tree];
    for (std::uint32_t row = 0; row < kRows; ++row)
      margin[std::size_t{row} * view.groups] += leaf_of(view, exits[row]);
  }
}

/// The first six levels of four trees as a tournament, for all rows at once.
///   numbers  u8 [4][kBlockRows]
template <class Bytes, class Number>
void play_crowns(const LeapView<Number>& view, std::uint32_t quad, std::uint32_t rows,
                 std::uint8_t* numbers) {
  for (std::uint32_t tree = quad * 4; tree < quad * 4 + 4 && tree < view.tree_count; ++tree) {
    const TournamentNode* const nodes = view.crown_nodes + std::size_t{tree} * kCrownNodes;
    for (std::uint32_t row = 0; row < rows; row += 2 * Bytes::kRows) {
      const auto winners = Match<Bytes, 2, 6>::play(nodes, view.columns + row, view.shift);
      __builtin_memcpy(numbers + std::size_t{tree % 4} * kBlockRows + row, &winners, 2 * Bytes::kRows);
    }
  }
}

/// Bytes: as a tournament has them.
template <class Set, class Bytes, class Number>
[[gnu::always_inline]] inline void leap_all(const LeapView<Number>& view, const std::uint8_t* bytes,
                                            std::uint32_t rows, std::uint32_t* words, Number* margins) {
  constexpr std::uint32_t kTogether = 16;
  for (std::uint32_t row = 0; row < rows; ++row) {
    Set::prepare(bytes + std::size_t{row} * view.stride, words + std::size_t{row} * view.row_words);
    for (std::uint32_t group = 0; group < view.groups; ++group) {
      margins[std::size_t{row} * view.groups + group] = view.base_margins[group];
    }
  }
  if (view.groups == 1 && rows < kTogether) {
    for (std::uint32_t row = 0; row < rows; ++row) {
      leap_row<Set>(view, bytes + std::size_t{row} * view.stride, words + std::size_t{row} * view.row_words,
                    margins + row);
    }
    return;
  }
  alignas(64) std::uint8_t numbers[4 * kBlockRows] = {};
  for (std::uint32_t quad = 0; quad * 4 < view.tree_count; ++quad) {
    if (view.columns != nullptr) play_crowns<Bytes>(view, quad, rows, numbers);
    const auto leap_from = [&]<std::uint32_t kRows>(std::uint32_t row) {
      leap_rows<Set, kRows>(
          view, {bytes + std::size_t{row} * view.stride, words + std::size_t{row} * view.row_words},
          view.columns != nullptr ? numbers + row : nullptr, quad, margins + std::size_t{row} * view.groups);
      return row + kRows;
    };
    std::uint32_t row = 0;
    while (rows - row >= kTogether) row = leap_from.template operator()<kTogether>(row);
    while (rows - row >= 4) row = leap_from.template operator()<4>(row);
    while (rows > row) row = leap_from.template operator()<1>(row);
  }
}

}  // namespace
}  // namespace tutti::trees
