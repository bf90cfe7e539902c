// The relay: one row under a vector of shallow trees, without a gather. All nodes of a level stand side by
// side for all trees of the vector; the decisions so far choose among them by blending, the row's ranks are
// looked up by a permutation, and a comparison makes the next decision.
//
//   level 0   n0                        ──compare──▶ d0
//   level 1   n0 n1        ─blend d0──▶ ──compare──▶ d1
//   level 2   n0 n1 n2 n3  ─blend d0, then d1──▶ ──compare──▶ d2 …
//
// Memory is read in order and the same for every row: two bytes a node. Leaves are added one by one, in the
// order of the trees; the sums of four rows run beside each other.
//
// Written once; an instruction set says what a vector of kRelayTrees words of 16 bits is (struct Set):
//
//   Words, Decisions, kParts            a vector is kParts of Words, kPartTrees trees each
//   load, blend(decisions, no, yes)
//   Row; row(bytes)                     a row's ranks, up to kRelayPlanes of them
//   right(row, nodes)                   the trees that go right
//   number(decisions, count), store     leaf numbers: the decisions as bits, the first one highest
#pragma once

#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

/// The words of a level that the first kBit + 1 decisions choose, begun at candidate kFrom. The first
/// decision is blended first: the last one is known last.
template <class Set, int kLevel, int kBit, int kFrom>
[[gnu::always_inline]] inline typename Set::Words choose(const std::uint16_t* level,
                                                         const typename Set::Decisions* decisions) {
  if constexpr (kBit < 0) {
    return Set::load(level + kFrom * static_cast<int>(kRelayTrees));
  } else {
    constexpr int kOther = kFrom | 1 << (kLevel - 1 - kBit);
    return Set::blend(decisions[kBit], choose<Set, kLevel, kBit - 1, kFrom>(level, decisions),
                      choose<Set, kLevel, kBit - 1, kOther>(level, decisions));
  }
}

template <class Set, int kDepth, int kLevel>
[[gnu::always_inline]] inline void decide(const std::uint16_t* nodes, const typename Set::Row& row,
                                          typename Set::Decisions* decisions) {
  if constexpr (kLevel < kDepth) {
    const std::uint16_t* const level = nodes + ((1 << kLevel) - 1) * static_cast<int>(kRelayTrees);
    decisions[kLevel] = Set::right(row, choose<Set, kLevel, kLevel - 1, 0>(level, decisions));
    decide<Set, kDepth, kLevel + 1>(nodes, row, decisions);
  }
}

/// The numbers of the leaves that a row reaches in a vector of trees.
template <class Set, int kDepth>
[[gnu::noinline]] void reach(const std::uint16_t* nodes, const typename Set::Row& row,
                             std::uint16_t* numbers) {
  for (int part = 0; part < Set::kParts; ++part) {
    typename Set::Decisions decisions[kDepth];
    decide<Set, kDepth, 0>(nodes + part * Set::kPartTrees, row, decisions);
    Set::template store<kDepth>(numbers + part * Set::kPartTrees, decisions);
  }
}

/// kRows rows under one vector of trees.
template <class Set, int kDepth, int kRows>
void run_vector(const RelayView& view, const RelayVector& vector, const std::uint8_t* bytes, float* margins) {
  constexpr std::size_t kLeaves = std::size_t{1} << kDepth;
  alignas(64) std::uint16_t numbers[kRows][kRelayTrees];
  for (int row = 0; row < kRows; ++row) {
    reach<Set, kDepth>(view.nodes + vector.first_node, Set::row(bytes + std::size_t(row) * view.stride),
                       numbers[row]);
  }
  const float* leaves = view.leaves + vector.first_leaf;
  if (view.groups == 1) {
    float sums[kRows];
    for (int row = 0; row < kRows; ++row) sums[row] = margins[row];
    for (std::uint32_t tree = 0; tree < vector.tree_count; ++tree, leaves += kLeaves) {
      for (int row = 0; row < kRows; ++row) sums[row] += leaves[numbers[row][tree]];
    }
    for (int row = 0; row < kRows; ++row) margins[row] = sums[row];
    return;
  }
  const std::uint32_t* const groups = view.tree_groups + vector.first_tree;
  for (std::uint32_t tree = 0; tree < vector.tree_count; ++tree, leaves += kLeaves) {
    for (int row = 0; row < kRows; ++row) {
      margins[std::size_t(row) * view.groups + groups[tree]] += leaves[numbers[row][tree]];
    }
  }
}

template <class Set, int kDepth>
void run_rows(const RelayView& view, const RelayVector& vector, const std::uint8_t* bytes, std::uint32_t rows,
              float* margins) {
  std::uint32_t row = 0;
  for (; rows - row >= 4; row += 4) {
    run_vector<Set, kDepth, 4>(view, vector, bytes + std::size_t{row} * view.stride,
                               margins + std::size_t{row} * view.groups);
  }
  for (; row < rows; ++row) {
    run_vector<Set, kDepth, 1>(view, vector, bytes + std::size_t{row} * view.stride,
                               margins + std::size_t{row} * view.groups);
  }
}

template <class Set>
void relay_all(const RelayView& view, const std::uint8_t* bytes, std::uint32_t rows, float* margins) {
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (std::uint32_t group = 0; group < view.groups; ++group) {
      margins[std::size_t{row} * view.groups + group] = view.base_margins[group];
    }
  }
  for (std::uint32_t index = 0; index < view.vector_count; ++index) {
    const RelayVector& vector = view.vectors[index];
    switch (vector.depth) {
      case 1:
        run_rows<Set, 1>(view, vector, bytes, rows, margins);
        break;
      case 2:
        run_rows<Set, 2>(view, vector, bytes, rows, margins);
        break;
      case 3:
        run_rows<Set, 3>(view, vector, bytes, rows, margins);
        break;
      case 4:
        run_rows<Set, 4>(view, vector, bytes, rows, margins);
        break;
      case 5:
        run_rows<Set, 5>(view, vector, bytes, rows, margins);
        break;
      case 6:
        run_rows<Set, 6>(view, vector, bytes, rows, margins);
        break;
      case 7:
        run_rows<Set, 7>(view, vector, bytes, rows, margins);
        break;
      default:
        run_rows<Set, 8>(view, vector, bytes, rows, margins);
        break;
    }
  }
}

}  // namespace
}  // namespace tutti::trees
