// The walk: a vector of trees goes from root to leaf side by side, each with its own row of ranks. The crowns
// stand in order and are loaded; below them a gather a level fetches the nodes, three levels from each cache
// line.
//
// Several such walks run in lockstep, so that the gathers of one hide behind the others': several rows under
// the same trees, whose crowns are then loaded once, or one row under several vectors of trees. What a row's
// leaves add is summed one by one, in the order of the trees: a chain of dependent additions, which for a
// single row is woven into the next walk. A walk that has arrived while others go on walks its last block
// again.
//
// Written once; an instruction set says what a vector of words is (struct Set):
//
//   Words, Mask, kLanes                kLanes divides kVectorTrees
//   all(word), load, store, gather, add, blend(mask, no, yes)
//   twice(at, right)                   2 * at, plus one where `right`
//   times16(words), is_block(exits), any(mask)
//   Row; row(view, bytes, words)       a row's ranks as a walk wants them; prepare(…) fills `words`
//   right(view, row, node)             the walks that go right at their nodes
#pragma once

#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

/// What an exit adds: in float the word itself.
[[gnu::always_inline]] inline float leaf_of(const WalkView<float>& /*view*/, std::uint32_t exit) {
  float value = 0.0F;
  __builtin_memcpy(&value, &exit, sizeof value);
  return value;
}
[[gnu::always_inline]] inline double leaf_of(const WalkView<double>& view, std::uint32_t exit) {
  return view.leaves[exit];
}

/// Exits of one row whose leaves are still to be added to its sum.
template <class Number>
struct Chain {
  const WalkView<Number>* view = nullptr;
  Number sum = 0;
  const std::uint32_t* next = nullptr;
  const std::uint32_t* end = nullptr;

  [[gnu::always_inline]] inline void add(int count) {
    if (end - next < count) count = static_cast<int>(end - next);
    for (int index = 0; index < count; ++index) sum += leaf_of(*view, next[index]);
    next += count;
  }
};

/// The exits to leaves that kRows rows reach in kVectors vectors of trees, from vector `first` on.
///   leaves  [kRows][kVectors * kLanes]
template <class Set, class Source, int kRows, int kVectors, class Number>
[[gnu::always_inline]] inline void find_leaves(const WalkView<Number>& view, const typename Source::Row* rows,
                                               std::uint32_t first, std::uint32_t* leaves,
                                               Chain<Number>& chain) {
  using Words = typename Set::Words;
  constexpr int kAdditions = 8;  // at eight places: they take up the 64 additions of four vectors
  Words block[kRows][kVectors];
  Words at[kRows][kVectors];
  std::uint32_t levels = 1;
  for (int vector = 0; vector < kVectors; ++vector) {
    const std::uint32_t tree = (first + static_cast<std::uint32_t>(vector)) * Set::kLanes;
    const std::uint32_t* const crown =
        view.crowns + std::size_t{tree / kVectorTrees} * kCrown * kVectorTrees + tree % kVectorTrees;
    const auto node = [&](std::uint32_t number) {
      return Set::load(crown + std::size_t{number - 1} * kVectorTrees);
    };
    if (view.levels[tree / kVectorTrees] > levels) levels = view.levels[tree / kVectorTrees];
    for (int row = 0; row < kRows; ++row) {
      const auto one = Source::right(view, rows[row], node(1));
      const auto two = Source::right(view, rows[row], Set::blend(one, node(2), node(3)));
      const auto three = Source::right(
          view, rows[row],
          Set::blend(one, Set::blend(two, node(4), node(5)), Set::blend(two, node(6), node(7))));
      const Words exit = Set::twice(Set::twice(Set::twice(Set::all(0), one), two), three);
      block[row][vector] = Set::add(Set::load(view.bases + tree), Set::times16(exit));
    }
    chain.add(kAdditions);
  }
  for (std::uint32_t level = 1;; ++level) {
    for (int row = 0; row < kRows; ++row) {
      for (int vector = 0; vector < kVectors; ++vector) at[row][vector] = Set::all(1);
    }
    for (int step = 0; step < 3; ++step) {
      for (int vector = 0; vector < kVectors; ++vector) {
        for (int row = 0; row < kRows; ++row) {
          const Words node = Set::gather(view.words, Set::add(block[row][vector], at[row][vector]));
          at[row][vector] = Set::twice(at[row][vector], Source::right(view, rows[row], node));
        }
      }
      chain.add(kAdditions);
    }
    bool arrived = true;
    for (int vector = 0; vector < kVectors; ++vector) {
      for (int row = 0; row < kRows; ++row) {
        const Words exit = Set::gather(view.words, Set::add(block[row][vector], at[row][vector]));
        if (level == levels) {
          Set::store(leaves + std::size_t(row * kVectors + vector) * Set::kLanes, exit);
          continue;
        }
        const std::uint32_t tree = (first + static_cast<std::uint32_t>(vector)) * Set::kLanes;
        const Words below =
            Set::add(Set::load(view.bases + tree), Set::times16(Set::add(exit, Set::all(0U - kBlockExit))));
        const auto further = Set::is_block(exit);
        if (Set::any(further)) arrived = false;
        block[row][vector] = Set::blend(further, block[row][vector], below);
        Set::store(leaves + std::size_t(row * kVectors + vector) * Set::kLanes, exit);
      }
    }
    chain.add(kAdditions);
    if (level == levels || arrived) return;
  }
}

/// Trees of the vectors [first, first + count), of which the last ones may be padding.
template <class Set, class Number>
std::uint32_t trees_in(const WalkView<Number>& view, std::uint32_t first, std::uint32_t count) {
  const std::uint32_t begin = first * Set::kLanes;
  const std::uint32_t left = view.tree_count > begin ? view.tree_count - begin : 0;
  return left < count * Set::kLanes ? left : count * Set::kLanes;
}

/// One row of a model with one margin.
template <class Set, class Source, int kVectors, class Number>
void walk_row(const WalkView<Number>& view, const typename Source::Row& row, Number* margin) {
  alignas(64) std::uint32_t leaves[2][kVectors * Set::kLanes];
  const std::uint32_t vectors = (view.tree_count + Set::kLanes - 1) / Set::kLanes;
  Chain<Number> chain{.view = &view};
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
template <class Set, class Source, int kRows, class Number>
void walk_rows(const WalkView<Number>& view, const std::uint8_t* bytes, const std::uint32_t* words,
               std::uint32_t begin, std::uint32_t end, Number* margins) {
  alignas(64) std::uint32_t leaves[kRows][Set::kLanes];
  const std::uint32_t vectors = (view.tree_count + Set::kLanes - 1) / Set::kLanes;
  Chain<Number> none{.view = &view};
  for (std::uint32_t vector = 0; vector < vectors; ++vector) {
    const std::uint32_t trees = trees_in<Set>(view, vector, 1);
    for (std::uint32_t first = begin; first < end; first += kRows) {
      typename Source::Row rows[kRows];
      for (std::uint32_t row = 0; row < kRows; ++row) {
        rows[row] = Source::row(view, bytes + std::size_t{first + row} * view.stride,
                                words + std::size_t{first + row} * kRowWords);
      }
      find_leaves<Set, Source, kRows, 1>(view, rows, vector, leaves[0], none);
      Number* const margin = margins + std::size_t{first} * view.groups;
      if (view.groups == 1) {
        Number sums[kRows];
        for (int row = 0; row < kRows; ++row) sums[row] = margin[row];
        for (std::uint32_t tree = 0; tree < trees; ++tree) {
          for (int row = 0; row < kRows; ++row) sums[row] += leaf_of(view, leaves[row][tree]);
        }
        for (int row = 0; row < kRows; ++row) margin[row] = sums[row];
        continue;
      }
      const std::uint32_t* const groups = view.tree_groups + vector * Set::kLanes;
      for (std::uint32_t tree = 0; tree < trees; ++tree) {
        for (std::uint32_t row = 0; row < kRows; ++row) {
          margin[std::size_t{row} * view.groups + groups[tree]] += leaf_of(view, leaves[row][tree]);
        }
      }
    }
  }
}

template <class Set, class Source, class Number>
void walk_all(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
              std::uint32_t* words, Number* margins) {
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
