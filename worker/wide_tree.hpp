// A tree as LightGBM and scikit-learn describe it, on its way into a wide Forest.
//
//   file's arrays ──reader──▶ WideNode [n] ──append_wide_tree()──▶ Forest: breadth first, siblings side by
//   side
//
// Both compare doubles, x <= t goes left. As every x is a float32 that is x < t' for a float32 t'.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"
#include "worker/trees.hpp"

namespace tutti {

/// The float32 t' for which x < t' exactly where (double)x <= t. `t` is a number.
float strict_threshold(double t) noexcept;

struct WideNode {
  bool leaf = true;
  bool missing_right = false;
  bool categorical = false;
  float threshold = 0.0F;     // x < threshold goes to child 0
  std::uint32_t feature = 0;  // below kFeaturesMax
  // Children as the reader numbers nodes. Of a categorical node the listed categories go to child 1.
  std::uint32_t children[2] = {0, 0};
  std::uint32_t first_category = 0;  // of Forest::categories, sorted
  std::uint32_t category_count = 0;
  double value = 0.0;        // of a leaf
  std::int32_t linear = -1;  // of a leaf: which of the tree's linear leaves it is
};

/// Appends a tree whose root is node 0. `linear` holds its linear leaves, whose `node` is filled in here.
/// Errors: what is wrong and the number of the node where it is, as a text: a child that does not exist, a
/// cycle, a node of two parents, too many nodes.
struct TreeProblem {
  std::size_t node = 0;
  std::string what;
};
std::expected<void, TreeProblem> append_wide_tree(std::span<const WideNode> nodes,
                                                  std::span<const LinearLeaf> linear, std::uint32_t group,
                                                  Forest& forest);

}  // namespace tutti
