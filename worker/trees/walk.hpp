// The walk: a vector of trees goes from root to leaf side by side, each with its own row of ranks. The first
// three levels stand in order (the crown) and are loaded; below them one gather a level fetches the nodes.
//
// Several such walks run in lockstep, so that the gathers of one hide behind the others': several rows under
// the same trees, whose crowns are then loaded once, or one row under several vectors of trees. What a row's
// leaves add is summed one by one, in the order of the trees: a chain of dependent additions, which for a
// single row is woven into the next walk.
//
// Written once; an instruction set says what a vector of words is (struct Set):
//
//   Words, Mask, kLanes                        kLanes divides kVectorTrees
//   load, load_floats, gather, gather_floats, store_floats, blend(mask, no, yes)
//   child(node, right, plane_bits)             the left child's number, plus one where `right`
//   Row; row(view, bytes, words)               a row's ranks as a walk wants them; prepare(…) fills `words`
//   right(view, row, node)                     the walks that go right at their nodes
#pragma once

#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

/// Leaves of one row that are still to be added to its sum.
struct Chain {
  float sum = 0.0F;
  const float* next = nullptr;
  const float* end = nullptr;

  [[gnu::always_inline]] inline void add(int count) {
    if (end - next < count) count = static_cast<int>(end - next);
    for (int index = 0; index < count; ++index) sum += next[index];
    next += count;
  }
};

/// The leaves that kRows rows reach in kVectors vectors of trees, from vector `first` on.
///   leaves  f32 [kRows][kVectors * kLanes]
template <class Set, class Source, int kRows, int kVectors>
[[gnu::always_inline]] inline void find_leaves(const WalkView& view, const typename Source::Row* rows,
                                               std::uint32_t first, float* leaves, Chain& chain) {
  using Words = typename Set::Words;
  constexpr int kAdditions = 12;  // between two steps: six steps take up the 64 additions of four vectors
  Words at[kRows][kVectors];
  std::uint32_t steps = 0;
  for (int vector = 0; vector < kVectors; ++vector) {
    const std::uint32_t tree = (first + static_cast<std::uint32_t>(vector)) * Set::kLanes;
    const std::uint32_t* const crown =
        view.crowns + std::size_t{tree / kVectorTrees} * kCrown * kVectorTrees + tree % kVectorTrees;
    if (view.steps[tree / kVectorTrees] > steps) steps = view.steps[tree / kVectorTrees];
    for (int row = 0; row < kRows; ++row) {
      const Words root = Set::load(crown);
      const auto first_right = Source::right(view, rows[row], root);
      const Words second =
          Set::blend(first_right, Set::load(crown + kVectorTrees), Set::load(crown + 2 * kVectorTrees));
      const auto second_right = Source::right(view, rows[row], second);
      const Words third = Set::blend(
          first_right,
          Set::blend(second_right, Set::load(crown + 3 * kVectorTrees), Set::load(crown + 4 * kVectorTrees)),
          Set::blend(second_right, Set::load(crown + 5 * kVectorTrees), Set::load(crown + 6 * kVectorTrees)));
      const auto third_right = Source::right(view, rows[row], third);
      at[row][vector] = Set::child(third, third_right, view.plane_bits);
    }
    chain.add(kAdditions);
  }
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (int vector = 0; vector < kVectors; ++vector) {
      const Words base =
          Set::load(view.bases + std::size_t{first + static_cast<std::uint32_t>(vector)} * Set::kLanes);
      for (int row = 0; row < kRows; ++row) {
        const Words node = Set::gather(view.nodes, Set::add(base, at[row][vector]));
        at[row][vector] = Set::child(node, Source::right(view, rows[row], node), view.plane_bits);
      }
    }
    chain.add(kAdditions);
  }
  for (int vector = 0; vector < kVectors; ++vector) {
    const Words base =
        Set::load(view.bases + std::size_t{first + static_cast<std::uint32_t>(vector)} * Set::kLanes);
    for (int row = 0; row < kRows; ++row) {
      Set::store_floats(leaves + (row * kVectors + vector) * Set::kLanes,
                        Set::gather_floats(view.values, Set::add(base, at[row][vector])));
    }
  }
}

/// Trees of the vectors [first, first + count), of which the last ones may be padding.
template <class Set>
std::uint32_t trees_in(const WalkView& view, std::uint32_t first, std::uint32_t count) {
  const std::uint32_t begin = first * Set::kLanes;
  const std::uint32_t left = view.tree_count > begin ? view.tree_count - begin : 0;
  return left < count * Set::kLanes ? left : count * Set::kLanes;
}

/// One row of a model with one margin.
template <class Set, class Source, int kVectors>
void walk_row(const WalkView& view, const typename Source::Row& row, float* margin) {
  alignas(64) float leaves[2][kVectors * Set::kLanes];
  const std::uint32_t vectors = (view.tree_count + Set::kLanes - 1) / Set::kLanes;
  Chain chain;
  chain.sum = *margin;
  std::uint32_t vector = 0;
  std::uint32_t turn = 0;
  for (; vectors - vector >= kVectors; vector += kVectors, turn ^= 1U) {
    find_leaves<Set, Source, 1, kVectors>(view, &row, vector, leaves[turn], chain);
    chain.add(kVectors * Set::kLanes);
    chain.next = leaves[turn];
    chain.end = chain.next + trees_in<Set>(view, vector, kVectors);
  }
  for (; vector < vectors; ++vector, turn ^= 1U) {
    find_leaves<Set, Source, 1, 1>(view, &row, vector, leaves[turn], chain);
    chain.add(kVectors * Set::kLanes);
    chain.next = leaves[turn];
    chain.end = chain.next + trees_in<Set>(view, vector, 1);
  }
  chain.add(kVectors * Set::kLanes);
  *margin = chain.sum;
}

/// Some rows under all trees; any number of margins.
template <class Set, class Source, int kRows>
void walk_rows(const WalkView& view, const std::uint8_t* bytes, const std::uint32_t* words,
               std::uint32_t begin, std::uint32_t end, float* margins) {
  alignas(64) float leaves[kRows][Set::kLanes];
  const std::uint32_t vectors = (view.tree_count + Set::kLanes - 1) / Set::kLanes;
  Chain none;
  for (std::uint32_t vector = 0; vector < vectors; ++vector) {
    const std::uint32_t trees = trees_in<Set>(view, vector, 1);
    for (std::uint32_t first = begin; first < end; first += kRows) {
      typename Source::Row rows[kRows];
      for (std::uint32_t row = 0; row < kRows; ++row) {
        rows[row] = Source::row(view, bytes + std::size_t{first + row} * view.stride,
                                words + std::size_t{first + row} * kRowWords);
      }
      find_leaves<Set, Source, kRows, 1>(view, rows, vector, leaves[0], none);
      float* const margin = margins + std::size_t{first} * view.groups;
      if (view.groups == 1) {
        float sums[kRows];
        for (int row = 0; row < kRows; ++row) sums[row] = margin[row];
        for (std::uint32_t tree = 0; tree < trees; ++tree) {
          for (int row = 0; row < kRows; ++row) sums[row] += leaves[row][tree];
        }
        for (int row = 0; row < kRows; ++row) margin[row] = sums[row];
        continue;
      }
      const std::uint32_t* const groups = view.tree_groups + vector * Set::kLanes;
      for (std::uint32_t tree = 0; tree < trees; ++tree) {
        for (std::uint32_t row = 0; row < kRows; ++row) {
          margin[std::size_t{row} * view.groups + groups[tree]] += leaves[row][tree];
        }
      }
    }
  }
}

template <class Set, class Source>
void walk_all(const WalkView& view, const std::uint8_t* bytes, std::uint32_t rows, std::uint32_t* words,
              float* margins) {
  constexpr int kTogether = 4;
  for (std::uint32_t row = 0; row < rows; ++row) {
    Source::prepare(view, bytes + std::size_t{row} * view.stride, words + std::size_t{row} * kRowWords);
    for (std::uint32_t group = 0; group < view.groups; ++group) {
      margins[std::size_t{row} * view.groups + group] = view.base_margins[group];
    }
  }
  const std::uint32_t many = rows / kTogether * kTogether;
  if (many > 0) walk_rows<Set, Source, kTogether>(view, bytes, words, 0, many, margins);
  if (view.groups > 1) {
    if (many < rows) walk_rows<Set, Source, 1>(view, bytes, words, many, rows, margins);
    return;
  }
  for (std::uint32_t row = many; row < rows; ++row) {
    walk_row<Set, Source, kTogether>(
        view, Source::row(view, bytes + std::size_t{row} * view.stride, words + std::size_t{row} * kRowWords),
        margins + row);
  }
}

}  // namespace
}  // namespace tutti::trees
