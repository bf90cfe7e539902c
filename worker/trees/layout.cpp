#include "worker/trees/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

namespace tutti::trees {
namespace {

constexpr std::uint32_t kGroupsMax = 1024;  // sums of a block of rows: 1 MiB
constexpr std::size_t kNodesMax = std::size_t{1} << 25;
constexpr std::uint32_t kPlanesMax = 1U << 14;  // ranks of a block of rows: 4 MiB, twice
constexpr std::size_t kNodesAtOnce = 300'000;   // measured: 90 ns a node
constexpr std::size_t kPaddingMax = 6;          // tournament slots for each node of the forest
constexpr std::uint32_t kLeafRank = 255;

bool is_inner(const TreeNode& node) noexcept { return (node.bits & TreeNode::kInner) != 0; }
std::uint32_t feature_of(const TreeNode& node) noexcept { return node.bits & TreeNode::kFeatureMask; }

/// One threshold of a feature, ordered by both. Both zeros are one number.
struct Cut {
  std::uint32_t feature = 0;
  float threshold = 0.0F;
  auto operator<=>(const Cut&) const = default;
};

Cut cut_of(const TreeNode& node) noexcept {
  return {.feature = feature_of(node), .threshold = node.value + 0.0F};
}

class Builder {
 public:
  explicit Builder(const Forest& forest) : forest_(forest) {}

  std::expected<Layout, std::string> build() {
    if (std::string why = check(); !why.empty()) return std::unexpected(std::move(why));
    layout_.features = forest_.features;
    layout_.groups = forest_.groups();
    layout_.base_margins = forest_.base_margins;
    collect_cuts();
    if (std::string why = make_planes(); !why.empty()) return std::unexpected(std::move(why));
    if (std::string why = order_trees(); !why.empty()) return std::unexpected(std::move(why));
    make_values();
    const auto base = static_cast<std::uint32_t>(layout_.plane_features.size());
    const auto all = base + static_cast<std::uint32_t>(layout_.copied_from.size());
    pack(layout_.complete, base, false);
    if (all > base) pack(layout_.missing, all, true);
    return std::move(layout_);
  }

 private:
  /// A node of one tree in breadth-first order.
  struct Step {
    std::uint32_t node = 0;  // of the forest
    std::uint32_t left = 0;  // within the tree; a leaf: itself
    std::uint32_t level = 0;
  };

  [[nodiscard]] std::string check() const {
    if (!forest_.category_splits.empty()) return "it has categorical splits";
    if (forest_.trees.empty()) return "it has no trees";
    if (forest_.groups() > kGroupsMax) {
      return fmt::format("it has {} outputs, more than {}", forest_.groups(), kGroupsMax);
    }
    if (forest_.nodes.size() > kNodesMax) {
      return fmt::format("it has {} nodes, more than {}", forest_.nodes.size(), kNodesMax);
    }
    for (const TreeNode& node : forest_.nodes) {
      if (is_inner(node) && std::isnan(node.value)) return "a threshold is NaN";
    }
    return {};
  }

  void collect_cuts() {
    for (const TreeNode& node : forest_.nodes) {
      if (is_inner(node)) cuts_.push_back(cut_of(node));
    }
    std::ranges::sort(cuts_);
    cuts_.erase(std::ranges::unique(cuts_).begin(), cuts_.end());
  }

  /// Which default directions the nodes of a feature have.
  struct Directions {
    bool left = false;
    bool right = false;
  };

  std::string make_planes() {
    std::vector<Directions> directions(forest_.features);
    for (const TreeNode& node : forest_.nodes) {
      if (!is_inner(node)) continue;
      Directions& seen = directions[feature_of(node)];
      ((node.bits & TreeNode::kMissingRight) != 0 ? seen.right : seen.left) = true;
    }
    std::vector<std::uint32_t> twice;  // base planes that need a second one
    for (std::size_t first = 0; first < cuts_.size();) {
      const std::uint32_t feature = cuts_[first].feature;
      const std::size_t end = static_cast<std::size_t>(
          std::ranges::upper_bound(cuts_, feature, {}, &Cut::feature) - cuts_.begin());
      first_cut_.push_back(first);
      first_plane_.push_back(layout_.base_planes);
      cut_features_.push_back(feature);
      for (std::size_t from = first; from < end; from += kPlaneThresholds) {
        if (layout_.base_planes == kPlanesMax) {
          return fmt::format("it has {} different thresholds, more than fit {} planes of bytes", cuts_.size(),
                             kPlanesMax);
        }
        add_table(from, std::min<std::size_t>(end, from + kPlaneThresholds));
        layout_.plane_features.push_back(feature);
        const Directions seen = directions[feature];
        layout_.plane_missing.push_back(seen.left ? 0 : 255);
        if (seen.left && seen.right) twice.push_back(layout_.base_planes);
        ++layout_.base_planes;
      }
      first = end;
    }
    second_plane_.assign(layout_.base_planes, 0);
    for (std::uint32_t index = 0; index < twice.size(); ++index) {
      second_plane_[twice[index]] = layout_.base_planes + index;
    }
    layout_.copied_from = std::move(twice);
    return {};
  }

  void add_table(std::size_t from, std::size_t end) {
    constexpr float kNever = std::numeric_limits<float>::quiet_NaN();
    const std::size_t begin = layout_.tables.size();
    layout_.tables.resize(begin + kRankTable, kNever);
    float* const table = layout_.tables.data() + begin;
    for (std::size_t index = from; index < end; ++index) {
      table[16 + index - from] = cuts_[index].threshold;
      if ((index - from) % 16 == 15) table[(index - from) / 16] = cuts_[index].threshold;
    }
  }

  /// Numbers the nodes of all trees anew, breadth first.
  std::string order_trees() {
    for (const Tree& tree : forest_.trees) {
      const std::size_t begin = steps_.size();
      first_step_.push_back(begin);
      steps_.push_back({.node = tree.root, .left = 0, .level = 0});
      for (std::size_t at = begin; at < steps_.size(); ++at) {
        steps_[at].left = static_cast<std::uint32_t>(at - begin);
        const TreeNode& node = forest_.nodes[steps_[at].node];
        if (!is_inner(node)) continue;
        if (steps_.size() > kNodesMax) return "its trees share nodes";
        steps_[at].left = static_cast<std::uint32_t>(steps_.size() - begin);
        const std::uint32_t level = steps_[at].level + 1;
        steps_.push_back({.node = node.left, .left = 0, .level = level});
        steps_.push_back({.node = node.left + 1, .left = 0, .level = level});
      }
      nodes_in_tree_max_ = std::max(nodes_in_tree_max_, steps_.size() - begin);
    }
    first_step_.push_back(steps_.size());
    const auto planes = layout_.base_planes + static_cast<std::uint32_t>(layout_.copied_from.size());
    if (std::bit_width(nodes_in_tree_max_ - 1) + bits_for(planes) > 24) {
      return fmt::format("{} planes of thresholds and {} nodes in a tree do not fit one word", planes,
                         nodes_in_tree_max_);
    }
    return {};
  }

  /// Bits of a node that say its plane: 6 and 7 where kernels hold a row's ranks in one or two registers.
  static std::uint32_t bits_for(std::uint32_t planes) noexcept {
    return std::max<std::uint32_t>(6, static_cast<std::uint32_t>(std::bit_width(std::max(planes, 1U) - 1)));
  }

  [[nodiscard]] std::uint32_t depth_of(std::size_t tree) const noexcept {
    return steps_[first_step_[tree + 1] - 1].level;
  }

  /// Dart's weights are multiplied in here: the product of the same two numbers, rounded once, as tier 0 has
  /// it.
  [[nodiscard]] float value_of(std::size_t tree, const TreeNode& leaf) const noexcept {
    return forest_.weighted ? forest_.trees[tree].weight * leaf.value : leaf.value;
  }

  void make_values() {
    const std::size_t count = forest_.trees.size();
    const std::size_t padded = (count + kVectorTrees - 1) / kVectorTrees * kVectorTrees;
    layout_.values.assign(steps_.size() + 1, 0.0F);
    layout_.bases.assign(padded,
                         static_cast<std::uint32_t>(steps_.size()));  // padding: a leaf behind all others
    layout_.steps.assign(padded / kVectorTrees, 0);
    std::size_t slots = 0;
    std::uint32_t depth_max = 0;
    for (std::size_t tree = 0; tree < count; ++tree) {
      layout_.tree_groups.push_back(forest_.trees[tree].group);
      layout_.bases[tree] = static_cast<std::uint32_t>(first_step_[tree]);
      for (std::size_t at = first_step_[tree]; at < first_step_[tree + 1]; ++at) {
        const TreeNode& node = forest_.nodes[steps_[at].node];
        if (!is_inner(node)) layout_.values[at] = value_of(tree, node);
      }
      const std::uint32_t depth = depth_of(tree);
      std::uint32_t& steps = layout_.steps[tree / kVectorTrees];
      steps = std::max(steps, depth < 3 ? 0 : depth - 3);
      depth_max = std::max(depth_max, depth);
      slots += std::size_t{1} << std::min(depth, kTournamentDepth);
    }
    tournament_ = depth_max <= kTournamentDepth && slots <= kPaddingMax * steps_.size() + 4096;
  }

  struct Comparison {
    std::uint32_t plane = 0;
    std::uint32_t rank = 0;  // goes right above it
  };

  [[nodiscard]] Comparison comparison_of(const TreeNode& node, bool missing) const {
    const auto feature = static_cast<std::size_t>(std::ranges::lower_bound(cut_features_, feature_of(node)) -
                                                  cut_features_.begin());
    const auto cut = static_cast<std::size_t>(std::ranges::lower_bound(cuts_, cut_of(node)) - cuts_.begin());
    const std::size_t rank = cut - first_cut_[feature];
    Comparison comparison{
        .plane = first_plane_[feature] + static_cast<std::uint32_t>(rank / kPlaneThresholds),
        .rank = static_cast<std::uint32_t>(rank % kPlaneThresholds)};
    const std::uint32_t second = second_plane_[comparison.plane];
    if (missing && second != 0 && (node.bits & TreeNode::kMissingRight) != 0) comparison.plane = second;
    return comparison;
  }

  void pack(PackedTrees& packed, std::uint32_t planes, bool missing) {
    packed.planes = planes;
    packed.plane_bits = bits_for(planes);
    packed.nodes.resize(steps_.size() + 1);
    comparisons_.resize(steps_.size());
    for (std::size_t at = 0; at < steps_.size(); ++at) {
      const TreeNode& node = forest_.nodes[steps_[at].node];
      comparisons_[at] =
          is_inner(node) ? comparison_of(node, missing) : Comparison{.plane = 0, .rank = kLeafRank};
      packed.nodes[at] =
          comparisons_[at].rank << 24 | steps_[at].left << packed.plane_bits | comparisons_[at].plane;
    }
    packed.nodes.back() = kLeafRank << 24;
    make_crowns(packed);
    if (!tournament_) return;
    const bool first = layout_.tournament_trees.empty();
    for (std::size_t tree = 0; tree < forest_.trees.size(); ++tree) {
      const std::uint32_t depth = depth_of(tree);
      if (first) {
        layout_.tournament_trees.push_back(
            {.first_node = static_cast<std::uint32_t>(packed.tournament_nodes.size()),
             .first_leaf = static_cast<std::uint32_t>(layout_.leaves.size()),
             .depth = depth,
             .group = forest_.trees[tree].group});
      }
      pad(packed, tree, 0, depth, first);
    }
  }

  void make_crowns(PackedTrees& packed) const {
    packed.crowns.resize(layout_.bases.size() * kCrown);
    const auto left_of = [&](std::uint32_t node) { return (node & 0xffffffU) >> packed.plane_bits; };
    for (std::size_t tree = 0; tree < layout_.bases.size(); ++tree) {
      const std::uint32_t base = layout_.bases[tree];
      std::uint32_t* const crown =
          packed.crowns.data() + tree / kVectorTrees * kCrown * kVectorTrees + tree % kVectorTrees;
      crown[0] = packed.nodes[base];
      // A leaf stands in for its children: it is its own left child, and nothing goes right there.
      for (std::uint32_t child = 1; child < kCrown; ++child) {
        const std::uint32_t parent = crown[std::size_t{(child - 1) / 2} * kVectorTrees];
        const std::uint32_t right = parent >> 24 == kLeafRank ? 0 : (child + 1) % 2;
        crown[std::size_t{child} * kVectorTrees] = packed.nodes[base + left_of(parent) + right];
      }
    }
  }

  /// Appends the subtree at `at` as a complete one of `depth` levels. Below a leaf all leaves are equal, so
  /// what is compared there does not matter.
  void pad(PackedTrees& packed, std::size_t tree, std::uint32_t at, std::uint32_t depth, bool with_leaves) {
    const std::size_t step = first_step_[tree] + at;
    const TreeNode& node = forest_.nodes[steps_[step].node];
    if (!is_inner(node)) {
      packed.tournament_nodes.resize(packed.tournament_nodes.size() + (std::size_t{1} << depth) - 1);
      if (with_leaves) {
        layout_.leaves.resize(layout_.leaves.size() + (std::size_t{1} << depth), value_of(tree, node));
      }
      return;
    }
    assert(depth > 0);
    pad(packed, tree, steps_[step].left, depth - 1, with_leaves);
    pad(packed, tree, steps_[step].left + 1, depth - 1, with_leaves);
    packed.tournament_nodes.push_back(
        {.threshold = comparisons_[step].rank * 0x01010101U, .plane = comparisons_[step].plane});
  }

  const Forest& forest_;
  Layout layout_;
  std::vector<Cut> cuts_;                    // in order, each once
  std::vector<std::uint32_t> cut_features_;  // features that have cuts, in order
  std::vector<std::size_t> first_cut_;       // of such a feature
  std::vector<std::uint32_t> first_plane_;   // of such a feature
  std::vector<std::uint32_t> second_plane_;  // [base plane]; 0: none
  std::vector<Step> steps_;
  std::vector<std::size_t> first_step_;  // [tree], and the end
  std::vector<Comparison> comparisons_;  // [step]
  std::size_t nodes_in_tree_max_ = 1;
  bool tournament_ = false;
};

template <class Vector>
std::size_t bytes_of_vector(const Vector& vector) noexcept {
  return vector.capacity() * sizeof(typename Vector::value_type);
}

std::size_t bytes_of_packed(const PackedTrees& packed) noexcept {
  return bytes_of_vector(packed.nodes) + bytes_of_vector(packed.crowns) +
         bytes_of_vector(packed.tournament_nodes);
}

}  // namespace

std::size_t Layout::bytes() const noexcept {
  return bytes_of_vector(tables) + bytes_of_packed(complete) + bytes_of_packed(missing) +
         bytes_of_vector(values) + bytes_of_vector(bases) + bytes_of_vector(tournament_trees) +
         bytes_of_vector(leaves);
}

std::expected<Layout, std::string> build_layout(const Forest& forest) { return Builder(forest).build(); }

bool builds_at_once(const Forest& forest) noexcept { return forest.nodes.size() <= kNodesAtOnce; }

}  // namespace tutti::trees
