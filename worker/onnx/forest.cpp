#include "worker/onnx/forest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "shared/limits.hpp"
#include "worker/onnx/intervals.hpp"

namespace tutti::onnx {
namespace {

// A forest may have so many nodes for each branch and leaf of the file: as many targets may stand in one
// tree. Small files may have 50 MiB of them all the same, and no file more than 400 MiB.
constexpr std::size_t kNodesFactor = 64;
constexpr std::size_t kNodesMin = std::size_t{1} << 22;
constexpr std::size_t kNodesMax = std::size_t{1} << 25;
constexpr double kUnfoldedNodesMin = 100'000;
constexpr double kUnfoldedFactor = 8;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// The number that changes no sum, minimum or maximum.
float neutral(Aggregate aggregate) noexcept {
  if (aggregate == Aggregate::min) return kInfinity;
  return aggregate == Aggregate::max ? -kInfinity : 0.0F;
}

class ForestBuilder {
 public:
  ForestBuilder(const Ensemble& ensemble, const Node& node, Forest& forest)
      : ensemble_(ensemble),
        node_(node),
        forest_(forest),
        nodes_max_(std::clamp(kNodesFactor * (ensemble.branches.size() + ensemble.leaves.size()), kNodesMin,
                              kNodesMax)) {}

  Result<void> build() {
    forest_.base_margins.assign(ensemble_.targets, neutral(ensemble_.aggregate));
    if (ensemble_.aggregate == Aggregate::min) forest_.reduction = Forest::Reduction::least;
    if (ensemble_.aggregate == Aggregate::max) forest_.reduction = Forest::Reduction::greatest;
    find_all_intervals();
    for (const Child root : ensemble_.roots) {
      order(root);
      for (const std::uint32_t target : targets_) {
        if (Result<void> added = add_tree(root, target); !added) return added;
      }
    }
    const auto nodes = static_cast<double>(forest_.nodes.size());
    forest_.unfolds = unfolded_ > std::max(kUnfoldedNodesMin, kUnfoldedFactor * nodes);
    return {};
  }

 private:
  /// A place in the forest that a child is to fill.
  struct Place {
    std::uint32_t slot = 0;
    Child child;
  };
  /// Intervals [first, end) of a branch, under the node at `slot`.
  struct Range {
    std::uint32_t slot = 0;
    std::size_t first = 0;
    std::size_t end = 0;
  };

  [[nodiscard]] const Branch& branch_of(Child child) const noexcept {
    return ensemble_.branches[child.index];
  }

  /// Intervals, with their bounds in a list that all branches share.
  struct Ranges {
    std::uint32_t first_bound = 0;
    std::uint32_t bound_count = 0;
    bool first = false;
    bool missing = false;

    [[nodiscard]] std::size_t count() const noexcept { return std::size_t{bound_count} + 1; }
    [[nodiscard]] bool truth(std::size_t interval) const noexcept { return first != (interval % 2 == 1); }
  };

  /// Once for all targets: a long set may come down to few bounds, and would else be sorted for each of them.
  void find_all_intervals() {
    Intervals found;
    ranges_.reserve(ensemble_.branches.size());
    for (const Branch& branch : ensemble_.branches) {
      find_intervals(branch, std::span(ensemble_.members).subspan(branch.first_member, branch.member_count),
                     found);
      ranges_.push_back({.first_bound = static_cast<std::uint32_t>(bounds_.size()),
                         .bound_count = static_cast<std::uint32_t>(found.bounds.size()),
                         .first = found.first,
                         .missing = found.missing});
      bounds_.insert(bounds_.end(), found.bounds.begin(), found.bounds.end());
    }
  }

  /// The tree's nodes from the root down, and the targets that its leaves have weights for.
  void order(Child root) {
    order_.assign(1, root);
    targets_.clear();
    for (std::size_t at = 0; at < order_.size(); ++at) {
      if (!order_[at].leaf) {
        const Branch& branch = branch_of(order_[at]);
        order_.push_back(branch.if_true);
        order_.push_back(branch.if_false);
        continue;
      }
      const Leaf& leaf = ensemble_.leaves[order_[at].index];
      for (std::uint32_t index = leaf.first; index < leaf.first + leaf.count; ++index) {
        targets_.push_back(ensemble_.weights[index].target);
      }
    }
    std::ranges::sort(targets_);
    const auto repeated = std::ranges::unique(targets_);
    targets_.erase(repeated.begin(), repeated.end());
    count_unfolded();
  }

  /// How many nodes the tree would have without sharing, from the leaves up: children follow their parents.
  void count_unfolded() {
    std::vector<double>& sizes = sizes_;
    sizes.assign(order_.size(), 1.0);
    std::size_t last_child = order_.size();
    for (std::size_t at = order_.size(); at-- > 0;) {
      if (order_[at].leaf) continue;
      const Ranges& ranges = ranges_[order_[at].index];
      last_child -= 2;
      const std::size_t intervals = ranges.count();
      const std::size_t of_first = (intervals + 1) / 2;
      const double if_first = sizes[last_child + (ranges.first ? 0 : 1)];
      const double if_second = sizes[last_child + (ranges.first ? 1 : 0)];
      sizes[at] = static_cast<double>(intervals - 1) + static_cast<double>(of_first) * if_first +
                  static_cast<double>(intervals - of_first) * if_second;
    }
    unfolded_ += sizes[0] * static_cast<double>(targets_.size());
  }

  Result<void> add_tree(Child root, std::uint32_t target) {
    if (forest_.trees.size() == kTreesMax) {
      return bad_node(node_, "", fmt::format("more than {} trees, each target of a tree counted", kTreesMax),
                      "train fewer trees");
    }
    const auto slot = static_cast<std::uint32_t>(forest_.nodes.size());
    forest_.trees.push_back({.root = slot, .group = target});
    forest_.nodes.emplace_back();
    places_.assign(1, {.slot = slot, .child = root});
    copies_.clear();
    for (std::size_t at = 0; at < places_.size(); ++at) {
      const Place place = places_[at];
      if (place.child.leaf) {
        forest_.nodes[place.slot] = {.value = weight_of(place.child, target), .left = place.slot, .bits = 0};
      } else {
        add_branch(place);
      }
      // Branches that every number passes alike give no node, but take their time.
      if (forest_.nodes.size() > nodes_max_ || ++visited_ > nodes_max_) {
        return bad_node(node_, "",
                        fmt::format("more than {} nodes, each target of a tree counted", nodes_max_),
                        "train fewer or smaller trees, or one model for each target");
      }
    }
    for (const auto& [to, from] : copies_) {
      TreeNode& node = forest_.nodes[to] = forest_.nodes[from];
      if ((node.bits & TreeNode::kInner) == 0) node.left = to;
    }
    return {};
  }

  [[nodiscard]] float weight_of(Child child, std::uint32_t target) const noexcept {
    const Leaf& leaf = ensemble_.leaves[child.index];
    const auto weights = std::span(ensemble_.weights).subspan(leaf.first, leaf.count);
    const auto found = std::ranges::lower_bound(weights, target, {}, &Weight::target);
    return found != weights.end() && found->target == target ? found->value : neutral(ensemble_.aggregate);
  }

  /// Comparisons for the branch's intervals, as a balanced tree; its children are filled in later.
  void add_branch(const Place& place) {
    const Branch& branch = branch_of(place.child);
    const Ranges& ranges = ranges_[place.child.index];
    // Where NaN goes: the first interval of its truth. Every comparison on the way there sends it on.
    const std::size_t missing = ranges.truth(0) == ranges.missing ? 0 : 1;
    std::optional<std::uint32_t> filled[2];
    spans_.assign(1, {.slot = place.slot, .first = 0, .end = ranges.count()});
    for (std::size_t at = 0; at < spans_.size(); ++at) {
      const Range range = spans_[at];
      if (range.end - range.first == 1) {
        const bool truth = ranges.truth(range.first);
        if (filled[truth]) {
          copies_.emplace_back(range.slot, *filled[truth]);
        } else {
          filled[truth] = range.slot;
          places_.push_back({.slot = range.slot, .child = truth ? branch.if_true : branch.if_false});
        }
        continue;
      }
      const std::size_t middle = range.first + (range.end - range.first) / 2;
      const auto left = static_cast<std::uint32_t>(forest_.nodes.size());
      forest_.nodes.resize(forest_.nodes.size() + 2);
      forest_.nodes[range.slot] = {
          .value = bounds_[ranges.first_bound + middle - 1],
          .left = left,
          .bits = branch.feature | TreeNode::kInner | (missing >= middle ? TreeNode::kMissingRight : 0)};
      spans_.push_back({.slot = left, .first = range.first, .end = middle});
      spans_.push_back({.slot = left + 1, .first = middle, .end = range.end});
    }
  }

  const Ensemble& ensemble_;
  const Node& node_;
  Forest& forest_;
  std::size_t nodes_max_;
  double unfolded_ = 0.0;
  std::size_t visited_ = 0;
  std::vector<Ranges> ranges_;  // by branch
  std::vector<float> bounds_;
  // Scratch, kept from tree to tree.
  std::vector<Child> order_;
  std::vector<double> sizes_;
  std::vector<std::uint32_t> targets_;
  std::vector<Place> places_;
  std::vector<Range> spans_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> copies_;  // to, from
};

std::vector<float> repeated(float number, std::uint32_t count) { return std::vector<float>(count, number); }

/// True where no answer can be negative: sums of such numbers may be probabilities.
bool is_nonnegative(const Ensemble& ensemble) {
  return std::ranges::all_of(ensemble.weights, [](const Weight& weight) { return weight.value >= 0.0F; }) &&
         std::ranges::all_of(ensemble.base_values, [](float value) { return value >= 0.0F; });
}

/// What happens to the sums before the transform.
void add_aggregate(const Ensemble& ensemble, std::vector<Step>& steps) {
  const float absent = neutral(ensemble.aggregate);
  // No tree had a weight for it.
  if (absent != 0.0F) {
    steps.push_back(
        {.kind = Step::Kind::replace, .numbers = repeated(0.0F, ensemble.targets), .value = absent});
  }
  if (ensemble.aggregate == Aggregate::average) {
    steps.push_back({.kind = Step::Kind::divide,
                     .numbers = repeated(static_cast<float>(ensemble.roots.size()), ensemble.targets)});
  }
  if (!ensemble.base_values.empty()) {
    steps.push_back({.kind = Step::Kind::add, .numbers = ensemble.base_values});
  }
}

/// The transform of one column that stands for two classes: what the second class gets. ONNX turns the score
/// s into [1 - s, s] without a transform, else into the transform of [-s, s]; the first class's number is one
/// less the second's, which is the adapter's to write.
Result<OutputKind> add_transform_of_pair(const Ensemble& ensemble, const Node& node,
                                         std::vector<Step>& steps) {
  switch (ensemble.post_transform) {
    case PostTransform::none:
      return is_nonnegative(ensemble) ? OutputKind::probability : OutputKind::value;
    case PostTransform::logistic:
      steps.push_back({.kind = Step::Kind::logistic});
      return OutputKind::probability;
    case PostTransform::softmax:
      steps.push_back({.kind = Step::Kind::softmax_pair});
      return OutputKind::probability;
    case PostTransform::softmax_zero:
    case PostTransform::probit:
      break;
  }
  return bad_node(node, "post_transform", "SOFTMAX_ZERO or PROBIT of two classes with the weights of one",
                  "libraries disagree about its answer; export the model with LOGISTIC or NONE");
}

OutputKind add_transform(const Ensemble& ensemble, std::vector<Step>& steps) {
  const bool several = ensemble.targets > 1;
  switch (ensemble.post_transform) {
    case PostTransform::none:
      return ensemble.classifier && several && is_nonnegative(ensemble) ? OutputKind::probabilities
                                                                        : OutputKind::value;
    case PostTransform::softmax:
      steps.push_back({.kind = Step::Kind::softmax});
      return several ? OutputKind::probabilities : OutputKind::value;
    case PostTransform::logistic:
      steps.push_back({.kind = Step::Kind::logistic});
      return several ? OutputKind::probabilities : OutputKind::probability;
    case PostTransform::softmax_zero:
      steps.push_back({.kind = Step::Kind::softmax_zero});
      return several ? OutputKind::probabilities : OutputKind::value;
    case PostTransform::probit:
      steps.push_back({.kind = Step::Kind::probit});
      return OutputKind::value;
  }
  return OutputKind::value;
}

}  // namespace

Result<TreeCore> build_forest(const Ensemble& ensemble, const Node& node) {
  TreeCore core;
  if (Result<void> built = ForestBuilder(ensemble, node, core.forest).build(); !built) {
    return std::unexpected(std::move(built.error()));
  }
  add_aggregate(ensemble, core.steps);
  if (!ensemble.one_of_two) {
    core.kind = add_transform(ensemble, core.steps);
    return core;
  }
  const Result<OutputKind> kind = add_transform_of_pair(ensemble, node, core.steps);
  if (!kind) return std::unexpected(kind.error());
  core.kind = *kind;
  return core;
}

std::uint32_t features_seen(const Ensemble& ensemble) noexcept {
  std::uint32_t features = 0;
  for (const Branch& branch : ensemble.branches) features = std::max(features, branch.feature + 1);
  return features;
}

}  // namespace tutti::onnx
