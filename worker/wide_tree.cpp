#include "worker/wide_tree.hpp"

#include <fmt/format.h>

#include <cassert>
#include <cmath>
#include <limits>

namespace tutti {

float strict_threshold(double t) noexcept {
  assert(!std::isnan(t));
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (t >= double{kLargest}) return kInfinity;
  if (t < -double{kLargest}) return -kLargest;  // only -inf is below
  auto below = static_cast<float>(t);
  if (double{below} > t) below = std::nextafter(below, -kInfinity);
  return std::nextafter(below, kInfinity);
}

std::expected<void, TreeProblem> append_wide_tree(std::span<const WideNode> nodes,
                                                  std::span<const LinearLeaf> linear, std::uint32_t group,
                                                  Forest& forest) {
  assert(forest.wide && !nodes.empty());
  const std::size_t root = forest.nodes.size();
  if (root + nodes.size() > kModelNodesMax) {
    return std::unexpected(TreeProblem{0, fmt::format("more than {} nodes in all", kModelNodesMax)});
  }
  std::vector<bool> met(nodes.size());
  std::vector<std::uint32_t> order{0};  // breadth first
  met[0] = true;
  forest.trees.push_back({.root = static_cast<std::uint32_t>(root), .group = group});
  for (std::size_t position = 0; position < order.size(); ++position) {
    const std::uint32_t number = order[position];
    const WideNode& from = nodes[number];
    const auto slot = static_cast<std::uint32_t>(root + position);
    TreeNode node{.value = 0.0F, .left = slot, .bits = 0};
    if (from.leaf) {
      if (from.linear >= 0) {
        forest.linear_leaves.push_back(linear[static_cast<std::size_t>(from.linear)]);
        forest.linear_leaves.back().node = slot;
      }
    } else {
      node = {.value = from.threshold,
              .left = static_cast<std::uint32_t>(root + order.size()),
              .bits = from.feature | TreeNode::kInner | (from.missing_right ? TreeNode::kMissingRight : 0U)};
      if (from.categorical) split_by_category(forest, node, from.first_category, from.category_count);
      for (const std::uint32_t child : from.children) {
        if (child >= nodes.size()) {
          return std::unexpected(TreeProblem{number, fmt::format("child {} does not exist", child)});
        }
        if (met[child]) {
          return std::unexpected(
              TreeProblem{number, "a child is reached a second time: a cycle, or a node of two parents"});
        }
        met[child] = true;
        order.push_back(child);
      }
    }
    forest.nodes.push_back(node);
    forest.wide_leaves.push_back(from.leaf ? from.value : 0.0);
  }
  return {};
}

}  // namespace tutti
