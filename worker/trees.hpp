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
// What the numbers mean, bit for bit as XGBoost has it: a row goes left where x < threshold in float32, NaN
// goes to the node's default side; leaves are summed in float32, from the base margin, trees in file order.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/limits.hpp"
#include "shared/tensor.hpp"
#include "worker/link.hpp"

namespace tutti {

struct TreeNode {
  static constexpr std::uint32_t kFeatureMask = kFeaturesMax - 1;
  static constexpr std::uint32_t kInner = 1U << 29;         // not a leaf
  static constexpr std::uint32_t kMissingRight = 1U << 30;  // where NaN goes
  static constexpr std::uint32_t kCategorical = 1U << 31;

  float value = 0.0F;      // inner: the threshold; leaf: what it adds; categorical: unused
  std::uint32_t left = 0;  // inner: the left child; leaf: itself
  std::uint32_t bits = 0;  // feature in the low bits, flags in the high ones
};
static_assert(sizeof(TreeNode) == 12);
static_assert((kFeaturesMax & (kFeaturesMax - 1)) == 0 && kFeaturesMax <= TreeNode::kInner);
static_assert(kModelNodesMax <= UINT32_MAX, "nodes are numbered with 32 bits");

/// The categories that go right at one node: a sorted range of Forest::categories.
struct CategorySplit {
  std::uint32_t node = 0;  // splits are sorted by it
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct Tree {
  std::uint32_t root = 0;
  std::uint32_t group = 0;  // which margin it adds to
  float weight = 1.0F;      // multiplies its leaf; used only when Forest::weighted
};

/// An ensemble of trees: plain values.
struct Forest {
  std::uint32_t features = 0;
  std::vector<float> base_margins;  // one per group
  bool weighted = false;            // dart: leaves are multiplied by the tree's weight, rounded, then added
  Link link = Link::identity;
  std::vector<TreeNode> nodes;
  std::vector<Tree> trees;
  std::vector<CategorySplit> category_splits;
  std::vector<std::uint32_t> categories;

  [[nodiscard]] std::uint32_t groups() const noexcept {
    return static_cast<std::uint32_t>(base_margins.size());
  }
};

/// Sums the trees.
///   x        f32 [rows][features]; NaN means missing
///   margins  f32 [rows][groups], wholly written
/// Allocates nothing.
void sum_trees(const Forest& forest, MatrixView x, MutableMatrixView margins) noexcept;

}  // namespace tutti
