#include "worker/trees/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <span>
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

/// Both zeros are one number.
float threshold_of(const TreeNode& node) noexcept { return node.value + 0.0F; }

/// Bits of a node that say its plane: 6 and 7 where kernels hold a row's ranks in one or two registers.
std::uint32_t bits_for(std::uint32_t planes) noexcept {
  return std::max<std::uint32_t>(6, static_cast<std::uint32_t>(std::bit_width(std::max(planes, 1U) - 1)));
}

}  // namespace

/// The phases, each of which has a cursor:
///
///   collect  by node      thresholds of each feature
///   rank     by feature   sorted, once each, tables of its planes
///   order    by tree      nodes numbered breadth first
///   pack     by tree      words and tournaments; twice where missing numbers need planes of their own
class LayoutBuilder::Work {
 public:
  explicit Work(const Forest& forest) : forest_(forest) {
    layout_.features = forest_.features;
    layout_.groups = forest_.groups();
    layout_.base_margins = forest_.base_margins;
    why_not_ = check();
    if (!why_not_.empty())
      phase_ = Phase::done;
    else
      features_.resize(forest_.features);
  }

  bool advance(std::size_t nodes) {
    std::size_t worked = 0;
    while (phase_ != Phase::done && worked < nodes) {
      worked += step(nodes - worked);
      if (!why_not_.empty()) phase_ = Phase::done;
    }
    return phase_ == Phase::done;
  }

  std::expected<Layout, std::string> take() {
    assert(phase_ == Phase::done);
    if (!why_not_.empty()) return std::unexpected(std::move(why_not_));
    return std::move(layout_);
  }

 private:
  enum class Phase : std::uint8_t { collect, rank, order, pack_complete, pack_missing, done };

  /// What the nodes of one feature compare with.
  struct Feature {
    std::vector<float> thresholds;  // from the phase `order` on: in order, each once
    std::uint32_t first_plane = 0;
    bool missing_left = false;
    bool missing_right = false;
  };

  /// A node of one tree in breadth-first order.
  struct Step {
    std::uint32_t node = 0;  // of the forest
    std::uint32_t left = 0;  // within the tree; a leaf: itself
    std::uint32_t level = 0;
  };

  struct Comparison {
    std::uint32_t plane = 0;
    std::uint32_t rank = kLeafRank;  // goes right above it
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
    return {};
  }

  /// One slice of the phase, and the next phase when it was the last one. Returns the nodes it looked at.
  std::size_t step(std::size_t nodes) {
    const auto next_if = [&](bool last, Phase next) {
      if (!last) return;
      phase_ = next;
      cursor_ = 0;
    };
    switch (phase_) {
      case Phase::collect: {
        const std::size_t end = std::min(forest_.nodes.size(), cursor_ + nodes);
        const std::size_t count = end - cursor_;
        for (; cursor_ < end; ++cursor_) collect(forest_.nodes[cursor_]);
        next_if(cursor_ == forest_.nodes.size(), Phase::rank);
        return count;
      }
      case Phase::rank: {
        const std::size_t count = features_[cursor_].thresholds.size() + 1;
        rank(static_cast<std::uint32_t>(cursor_++));
        if (cursor_ == features_.size()) number_second_planes();
        next_if(cursor_ == features_.size(), Phase::order);
        return count;
      }
      case Phase::order: {
        const std::size_t before = steps_.size();
        order_tree(cursor_++);
        if (cursor_ == forest_.trees.size()) end_order();
        next_if(cursor_ == forest_.trees.size(), Phase::pack_complete);
        return steps_.size() - before;
      }
      case Phase::pack_complete: {
        const std::size_t count = pack_tree(layout_.complete, cursor_++, false);
        next_if(cursor_ == layout_.bases.size(),
                layout_.copied_from.empty() ? Phase::done : Phase::pack_missing);
        return count;
      }
      case Phase::pack_missing: {
        const std::size_t count = pack_tree(layout_.missing, cursor_++, true);
        next_if(cursor_ == layout_.bases.size(), Phase::done);
        return count;
      }
      case Phase::done:
        break;
    }
    return 0;
  }

  void collect(const TreeNode& node) {
    if (!is_inner(node)) return;
    if (std::isnan(node.value)) {
      why_not_ = "a threshold is NaN";
      return;
    }
    Feature& feature = features_[feature_of(node)];
    feature.thresholds.push_back(threshold_of(node));
    ((node.bits & TreeNode::kMissingRight) != 0 ? feature.missing_right : feature.missing_left) = true;
  }

  void rank(std::uint32_t index) {
    Feature& feature = features_[index];
    std::vector<float>& thresholds = feature.thresholds;
    std::ranges::sort(thresholds);
    thresholds.erase(std::ranges::unique(thresholds).begin(), thresholds.end());
    feature.first_plane = layout_.base_planes;
    for (std::size_t from = 0; from < thresholds.size(); from += kPlaneThresholds) {
      if (layout_.base_planes == kPlanesMax) {
        why_not_ = fmt::format("its thresholds do not fit {} planes of bytes", kPlanesMax);
        return;
      }
      add_table(std::span(thresholds)
                    .subspan(from, std::min<std::size_t>(thresholds.size() - from, kPlaneThresholds)));
      layout_.plane_features.push_back(index);
      layout_.plane_missing.push_back(feature.missing_left ? 0 : 255);
      if (feature.missing_left && feature.missing_right) layout_.copied_from.push_back(layout_.base_planes);
      ++layout_.base_planes;
    }
  }

  void add_table(std::span<const float> thresholds) {
    constexpr float kNever = std::numeric_limits<float>::quiet_NaN();
    const std::size_t begin = layout_.tables.size();
    layout_.tables.resize(begin + kRankTable, kNever);
    float* const table = layout_.tables.data() + begin;
    for (std::size_t index = 0; index < thresholds.size(); ++index) {
      table[16 + index] = thresholds[index];
      if (index % 16 == 15) table[index / 16] = thresholds[index];
    }
  }

  void number_second_planes() {
    second_plane_.assign(layout_.base_planes, 0);
    for (std::uint32_t index = 0; index < layout_.copied_from.size(); ++index) {
      second_plane_[layout_.copied_from[index]] = layout_.base_planes + index;
    }
  }

  [[nodiscard]] std::uint32_t planes(bool missing) const noexcept {
    return layout_.base_planes + (missing ? static_cast<std::uint32_t>(layout_.copied_from.size()) : 0);
  }

  /// Numbers a tree's nodes anew, breadth first.
  void order_tree(std::size_t tree) {
    const std::size_t begin = steps_.size();
    first_step_.push_back(begin);
    steps_.push_back({.node = forest_.trees[tree].root, .left = 0, .level = 0});
    for (std::size_t at = begin; at < steps_.size(); ++at) {
      steps_[at].left = static_cast<std::uint32_t>(at - begin);
      const TreeNode& node = forest_.nodes[steps_[at].node];
      layout_.values.push_back(is_inner(node) ? 0.0F : value_of(tree, node));
      if (!is_inner(node)) continue;
      if (steps_.size() > kNodesMax) {
        why_not_ = "its trees share nodes";
        return;
      }
      steps_[at].left = static_cast<std::uint32_t>(steps_.size() - begin);
      const std::uint32_t level = steps_[at].level + 1;
      steps_.push_back({.node = node.left, .left = 0, .level = level});
      steps_.push_back({.node = node.left + 1, .left = 0, .level = level});
    }
    const std::size_t nodes = steps_.size() - begin;
    if (static_cast<std::uint32_t>(std::bit_width(nodes - 1)) + bits_for(planes(true)) > 24) {
      why_not_ = fmt::format("{} planes of thresholds and {} nodes in a tree do not fit one word",
                             planes(true), nodes);
      return;
    }
    layout_.tree_groups.push_back(forest_.trees[tree].group);
    layout_.bases.push_back(static_cast<std::uint32_t>(begin));
    const std::uint32_t depth = steps_.back().level;
    if (tree % kVectorTrees == 0) layout_.steps.push_back(0);
    layout_.steps.back() = std::max(layout_.steps.back(), depth < 3 ? 0 : depth - 3);
    depth_max_ = std::max(depth_max_, depth);
    slots_ += std::size_t{1} << std::min(depth, kTournamentDepth);
  }

  /// Vectors of trees are filled up with a leaf that stands behind all other nodes.
  void end_order() {
    first_step_.push_back(steps_.size());
    layout_.values.push_back(0.0F);
    layout_.bases.resize(layout_.steps.size() * kVectorTrees, static_cast<std::uint32_t>(steps_.size()));
    tournament_ = depth_max_ <= kTournamentDepth && slots_ <= kPaddingMax * steps_.size() + 4096;
    for (const bool missing : {false, true}) {
      if (missing && layout_.copied_from.empty()) break;
      PackedTrees& packed = missing ? layout_.missing : layout_.complete;
      packed.planes = planes(missing);
      packed.plane_bits = bits_for(packed.planes);
      packed.nodes.assign(steps_.size() + 1, kLeafRank << 24);
      packed.crowns.resize(layout_.bases.size() * kCrown);
    }
  }

  /// Dart's weights are multiplied in here: the product of the same two numbers, rounded once, as tier 0 has
  /// it.
  [[nodiscard]] float value_of(std::size_t tree, const TreeNode& leaf) const noexcept {
    return forest_.weighted ? forest_.trees[tree].weight * leaf.value : leaf.value;
  }

  [[nodiscard]] Comparison comparison_of(const TreeNode& node, bool missing) const {
    if (!is_inner(node)) return {};
    const Feature& feature = features_[feature_of(node)];
    const auto rank = static_cast<std::uint32_t>(
        std::ranges::lower_bound(feature.thresholds, threshold_of(node)) - feature.thresholds.begin());
    Comparison comparison{.plane = feature.first_plane + rank / kPlaneThresholds,
                          .rank = rank % kPlaneThresholds};
    const std::uint32_t second = second_plane_[comparison.plane];
    if (missing && second != 0 && (node.bits & TreeNode::kMissingRight) != 0) comparison.plane = second;
    return comparison;
  }

  /// Packs a tree, or the crown of a vector's padding. Returns its nodes.
  std::size_t pack_tree(PackedTrees& packed, std::size_t tree, bool missing) {
    if (tree >= forest_.trees.size()) {
      make_crown(packed, tree);
      return 1;
    }
    const std::size_t begin = first_step_[tree];
    const std::size_t nodes = first_step_[tree + 1] - begin;
    comparisons_.clear();
    for (std::size_t at = begin; at < begin + nodes; ++at) {
      comparisons_.push_back(comparison_of(forest_.nodes[steps_[at].node], missing));
      packed.nodes[at] =
          comparisons_.back().rank << 24 | steps_[at].left << packed.plane_bits | comparisons_.back().plane;
    }
    make_crown(packed, tree);
    if (!tournament_) return nodes;
    const std::uint32_t depth = steps_[begin + nodes - 1].level;
    if (!missing) {
      layout_.tournament_trees.push_back(
          {.first_node = static_cast<std::uint32_t>(packed.tournament_nodes.size()),
           .first_leaf = static_cast<std::uint32_t>(layout_.leaves.size()),
           .depth = depth,
           .group = forest_.trees[tree].group});
    }
    pad(packed, tree, 0, depth, !missing);
    return nodes;
  }

  /// A leaf stands in for its children: it is its own left child, and nothing goes right there.
  void make_crown(PackedTrees& packed, std::size_t tree) const {
    const std::uint32_t base = layout_.bases[tree];
    std::uint32_t* const crown =
        packed.crowns.data() + tree / kVectorTrees * kCrown * kVectorTrees + tree % kVectorTrees;
    crown[0] = packed.nodes[base];
    for (std::uint32_t child = 1; child < kCrown; ++child) {
      const std::uint32_t parent = crown[std::size_t{(child - 1) / 2} * kVectorTrees];
      const std::uint32_t left = (parent & 0xffffffU) >> packed.plane_bits;
      const std::uint32_t right = parent >> 24 == kLeafRank ? 0 : (child + 1) % 2;
      crown[std::size_t{child} * kVectorTrees] = packed.nodes[base + left + right];
    }
  }

  /// Appends the subtree at `at` as a complete one of `depth` levels. Below a leaf all leaves are equal, so
  /// what is compared there does not matter.
  void pad(PackedTrees& packed, std::size_t tree, std::uint32_t at, std::uint32_t depth, bool with_leaves) {
    const Step& step = steps_[first_step_[tree] + at];
    const TreeNode& node = forest_.nodes[step.node];
    if (!is_inner(node)) {
      packed.tournament_nodes.resize(packed.tournament_nodes.size() + (std::size_t{1} << depth) - 1);
      if (with_leaves) {
        layout_.leaves.resize(layout_.leaves.size() + (std::size_t{1} << depth), value_of(tree, node));
      }
      return;
    }
    assert(depth > 0);
    pad(packed, tree, step.left, depth - 1, with_leaves);
    pad(packed, tree, step.left + 1, depth - 1, with_leaves);
    packed.tournament_nodes.push_back(
        {.threshold = comparisons_[at].rank * 0x01010101U, .plane = comparisons_[at].plane});
  }

  const Forest& forest_;
  Layout layout_;
  std::string why_not_;
  Phase phase_ = Phase::collect;
  std::size_t cursor_ = 0;
  std::vector<Feature> features_;
  std::vector<std::uint32_t> second_plane_;  // [base plane]; 0: none
  std::vector<Step> steps_;
  std::vector<std::size_t> first_step_;  // [tree], and the end
  std::vector<Comparison> comparisons_;  // of the tree that is packed
  std::size_t slots_ = 0;                // of a tournament
  std::uint32_t depth_max_ = 0;
  bool tournament_ = false;
};

LayoutBuilder::LayoutBuilder(const Forest& forest) : work_(std::make_unique<Work>(forest)) {}
LayoutBuilder::LayoutBuilder(LayoutBuilder&& other) noexcept = default;
LayoutBuilder::~LayoutBuilder() = default;
bool LayoutBuilder::advance(std::size_t nodes) { return work_->advance(nodes); }
std::expected<Layout, std::string> LayoutBuilder::take() { return work_->take(); }

std::expected<Layout, std::string> build_layout(const Forest& forest) {
  LayoutBuilder builder(forest);
  while (!builder.advance(std::numeric_limits<std::size_t>::max())) {
  }
  return builder.take();
}

bool builds_at_once(const Forest& forest) noexcept { return forest.nodes.size() <= kNodesAtOnce; }

namespace {

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

}  // namespace tutti::trees
