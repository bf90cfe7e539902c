// Decision trees in memory, and the plain interpreter that walks them: tier 0, the reference for faster
// tiers.
//
//   nodes: │ root │ left right │ left right │ …   one tree after the other, each in breadth-first order
//             └──────▲ .left: index of the left child; the right child is the next node
//
// A node is 12 bytes. Siblings lie side by side, so a step is "left, plus one if right" without a branch. A
// leaf points at itself, so a lane that has arrived can keep stepping while the others walk on. Invariant,
// kept by whoever builds a Forest: every index lies inside its array and every walk ends at a leaf.
//
// What the numbers mean: a row goes left where x < threshold in float32, NaN goes to the node's default side;
// leaves are summed from the base margin, trees in file order. XGBoost sums in float32. LightGBM and
// scikit-learn sum in double: such a forest is `wide`. Their thresholds are doubles too, but as every x is a
// float32, x <= t in double is x < (the next float32 above t), so readers turn them into float32.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "shared/limits.hpp"
#include "shared/tensor.hpp"
#include "worker/link.hpp"
#include "worker/wide_link.hpp"

namespace tutti {

struct TreeNode {
  static constexpr std::uint32_t kFeatureMask = kFeaturesMax - 1;
  static constexpr std::uint32_t kInner = 1U << 29;         // not a leaf
  static constexpr std::uint32_t kMissingRight = 1U << 30;  // where NaN goes
  static constexpr std::uint32_t kCategorical = 1U << 31;

  float value = 0.0F;  // inner: the threshold; leaf: what it adds; categorical: the split's number, as bits
  std::uint32_t left = 0;  // inner: the left child; leaf: itself
  std::uint32_t bits = 0;  // feature in the low bits, flags in the high ones
};
static_assert(sizeof(TreeNode) == 12);
static_assert((kFeaturesMax & (kFeaturesMax - 1)) == 0 && kFeaturesMax <= TreeNode::kInner);
static_assert(kModelNodesMax <= UINT32_MAX, "nodes are numbered with 32 bits");

/// The categories that go right at one node: a sorted range of Forest::categories. What is not listed, and
/// what is no category at all, goes left.
struct CategorySplit {
  static constexpr std::uint32_t kLow = 64;

  std::uint64_t low = 0;  // bit c: category c, which is below kLow, is listed
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct Tree {
  std::uint32_t root = 0;
  std::uint32_t group = 0;  // which margin it adds to
  float weight = 1.0F;      // multiplies its leaf; used only when Forest::weighted
};

struct LinearTerm {
  std::uint32_t feature = 0;
  double coefficient = 0.0;
};

/// A leaf that adds constant + sum of coefficient * x, in order, or its wide value where some x is NaN. As
/// LightGBM drops them, |x| <= kTinyMax count as 0.
struct LinearLeaf {
  static constexpr float kTinyMax = 1e-35F;

  std::uint32_t node = 0;  // leaves are sorted by it
  std::uint32_t first = 0;
  std::uint32_t count = 0;  // of Forest::linear_terms
  double constant = 0.0;
};

/// An ensemble of trees: plain values.
struct Forest {
  /// What becomes of a margin and a leaf. The base margin is the first operand.
  enum class Reduction : std::uint8_t { sum, least, greatest };

  std::uint32_t features = 0;
  std::vector<float> base_margins;  // one per group; empty where wide
  bool weighted = false;            // dart: leaves are multiplied by the tree's weight, rounded, then added
  Reduction reduction = Reduction::sum;
  bool unfolds = false;  // paths share nodes, and without sharing there would be many times more of them
  Link link = Link::identity;
  std::vector<TreeNode> nodes;
  std::vector<Tree> trees;
  std::vector<CategorySplit> category_splits;
  std::vector<std::uint32_t> categories;
  // Numbers between these two, neither included, are rounded towards zero and are then categories.
  float category_above = -std::numeric_limits<float>::denorm_min();
  float category_below = 16'777'216.0F;  // from 2^24 on float32 does not hold every integer

  // Leaves, base margins and sums in double. Not weighted, and linked by wide_link.
  bool wide = false;
  std::vector<double> wide_base_margins;  // one per group
  std::vector<double> wide_leaves;        // by node; an inner node's is not used
  WideLink wide_link;
  std::vector<LinearLeaf> linear_leaves;  // only where wide
  std::vector<LinearTerm> linear_terms;

  [[nodiscard]] std::uint32_t groups() const noexcept {
    return static_cast<std::uint32_t>(wide ? wide_base_margins.size() : base_margins.size());
  }
};

/// Makes an inner node of the forest to be categorical: `count` of Forest::categories from `first` on go
/// right.
void split_by_category(Forest& forest, TreeNode& node, std::uint32_t first, std::uint32_t count);

/// Sums the trees: the one for forests that are not wide, and the one for those that are.
///   x        f32 [rows][features]; NaN means missing
///   margins  [rows][groups], wholly written
/// Allocates nothing.
void sum_trees(const Forest& forest, MatrixView x, MutableMatrixView margins) noexcept;
void sum_trees(const Forest& forest, MatrixView x, WideMatrixView margins) noexcept;

}  // namespace tutti
