// Random forests and rows that trees find hard, for tests that compare ways of answering.
#pragma once

#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <vector>

#include "worker/trees.hpp"

namespace tutti::fixture {

struct Shape {
  std::uint32_t features = 4;
  std::uint32_t groups = 1;
  std::uint32_t trees = 10;
  std::uint32_t depth = 6;          // at most
  std::uint32_t leaf_percent = 15;  // an inner node is a leaf instead
  std::uint32_t thresholds = 200;   // different ones of a feature, about
  bool weighted = false;
  bool one_direction = false;  // NaN goes left everywhere
  bool wide = false;           // sums in double
};

class ForestMaker {
 public:
  explicit ForestMaker(std::uint32_t seed) : generator_(seed) {}

  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(generator_()) % end; }

  /// Numbers whose sums depend on their order.
  float leaf() {
    const float mantissa = static_cast<float>(below(1U << 24)) / 16777216.0F - 0.5F;
    return below(40) == 0 ? mantissa * 1e-39F : std::ldexp(mantissa, static_cast<int>(below(12)) - 6);
  }

  double wide_leaf() { return static_cast<double>(leaf()) + std::ldexp(static_cast<double>(leaf()), -26); }

  float threshold(const Shape& shape) {
    constexpr float kSpecial[] = {
        0.0F,  -0.0F, std::numeric_limits<float>::denorm_min(), -std::numeric_limits<float>::denorm_min(),
        3e38F, -3e38F};
    if (below(12) == 0) return kSpecial[below(std::size(kSpecial))];
    return static_cast<float>(below(shape.thresholds)) * 0.37F - 20.0F;
  }

  Forest forest(const Shape& shape) {
    Forest forest;
    forest.features = shape.features;
    forest.weighted = shape.weighted && !shape.wide;
    forest.wide = shape.wide;
    for (std::uint32_t group = 0; group < shape.groups; ++group) {
      if (shape.wide)
        forest.wide_base_margins.push_back(wide_leaf());
      else
        forest.base_margins.push_back(leaf());
    }
    for (std::uint32_t tree = 0; tree < shape.trees; ++tree) {
      add_tree(shape, forest);
      forest.trees.back().group = below(shape.groups);
      forest.trees.back().weight = leaf();
    }
    if (shape.wide) {
      for (std::size_t node = 0; node < forest.nodes.size(); ++node)
        forest.wide_leaves.push_back(wide_leaf());
    }
    return forest;
  }

  /// `missing_percent` of the numbers are NaN.
  std::vector<float> rows(const Shape& shape, std::uint32_t count, std::uint32_t missing_percent) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    std::vector<float> x(std::size_t{count} * shape.features);
    for (float& number : x) {
      const std::uint32_t kind = below(10);
      number = kind == 0   ? (below(2) == 0 ? kInfinity : -kInfinity)
               : kind == 1 ? threshold(shape)
                           : threshold(shape) + static_cast<float>(below(3)) * 0.1F - 0.1F;
      if (below(100) < missing_percent) number = std::numeric_limits<float>::quiet_NaN();
    }
    return x;
  }

 private:
  void add_tree(const Shape& shape, Forest& forest) {
    const auto root = static_cast<std::uint32_t>(forest.nodes.size());
    forest.trees.push_back({.root = root});
    std::vector<std::uint32_t> levels{0};
    forest.nodes.push_back({});
    for (std::size_t at = 0; at < levels.size(); ++at) {
      const auto slot = root + static_cast<std::uint32_t>(at);
      if (levels[at] == shape.depth || below(100) < shape.leaf_percent) {
        forest.nodes[slot] = {.value = leaf(), .left = slot, .bits = 0};
        continue;
      }
      const bool right = !shape.one_direction && below(2) == 0;
      forest.nodes[slot] = {
          .value = threshold(shape),
          .left = root + static_cast<std::uint32_t>(levels.size()),
          .bits = below(shape.features) | TreeNode::kInner | (right ? TreeNode::kMissingRight : 0)};
      levels.insert(levels.end(), 2, levels[at] + 1);
      forest.nodes.resize(forest.nodes.size() + 2);
    }
  }

  std::mt19937 generator_;
};

}  // namespace tutti::fixture
