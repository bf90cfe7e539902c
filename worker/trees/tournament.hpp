// The tournament: every node of a tree is compared for many rows at once, and leaf numbers are played upwards
// until one is left for each row. No branch and no gather depends on the data.
//
//   0 or 1   0 or 1   0 or 1   0 or 1      lowest nodes: the comparison itself
//      └──┬─────┘        └──┬─────┘
//     left, or right + 2    …              next level: the winner of the side that was taken
//         └────────┬────────┘
//            left, or right + 4            … until the number of the leaf is complete
//
// Written once; an instruction set says what a vector of bytes is and how to choose (struct Set):
//
//   Bytes                                     a vector of kRows bytes
//   lowest(column, threshold)                 1 where column > threshold, else 0
//   choose<bit>(left, right, column, threshold)  right + bit where column > threshold, else left
//   add<depth>(numbers, leaves, sums)         sums[place(row)] += leaves[numbers[row]]
//   place(row)                                where a row's sum lies
#pragma once

#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

template <class Set, int kVectors>
struct Numbers {
  typename Set::Bytes vectors[kVectors];
};

template <class Set, int kVectors, int kDepth>
struct Match {
  static constexpr std::size_t kHalf = (std::size_t{1} << (kDepth - 1)) - 1;  // nodes of each subtree

  [[gnu::always_inline]] static inline Numbers<Set, kVectors> play(const TournamentNode* nodes,
                                                                   const std::uint8_t* columns,
                                                                   std::uint32_t shift) {
    Numbers<Set, kVectors> left = Match<Set, kVectors, kDepth - 1>::play(nodes, columns, shift);
    const Numbers<Set, kVectors> right =
        Match<Set, kVectors, kDepth - 1>::play(nodes + kHalf, columns, shift);
    const TournamentNode& root = nodes[2 * kHalf];
    const std::uint8_t* column = columns + (std::size_t{root.plane} << shift);
    const auto threshold = Set::threshold(root.threshold);
    for (int vector = 0; vector < kVectors; ++vector) {
      left.vectors[vector] = Set::template choose<(1 << (kDepth - 1))>(
          left.vectors[vector], right.vectors[vector], column + vector * Set::kRows, threshold);
    }
    return left;
  }
};

template <class Set, int kVectors>
struct Match<Set, kVectors, 1> {
  [[gnu::always_inline]] static inline Numbers<Set, kVectors> play(const TournamentNode* nodes,
                                                                   const std::uint8_t* columns,
                                                                   std::uint32_t shift) {
    Numbers<Set, kVectors> numbers;
    const std::uint8_t* column = columns + (std::size_t{nodes->plane} << shift);
    const auto threshold = Set::threshold(nodes->threshold);
    for (int vector = 0; vector < kVectors; ++vector) {
      numbers.vectors[vector] = Set::lowest(column + vector * Set::kRows, threshold);
    }
    return numbers;
  }
};

/// Deeper trees call this one: unrolled further, they would not fit the instruction cache.
template <class Set, int kVectors>
struct Match<Set, kVectors, 6> {
  [[gnu::noinline]] static Numbers<Set, kVectors> play(const TournamentNode* nodes,
                                                       const std::uint8_t* columns, std::uint32_t shift) {
    constexpr std::size_t kHalf = 31;
    Numbers<Set, kVectors> left = Match<Set, kVectors, 5>::play(nodes, columns, shift);
    const Numbers<Set, kVectors> right = Match<Set, kVectors, 5>::play(nodes + kHalf, columns, shift);
    const TournamentNode& root = nodes[2 * kHalf];
    const std::uint8_t* column = columns + (std::size_t{root.plane} << shift);
    const auto threshold = Set::threshold(root.threshold);
    for (int vector = 0; vector < kVectors; ++vector) {
      left.vectors[vector] = Set::template choose<32>(left.vectors[vector], right.vectors[vector],
                                                      column + vector * Set::kRows, threshold);
    }
    return left;
  }
};

template <class Set, int kVectors, int kDepth, class Number>
[[gnu::always_inline]] inline void add_tree(const TournamentView<Number>& view, const TournamentTree& tree,
                                            const std::uint8_t* columns, std::uint32_t shift, Number* sums) {
  const Numbers<Set, kVectors> numbers =
      Match<Set, kVectors, kDepth>::play(view.nodes + tree.first_node, columns, shift);
  const Number* leaves = view.leaves + tree.first_leaf;
  for (int vector = 0; vector < kVectors; ++vector) {
    Set::template add<kDepth>(numbers.vectors[vector], leaves, sums + vector * Set::kRows);
  }
}

template <class Set, int kVectors, class Number>
void add_trees(const TournamentView<Number>& view, const std::uint8_t* columns, std::uint32_t shift,
               Number* sums) {
  for (std::uint32_t index = 0; index < view.tree_count; ++index) {
    const TournamentTree& tree = view.trees[index];
    Number* const into = sums + std::size_t{tree.group} * kBlockRows;
    switch (tree.depth) {
      case 0:
        for (int row = 0; row < kVectors * Set::kRows; ++row) into[row] += view.leaves[tree.first_leaf];
        break;
      case 1:
        add_tree<Set, kVectors, 1>(view, tree, columns, shift, into);
        break;
      case 2:
        add_tree<Set, kVectors, 2>(view, tree, columns, shift, into);
        break;
      case 3:
        add_tree<Set, kVectors, 3>(view, tree, columns, shift, into);
        break;
      case 4:
        add_tree<Set, kVectors, 4>(view, tree, columns, shift, into);
        break;
      case 5:
        add_tree<Set, kVectors, 5>(view, tree, columns, shift, into);
        break;
      case 6:
        add_tree<Set, kVectors, 6>(view, tree, columns, shift, into);
        break;
      case 7:
        add_tree<Set, kVectors, 7>(view, tree, columns, shift, into);
        break;
      default:
        add_tree<Set, kVectors, 8>(view, tree, columns, shift, into);
        break;
    }
  }
}

/// Every sum begins with its base margin.
template <class Number>
void begin_sums(const TournamentView<Number>& view, std::uint32_t rows, Number* sums) {
  for (std::uint32_t group = 0; group < view.groups; ++group) {
    for (std::uint32_t row = 0; row < rows; ++row) {
      sums[std::size_t{group} * kBlockRows + row] = view.base_margins[group];
    }
  }
}

/// From sums in a vector's order to margins in the rows' order. `first` is the number of margins' first row.
template <class Set, class Number>
void end_sums(const TournamentView<Number>& view, std::uint32_t first, std::uint32_t rows, const Number* sums,
              Number* margins) {
  for (std::uint32_t row = first; row < rows; ++row) {
    const std::uint32_t place = row / Set::kRows * Set::kRows + Set::place(row % Set::kRows);
    for (std::uint32_t group = 0; group < view.groups; ++group) {
      margins[std::size_t{row} * view.groups + group] = sums[std::size_t{group} * kBlockRows + place];
    }
  }
}

}  // namespace
}  // namespace tutti::trees
