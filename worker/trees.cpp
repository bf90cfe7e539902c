// The interpreter. Eight walks run in lockstep, so that the latency of one load hides behind seven others:
//
//   many rows   for each block of rows (its inputs stay in the cache), for each tree: eight rows at a time
//   few rows    for each row: eight trees at a time, their leaves added one by one in file order
//
// Both orders add the same numbers in the same order to each margin, so a row's bits do not depend on its
// batch.
#include "worker/trees.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <span>

namespace tutti {
namespace {

constexpr std::uint32_t kLanes = 8;
constexpr std::uint32_t kBlockRows = 256;  // 50 features of them are 50 KiB: second-level cache

/// One categorical node. Listed categories go right; what is no category at all goes left.
bool category_goes_right(const Forest& forest, const TreeNode& node, float x) noexcept {
  if (!(x > forest.category_above && x < forest.category_below)) return false;
  const CategorySplit& split = forest.category_splits.data()[std::bit_cast<std::uint32_t>(node.value)];
  const auto category = static_cast<std::uint32_t>(x);
  if (category < CategorySplit::kLow) return (split.low >> category & 1) != 0;
  const auto first = forest.categories.begin() + split.first;
  return std::binary_search(first, first + split.count, category);
}

/// Where the walk goes from node `at`; a leaf stays where it is.
template <bool kCategories>
std::uint32_t step(const Forest& forest, std::uint32_t at, const float* row) noexcept {
  const TreeNode& node = forest.nodes.data()[at];
  const float x = row[node.bits & TreeNode::kFeatureMask];
  const bool missing = x != x;
  if constexpr (kCategories) {
    if ((node.bits & TreeNode::kCategorical) != 0 && !missing) {
      return node.left + (category_goes_right(forest, node, x) ? 1U : 0U);
    }
  }
  // Not a branch: which way a row goes is what no predictor knows. NaN >= threshold is false.
  const auto right = static_cast<std::uint32_t>(x >= node.value) |
                     (static_cast<std::uint32_t>(missing) &
                      static_cast<std::uint32_t>((node.bits & TreeNode::kMissingRight) != 0));
  return node.left + (right & static_cast<std::uint32_t>((node.bits & TreeNode::kInner) != 0));
}

/// Walks every lane from its root to its leaf.
template <bool kCategories, std::uint32_t kCount>
void walk(const Forest& forest, const std::array<const float*, kCount>& rows,
          std::array<std::uint32_t, kCount>& at) noexcept {
  std::uint32_t moved = 1;
  while (moved != 0) {
    moved = 0;
    for (std::uint32_t lane = 0; lane < kCount; ++lane) {
      const std::uint32_t next = step<kCategories>(forest, at[lane], rows[lane]);
      moved |= next ^ at[lane];
      at[lane] = next;
    }
  }
}

/// Adds a leaf to a margin: the one place where the order of roundings is written down.
void add_leaf(const Forest& forest, const Tree& tree, std::uint32_t leaf, const float* /*row*/,
              float* margins) noexcept {
  const float value = forest.nodes.data()[leaf].value;
  if (forest.weighted) {
    const float weighted = tree.weight * value;
    margins[tree.group] += weighted;
  } else if (forest.reduction == Forest::Reduction::sum) {
    margins[tree.group] += value;
  } else if (forest.reduction == Forest::Reduction::least) {
    margins[tree.group] = std::min(margins[tree.group], value);
  } else {
    margins[tree.group] = std::max(margins[tree.group], value);
  }
}

double linear_value(const Forest& forest, std::uint32_t node, const float* row) noexcept {
  const double value = forest.wide_leaves.data()[node];
  const auto leaf = std::ranges::lower_bound(forest.linear_leaves, node, {}, &LinearLeaf::node);
  if (leaf == forest.linear_leaves.end() || leaf->node != node) return value;
  double sum = leaf->constant;
  for (const LinearTerm& term : std::span(forest.linear_terms).subspan(leaf->first, leaf->count)) {
    const float x = row[term.feature];
    if (x != x) return value;
    const double product = term.coefficient * (std::abs(x) <= LinearLeaf::kTinyMax ? 0.0 : double{x});
    sum += product;
  }
  return sum;
}

/// The same for double.
void add_leaf(const Forest& forest, const Tree& tree, std::uint32_t leaf, const float* row,
              double* margins) noexcept {
  margins[tree.group] +=
      forest.linear_leaves.empty() ? forest.wide_leaves.data()[leaf] : linear_value(forest, leaf, row);
}

/// Rows [first, end) of x under one tree, kCount rows at a time. Returns the first row that is left over.
template <bool kCategories, std::uint32_t kCount, class Number>
std::uint32_t add_tree(const Forest& forest, const Tree& tree, MatrixView x, BasicMatrixView<Number> margins,
                       std::uint32_t first, std::uint32_t end) noexcept {
  std::uint32_t row = first;
  for (; end - row >= kCount; row += kCount) {
    std::array<const float*, kCount> rows;
    std::array<std::uint32_t, kCount> at;
    for (std::uint32_t lane = 0; lane < kCount; ++lane) {
      rows[lane] = x.row(row + lane).data();
      at[lane] = tree.root;
    }
    walk<kCategories, kCount>(forest, rows, at);
    for (std::uint32_t lane = 0; lane < kCount; ++lane) {
      add_leaf(forest, tree, at[lane], rows[lane], margins.row(row + lane).data());
    }
  }
  return row;
}

/// One row under trees [first, …), kCount trees at a time. Returns the first tree that is left over.
template <bool kCategories, std::uint32_t kCount, class Number>
std::size_t add_trees(const Forest& forest, const float* row, Number* margins, std::size_t first) noexcept {
  const std::size_t end = forest.trees.size();
  std::array<const float*, kCount> rows;
  rows.fill(row);
  std::size_t tree = first;
  for (; end - tree >= kCount; tree += kCount) {
    std::array<std::uint32_t, kCount> at;
    for (std::uint32_t lane = 0; lane < kCount; ++lane) at[lane] = forest.trees[tree + lane].root;
    walk<kCategories, kCount>(forest, rows, at);
    for (std::uint32_t lane = 0; lane < kCount; ++lane) {
      add_leaf(forest, forest.trees[tree + lane], at[lane], row, margins);
    }
  }
  return tree;
}

template <bool kCategories, class Number>
void sum_all(const Forest& forest, MatrixView x, BasicMatrixView<Number> margins) noexcept {
  for (std::uint32_t first = 0; first < x.rows; first += std::min(kBlockRows, x.rows - first)) {
    const std::uint32_t end = first + std::min(kBlockRows, x.rows - first);
    const std::uint32_t many_end = first + (end - first) / kLanes * kLanes;
    for (const Tree& tree : forest.trees) {
      add_tree<kCategories, kLanes>(forest, tree, x, margins, first, many_end);
    }
    for (std::uint32_t row = many_end; row < end; ++row) {
      Number* const margin = margins.row(row).data();
      const std::size_t left_over = add_trees<kCategories, kLanes>(forest, x.row(row).data(), margin, 0);
      add_trees<kCategories, 1>(forest, x.row(row).data(), margin, left_over);
    }
  }
}

template <class Number>
void sum_from(const Forest& forest, const std::vector<Number>& base_margins, MatrixView x,
              BasicMatrixView<Number> margins) noexcept {
  assert(x.columns == forest.features && margins.rows == x.rows && margins.columns == forest.groups());
  for (std::uint32_t row = 0; row < margins.rows; ++row) {
    std::ranges::copy(base_margins, margins.row(row).begin());
  }
  if (forest.category_splits.empty()) {
    sum_all<false>(forest, x, margins);
  } else {
    sum_all<true>(forest, x, margins);
  }
}

}  // namespace

void split_by_category(Forest& forest, TreeNode& node, std::uint32_t first, std::uint32_t count) {
  CategorySplit split{.low = 0, .first = first, .count = count};
  for (const std::uint32_t category : std::span(forest.categories).subspan(first, count)) {
    if (category < CategorySplit::kLow) split.low |= std::uint64_t{1} << category;
  }
  node.bits |= TreeNode::kCategorical;
  node.value = std::bit_cast<float>(static_cast<std::uint32_t>(forest.category_splits.size()));
  forest.category_splits.push_back(split);
}

void sum_trees(const Forest& forest, MatrixView x, MutableMatrixView margins) noexcept {
  assert(!forest.wide);
  sum_from(forest, forest.base_margins, x, margins);
}

void sum_trees(const Forest& forest, MatrixView x, WideMatrixView margins) noexcept {
  assert(forest.wide && !forest.weighted && forest.wide_leaves.size() == forest.nodes.size());
  sum_from(forest, forest.wide_base_margins, x, margins);
}

}  // namespace tutti
