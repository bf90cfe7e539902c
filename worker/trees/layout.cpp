#include "worker/trees/layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

namespace tutti::trees {
namespace {

constexpr std::uint32_t kGroupsMax = 1024;  // sums of a block of rows: 1 MiB
constexpr std::size_t kNodesMax = std::size_t{1} << 23;
constexpr std::size_t kPackedTreesMax = std::size_t{1} << 17;  // even the smallest takes eight cache lines
constexpr std::uint32_t kPlanesMax = 1U << 14;                 // ranks of a block of rows: 4 MiB, twice
constexpr std::size_t kNodesAtOnce = 300'000;                  // measured: 90 ns a node
constexpr std::size_t kPaddingMax = 6;                         // tournament slots for each node of the forest
constexpr std::uint32_t kLeafRank = 255;
constexpr std::uint32_t kCrownLevels = 6;
static_assert((1U << kCrownLevels) - 1 == kCrownNodes);
static_assert(kPlanesMax <= 1U << 24 && kNodesMax / 2 + 8 < 0x7fffffU, "they fit a node and an exit");

bool is_inner(const TreeNode& node) noexcept { return (node.bits & TreeNode::kInner) != 0; }
std::uint32_t feature_of(const TreeNode& node) noexcept { return node.bits & TreeNode::kFeatureMask; }

/// Both zeros are one number.
float threshold_of(const TreeNode& node) noexcept { return node.value + 0.0F; }

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
    layout_.is_wide = forest_.wide;
    layout_.narrow.base_margins = forest_.base_margins;
    layout_.wide.base_margins = forest_.wide_base_margins;
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
    std::uint32_t leaf = 0;  // wide: its number among all leaves
  };

  struct Comparison {
    std::uint32_t plane = 0;
    std::uint32_t rank = kLeafRank;  // goes right above it

    [[nodiscard]] std::uint32_t word() const noexcept { return rank << 24 | plane; }
    /// The same where planes are few.
    [[nodiscard]] std::uint16_t half() const noexcept {
      return static_cast<std::uint16_t>(rank << 8 | plane);
    }
  };

  [[nodiscard]] std::string check() const {
    if (!forest_.category_splits.empty()) return "it has categorical splits";
    if (!forest_.linear_leaves.empty()) return "it has linear leaves";
    if (forest_.reduction != Forest::Reduction::sum) return "its leaves are not summed";
    if (forest_.unfolds) return "its trees share nodes";
    if (forest_.trees.empty()) return "it has no trees";
    if (forest_.groups() > kGroupsMax) {
      return fmt::format("it has {} outputs, more than {}", forest_.groups(), kGroupsMax);
    }
    if (forest_.nodes.size() > kNodesMax) {
      return fmt::format("it has {} nodes, more than {}", forest_.nodes.size(), kNodesMax);
    }
    if (forest_.trees.size() > kPackedTreesMax) {
      return fmt::format("it has {} trees, more than {}", forest_.trees.size(), kPackedTreesMax);
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
    layout_.search_trees.resize(layout_.search_trees.size() + kRankTree, kNever);
    float* const tree = layout_.search_trees.data() + layout_.search_trees.size() - kRankTree;
    for (std::uint32_t node = 1; node < kRankTree; ++node) {
      // Of 255 in order, a node of level l stands at an odd multiple of 2^(7 - l), less one.
      const auto level = static_cast<std::uint32_t>(std::bit_width(node)) - 1;
      const std::uint32_t place = (2 * (node - (1U << level)) + 1) << (7 - level);
      if (place <= thresholds.size()) tree[node] = thresholds[place - 1];
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
    steps_.push_back({.node = forest_.trees[tree].root});
    for (std::size_t at = begin; at < steps_.size(); ++at) {
      steps_[at].left = static_cast<std::uint32_t>(at - begin);
      const TreeNode& node = forest_.nodes[steps_[at].node];
      if (!is_inner(node) && !std::isfinite(value_of(tree, steps_[at].node))) {
        why_not_ = "a leaf's value is not finite";
        return;
      }
      if (!is_inner(node)) {
        if (!forest_.wide) continue;
        steps_[at].leaf = static_cast<std::uint32_t>(layout_.wide.walk.size());
        layout_.wide.walk.push_back(value_of(tree, steps_[at].node));
        continue;
      }
      if (steps_.size() > kNodesMax) {
        why_not_ = "its trees share nodes";
        return;
      }
      steps_[at].left = static_cast<std::uint32_t>(steps_.size() - begin);
      const std::uint32_t level = steps_[at].level + 1;
      steps_.push_back({.node = node.left, .level = level});
      steps_.push_back({.node = node.left + 1, .level = level});
    }
    layout_.tree_groups.push_back(forest_.trees[tree].group);
    const std::uint32_t depth = steps_.back().level;
    if (tree % kVectorTrees == 0) layout_.levels.push_back(1);
    layout_.levels.back() = std::max(layout_.levels.back(), depth <= 3 ? 1 : (depth + 2) / 3 - 1);
    depth_max_ = std::max(depth_max_, depth);
    slots_ += std::size_t{1} << std::min(depth, kTournamentDepth);
  }

  void end_order() {
    first_step_.push_back(steps_.size());
    layout_.bases.resize(layout_.levels.size() * kVectorTrees);
    for (std::size_t tree = 0; tree < forest_.trees.size(); tree += kRelayTrees) plan_relay(tree);
    tournament_ = depth_max_ <= kTournamentDepth && slots_ <= kPaddingMax * steps_.size() + 4096;
    for (const bool missing : {false, true}) {
      if (missing && layout_.copied_from.empty()) break;
      PackedTrees& packed = missing ? layout_.missing : layout_.complete;
      packed.planes = planes(missing);
      if (packed.planes <= kLeapPlanes) {
        packed.leap_crowns.resize(layout_.bases.size() * kLeapNodes);
      } else {
        packed.crowns.resize(layout_.bases.size() * kCrown);
      }
      if (tournament_ && packed.planes <= kRelayPlanes)
        packed.relay_nodes.resize(std::size_t{relay_nodes()} * kRelayTrees);
    }
  }

  void plan_relay(std::size_t first) {
    const std::size_t count = std::min<std::size_t>(kRelayTrees, forest_.trees.size() - first);
    std::uint32_t depth = 1;
    for (std::size_t tree = first; tree < first + count; ++tree) depth = std::max(depth, depth_of(tree));
    if (depth > kTournamentDepth) return;  // then there is no tournament either
    RelayVector vector{.first_node = relay_nodes() * kRelayTrees,
                       .first_leaf = 0,
                       .first_tree = static_cast<std::uint32_t>(first),
                       .tree_count = static_cast<std::uint32_t>(count),
                       .depth = depth};
    if (!layout_.relay_vectors.empty()) {
      const RelayVector& last = layout_.relay_vectors.back();
      vector.first_leaf = last.first_leaf + (kRelayTrees << last.depth);
    }
    layout_.relay_vectors.push_back(vector);
  }

  /// Nodes of one tree of each vector planned so far.
  [[nodiscard]] std::uint32_t relay_nodes() const noexcept {
    std::uint32_t nodes = 0;
    if (!layout_.relay_vectors.empty()) {
      const RelayVector& last = layout_.relay_vectors.back();
      nodes = last.first_node / kRelayTrees + (1U << last.depth) - 1;
    }
    return nodes;
  }

  [[nodiscard]] std::uint32_t depth_of(std::size_t tree) const noexcept {
    return steps_[first_step_[tree + 1] - 1].level;
  }

  /// Dart's weights are multiplied in here: the product of the same two numbers, rounded once, as tier 0 has
  /// it. Not wide: what it returns is a float32.
  [[nodiscard]] double value_of(std::size_t tree, std::uint32_t leaf) const noexcept {
    if (forest_.wide) return forest_.wide_leaves[leaf];
    const float value = forest_.nodes[leaf].value;
    const float product = forest_.weighted ? forest_.trees[tree].weight * value : value;
    return double{product};
  }

  /// Calls `use` with the leaves that are filled.
  template <class Use>
  void with_leaves(const Use& use) {
    if (layout_.is_wide) {
      use(layout_.wide);
    } else {
      use(layout_.narrow);
    }
  }

  /// The word of an exit to a leaf.
  [[nodiscard]] std::uint32_t exit_to(std::size_t tree, const Step& leaf) const noexcept {
    return forest_.wide ? leaf.leaf
                        : std::bit_cast<std::uint32_t>(static_cast<float>(value_of(tree, leaf.node)));
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

  /// Packs a tree; what fills up the last vector is the first tree once more, whose leaves nobody adds.
  /// Returns its nodes.
  std::size_t pack_tree(PackedTrees& packed, std::size_t tree, bool missing) {
    if (tree >= forest_.trees.size()) {
      if (packed.leap_crowns.empty()) {
        for (std::uint32_t node = 0; node < kCrown; ++node)
          crown_word(packed, tree, node) = crown_word(packed, 0, node);
      } else {
        std::copy_n(packed.leap_crowns.begin(), kLeapNodes,
                    packed.leap_crowns.begin() + static_cast<std::ptrdiff_t>(tree * kLeapNodes));
      }
      layout_.bases[tree] = layout_.bases[0];
      return 1;
    }
    const std::size_t begin = first_step_[tree];
    const std::size_t nodes = first_step_[tree + 1] - begin;
    comparisons_.clear();
    for (std::size_t at = begin; at < begin + nodes; ++at) {
      comparisons_.push_back(comparison_of(forest_.nodes[steps_[at].node], missing));
    }
    layout_.bases[tree] = static_cast<std::uint32_t>(packed.words.size());
    const std::array<std::uint32_t, kBlockWords> crown = three_levels(tree, 0);
    for (std::uint32_t node = 1; node <= kCrown; ++node) {
      if (packed.leap_crowns.empty()) {
        crown_word(packed, tree, node - 1) = comparisons_[crown[node]].word();
      } else {
        packed.leap_crowns[tree * kLeapNodes + node] = comparisons_[crown[node]].half();
      }
    }
    if (!packed.leap_crowns.empty()) packed.leap_crowns[tree * kLeapNodes] = Comparison{}.half();
    pack_blocks(packed, tree, crown);
    if (!tournament_) {
      if (!packed.leap_crowns.empty()) pad(packed.crown_nodes, tree, 0, kCrownLevels);
      return nodes;
    }
    const std::uint32_t depth = depth_of(tree);
    if (!missing) {
      layout_.tournament_trees.push_back(
          {.first_node = static_cast<std::uint32_t>(packed.tournament_nodes.size()),
           .first_leaf = tournament_leaves_,
           .depth = depth,
           .group = forest_.trees[tree].group});
      tournament_leaves_ += 1U << depth;
    }
    pad(packed.tournament_nodes, tree, 0, depth);
    if (!missing) pad_leaves(tree, 0, depth);
    if (!packed.relay_nodes.empty()) pack_relay(packed, tree);
    return nodes;
  }

  /// A tree's column of its vector, level by level; a leaf stands in for its children.
  void pack_relay(PackedTrees& packed, std::size_t tree) {
    const RelayVector& vector = layout_.relay_vectors[tree / kRelayTrees];
    const std::size_t column = tree % kRelayTrees;
    std::uint16_t* into = packed.relay_nodes.data() + vector.first_node + column;
    level_.assign(1, 0);
    for (std::uint32_t level = 0; level < vector.depth; ++level) {
      below_.clear();
      for (const std::uint32_t at : level_) {
        const Comparison& comparison = comparisons_[at];
        *into = static_cast<std::uint16_t>(comparison.rank << 8 | comparison.plane);
        into += kRelayTrees;
        const bool inner = comparison.rank != kLeafRank;
        const std::uint32_t left = steps_[first_step_[tree] + at].left;
        below_.push_back(left);
        below_.push_back(inner ? left + 1 : left);
      }
      std::swap(level_, below_);
    }
    with_leaves([&]<class Number>(Leaves<Number>& leaves) {
      leaves.relay.resize(
          std::max(leaves.relay.size(), vector.first_leaf + (std::size_t{kRelayTrees} << vector.depth)));
      Number* const own = leaves.relay.data() + vector.first_leaf + (column << vector.depth);
      for (std::size_t leaf = 0; leaf < level_.size(); ++leaf) {
        own[leaf] = static_cast<Number>(value_of(tree, steps_[first_step_[tree] + level_[leaf]].node));
      }
    });
  }

  static std::uint32_t& crown_word(PackedTrees& packed, std::size_t tree, std::uint32_t node) {
    return packed.crowns[(tree / kVectorTrees * kCrown + node) * kVectorTrees + tree % kVectorTrees];
  }

  /// The nodes of three levels from `root` on and the eight below them, numbered as in a block; a leaf stands
  /// in for its children.
  [[nodiscard]] std::array<std::uint32_t, kBlockWords> three_levels(std::size_t tree,
                                                                    std::uint32_t root) const {
    std::array<std::uint32_t, kBlockWords> nodes{};
    nodes[1] = root;
    for (std::uint32_t number = 2; number < kBlockWords; ++number) {
      const std::uint32_t parent = nodes[number / 2];
      const Step& step = steps_[first_step_[tree] + parent];
      nodes[number] = is_inner(forest_.nodes[step.node]) ? step.left + number % 2 : parent;
    }
    return nodes;
  }

  /// Appends a tree's blocks, breadth first: first those under its crown, then those that others lead to.
  void pack_blocks(PackedTrees& packed, std::size_t tree,
                   const std::array<std::uint32_t, kBlockWords>& crown) {
    std::vector<std::uint32_t> roots(crown.begin() + 8, crown.end());
    for (std::size_t block = 0; block < roots.size(); ++block) {
      const std::array<std::uint32_t, kBlockWords> nodes = three_levels(tree, roots[block]);
      push_nodes(packed, nodes);
      for (std::uint32_t number = 8; number < kBlockWords; ++number) {
        const Step& step = steps_[first_step_[tree] + nodes[number]];
        if (is_inner(forest_.nodes[step.node])) {
          packed.words.push_back(kBlockExit + static_cast<std::uint32_t>(roots.size()));
          roots.push_back(nodes[number]);
        } else {
          packed.words.push_back(exit_to(tree, step));
        }
      }
    }
  }

  /// Appends the first half of a block.
  void push_nodes(PackedTrees& packed, const std::array<std::uint32_t, kBlockWords>& nodes) {
    if (packed.leap_crowns.empty()) {
      packed.words.push_back(0);
      for (std::uint32_t number = 1; number < 8; ++number)
        packed.words.push_back(comparisons_[nodes[number]].word());
      return;
    }
    std::array<std::uint16_t, kBlockWords> halves{};
    halves[0] = Comparison{}.half();
    for (std::uint32_t number = 1; number < 8; ++number) halves[number] = comparisons_[nodes[number]].half();
    const auto words = std::bit_cast<std::array<std::uint32_t, kBlockWords / 2>>(halves);
    packed.words.insert(packed.words.end(), words.begin(), words.end());
  }

  /// Appends the first `depth` levels of the subtree at `at`. Below a leaf nothing goes right.
  void pad(std::vector<TournamentNode>& nodes, std::size_t tree, std::uint32_t at, std::uint32_t depth) {
    if (depth == 0) return;
    const Step& step = steps_[first_step_[tree] + at];
    const bool inner = is_inner(forest_.nodes[step.node]);
    pad(nodes, tree, step.left, depth - 1);
    pad(nodes, tree, inner ? step.left + 1 : at, depth - 1);
    nodes.push_back({.threshold = comparisons_[at].rank * 0x01010101U, .plane = comparisons_[at].plane});
  }

  /// Appends the leaves of the subtree at `at`, each as often as it would have leaves at `depth` below it.
  void pad_leaves(std::size_t tree, std::uint32_t at, std::uint32_t depth) {
    const Step& step = steps_[first_step_[tree] + at];
    if (!is_inner(forest_.nodes[step.node])) {
      with_leaves([&]<class Number>(Leaves<Number>& leaves) {
        leaves.tournament.resize(leaves.tournament.size() + (std::size_t{1} << depth),
                                 static_cast<Number>(value_of(tree, step.node)));
      });
      return;
    }
    assert(depth > 0);
    pad_leaves(tree, step.left, depth - 1);
    pad_leaves(tree, step.left + 1, depth - 1);
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
  std::vector<std::uint32_t> level_;     // of a tree that is packed for the relay
  std::vector<std::uint32_t> below_;
  std::size_t slots_ = 0;  // of a tournament
  std::uint32_t tournament_leaves_ = 0;
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
  return bytes_of_vector(packed.words) + bytes_of_vector(packed.crowns) +
         bytes_of_vector(packed.leap_crowns) + bytes_of_vector(packed.crown_nodes) +
         bytes_of_vector(packed.tournament_nodes) + bytes_of_vector(packed.relay_nodes);
}

template <class Number>
std::size_t bytes_of_leaves(const Leaves<Number>& leaves) noexcept {
  return bytes_of_vector(leaves.walk) + bytes_of_vector(leaves.tournament) + bytes_of_vector(leaves.relay);
}

}  // namespace

std::size_t Layout::bytes() const noexcept {
  return bytes_of_vector(tables) + bytes_of_vector(search_trees) + bytes_of_packed(complete) +
         bytes_of_packed(missing) + bytes_of_vector(bases) + bytes_of_vector(tournament_trees) +
         bytes_of_leaves(narrow) + bytes_of_leaves(wide);
}

}  // namespace tutti::trees
