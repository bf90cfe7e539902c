// TreeEnsembleRegressor and TreeEnsembleClassifier: parallel lists in which nodes are named.
//
//   place    0      1      2      3   …        the name of a node is (nodes_treeids[i], nodes_nodeids[i])
//   treeids  0      0      0      7            names are any whole numbers, in any order
//   nodeids  0      4      9      0            a tree's root is the one node that is nobody's child
//   modes    LEQ    LEAF   LEAF   LT
//   true     4      -      -      …            children are named by their node's number, within the same
//   tree
//
// Weights stand in lists of their own and name the leaf they belong to.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "shared/limits.hpp"
#include "worker/onnx/ensemble.hpp"
#include "worker/onnx/lists.hpp"
#include "worker/text.hpp"

namespace tutti::onnx {
namespace {

template <class T>
using Names = std::pair<std::string_view, T>;

constexpr std::array<Names<Comparison>, 6> kModes{{{"BRANCH_LEQ", Comparison::leq},
                                                   {"BRANCH_LT", Comparison::lt},
                                                   {"BRANCH_GTE", Comparison::gte},
                                                   {"BRANCH_GT", Comparison::gt},
                                                   {"BRANCH_EQ", Comparison::eq},
                                                   {"BRANCH_NEQ", Comparison::neq}}};
constexpr std::array<Names<Aggregate>, 4> kAggregates{{{"AVERAGE", Aggregate::average},
                                                       {"SUM", Aggregate::sum},
                                                       {"MIN", Aggregate::min},
                                                       {"MAX", Aggregate::max}}};
constexpr std::array<Names<PostTransform>, 5> kPostTransforms{{{"NONE", PostTransform::none},
                                                               {"SOFTMAX", PostTransform::softmax},
                                                               {"LOGISTIC", PostTransform::logistic},
                                                               {"SOFTMAX_ZERO", PostTransform::softmax_zero},
                                                               {"PROBIT", PostTransform::probit}}};

template <class T, std::size_t kCount>
std::optional<T> value_named(const std::array<Names<T>, kCount>& names, std::string_view name) {
  const auto* const found = std::ranges::find(names, name, &Names<T>::first);
  if (found == names.end()) return std::nullopt;
  return found->second;
}

/// A text attribute that is one of a few names.
template <class T, std::size_t kCount>
Result<T> named_attribute(const Node& node, std::string_view attribute,
                          const std::array<Names<T>, kCount>& names, T absent) {
  const Result<std::optional<std::string_view>> text = text_attribute(node, attribute);
  if (!text) return std::unexpected(text.error());
  if (!*text || (*text)->empty()) return absent;
  if (const std::optional<T> value = value_named(names, **text)) return *value;
  std::vector<std::string_view> known;
  for (const auto& [name, value] : names) known.push_back(name);
  return bad_node(node, attribute, fmt::format("\"{}\" is not known", one_line(**text, kNameMax)),
                  fmt::format("known are {}", comma_list(known)));
}

class NamedNodes {
 public:
  explicit NamedNodes(const Node& node) : node_(node) {
    ensemble_.classifier = node.op == "TreeEnsembleClassifier";
  }

  Result<Ensemble> read() {
    for (const auto step : {&NamedNodes::read_lists, &NamedNodes::number_nodes, &NamedNodes::read_branches,
                            &NamedNodes::find_roots, &NamedNodes::read_weights, &NamedNodes::read_answer}) {
      if (Result<void> done = (this->*step)(); !done) return std::unexpected(std::move(done.error()));
    }
    if (Result<void> checked = check_trees(ensemble_, node_, true); !checked) {
      return std::unexpected(std::move(checked.error()));
    }
    return std::move(ensemble_);
  }

 private:
  /// A node's name and its place in the lists.
  struct Key {
    std::int64_t tree = 0;
    std::int64_t node = 0;
    std::uint32_t place = 0;

    [[nodiscard]] auto name() const noexcept { return std::pair(tree, node); }
  };

  Result<void> take(std::vector<std::int64_t>& list, std::string_view name, std::size_t size) {
    Result<std::vector<std::int64_t>> numbers = ints_of_size(node_, name, size);
    if (!numbers) return std::unexpected(std::move(numbers.error()));
    list = std::move(*numbers);
    return {};
  }

  Result<void> read_lists() {
    Result<std::vector<std::string_view>> modes = texts_attribute(node_, "nodes_modes");
    if (!modes) return std::unexpected(std::move(modes.error()));
    modes_ = std::move(*modes);
    const std::size_t nodes = modes_.size();
    if (nodes == 0 || nodes > kModelNodesMax) {
      return bad_node(node_, "nodes_modes",
                      fmt::format("has {} elements, not 1 to {}", nodes, kModelNodesMax), kExportAgain);
    }
    for (const auto& [list, name] :
         {std::pair(&trees_, "nodes_treeids"), std::pair(&numbers_, "nodes_nodeids"),
          std::pair(&features_, "nodes_featureids"), std::pair(&if_true_, "nodes_truenodeids"),
          std::pair(&if_false_, "nodes_falsenodeids")}) {
      if (Result<void> taken = take(*list, name, nodes); !taken) return taken;
    }
    Result<std::vector<std::int64_t>> missing =
        ints_or_zeros(node_, "nodes_missing_value_tracks_true", nodes);
    if (!missing) return std::unexpected(std::move(missing.error()));
    missing_ = std::move(*missing);
    Result<std::vector<double>> values = floats_or_tensor(node_, "nodes_values");
    if (!values) return std::unexpected(std::move(values.error()));
    values_ = std::move(*values);
    return check_size(node_, "nodes_values", values_, nodes);
  }

  /// Sorts the nodes by name and gives each an index among the branches or the leaves.
  Result<void> number_nodes() {
    const auto nodes = static_cast<std::uint32_t>(modes_.size());
    keys_.reserve(nodes);
    children_.resize(nodes);
    std::uint32_t branches = 0;
    std::uint32_t leaves = 0;
    for (std::uint32_t place = 0; place < nodes; ++place) {
      keys_.push_back({.tree = trees_[place], .node = numbers_[place], .place = place});
      const bool leaf = modes_[place] == "LEAF";
      children_[place] = {.index = leaf ? leaves++ : branches++, .leaf = leaf};
    }
    std::ranges::sort(keys_, {}, &Key::name);
    const auto twice = std::ranges::adjacent_find(keys_, {}, &Key::name);
    if (twice != keys_.end()) {
      return bad_node(node_, place_of("nodes_nodeids", std::max(twice->place, std::next(twice)->place)),
                      fmt::format("node {} of tree {} occurs twice", twice->node, twice->tree), kExportAgain);
    }
    ensemble_.branches.resize(branches);
    ensemble_.leaves.resize(leaves);
    return {};
  }

  [[nodiscard]] std::optional<std::uint32_t> place_of_node(std::int64_t tree, std::int64_t node) const {
    const auto found = std::ranges::lower_bound(keys_, std::pair(tree, node), {}, &Key::name);
    if (found == keys_.end() || found->name() != std::pair(tree, node)) return std::nullopt;
    return found->place;
  }

  Result<void> read_branches() {
    is_child_.resize(modes_.size());
    for (std::uint32_t place = 0; place < modes_.size(); ++place) {
      if (children_[place].leaf) continue;
      Branch& branch = ensemble_.branches[children_[place].index];
      const std::optional<Comparison> comparison = value_named(kModes, modes_[place]);
      if (!comparison) {
        return bad_node(node_, place_of("nodes_modes", place),
                        fmt::format("\"{}\" is not known", one_line(modes_[place], kNameMax)), kExportAgain);
      }
      branch.comparison = *comparison;
      if (features_[place] < 0 || features_[place] >= kFeaturesMax) {
        return bad_node(node_, place_of("nodes_featureids", place),
                        fmt::format("feature {} is not in [0, {})", features_[place], kFeaturesMax),
                        kExportAgain);
      }
      branch.feature = static_cast<std::uint32_t>(features_[place]);
      branch.value = values_[place];
      if (std::isnan(branch.value)) {
        return bad_node(node_, place_of("nodes_values", place), "a threshold is NaN", kExportAgain);
      }
      branch.missing_is_true = missing_[place] != 0;
      for (const auto& [list, name, child] :
           {std::tuple(&if_true_, "nodes_truenodeids", &branch.if_true),
            std::tuple(&if_false_, "nodes_falsenodeids", &branch.if_false)}) {
        if (Result<void> found = find_child(place, (*list)[place], name, *child); !found) return found;
      }
    }
    return {};
  }

  Result<void> find_child(std::uint32_t place, std::int64_t number, std::string_view list, Child& child) {
    const std::optional<std::uint32_t> found = place_of_node(trees_[place], number);
    if (!found) {
      return bad_node(node_, place_of(list, place),
                      fmt::format("tree {} has no node {}", trees_[place], number), kExportAgain);
    }
    if (is_child_[*found]) {
      return bad_node(
          node_, place_of(list, place),
          fmt::format("node {} of tree {} is reached a second time: a cycle, or a node of two parents",
                      number, trees_[place]),
          kExportAgain);
    }
    is_child_[*found] = true;
    child = children_[*found];
    return {};
  }

  /// One node of each tree is nobody's child. Trees are summed in the order in which the file begins them.
  Result<void> find_roots() {
    std::map<std::int64_t, std::size_t> tree_of;  // its place among the roots
    std::vector<bool> found;
    for (std::uint32_t place = 0; place < modes_.size(); ++place) {
      const auto [tree, is_new] = tree_of.try_emplace(trees_[place], ensemble_.roots.size());
      if (is_new) {
        if (ensemble_.roots.size() == kTreesMax) {
          return bad_node(node_, "nodes_treeids", fmt::format("more than {} trees", kTreesMax),
                          "train fewer trees");
        }
        ensemble_.roots.emplace_back();
        found.push_back(false);
      }
      if (is_child_[place]) continue;
      if (found[tree->second]) {
        return bad_node(node_, place_of("nodes_nodeids", place),
                        fmt::format("tree {} has a second root, node {}", trees_[place], numbers_[place]),
                        kExportAgain);
      }
      found[tree->second] = true;
      ensemble_.roots[tree->second] = children_[place];
    }
    for (const auto& [tree, index] : tree_of) {
      if (!found[index]) {
        return bad_node(node_, "nodes_treeids",
                        fmt::format("tree {} has no root: its nodes form a cycle", tree), kExportAgain);
      }
    }
    return {};
  }

  /// How many columns the weights have: targets, or classes.
  Result<std::uint32_t> count_columns() {
    std::int64_t columns = 0;
    if (ensemble_.classifier) {
      const Result<std::vector<std::int64_t>> numbers = ints_attribute(node_, "classlabels_int64s");
      if (!numbers) return std::unexpected(numbers.error());
      const Result<std::vector<std::string_view>> texts = texts_attribute(node_, "classlabels_strings");
      if (!texts) return std::unexpected(texts.error());
      columns = static_cast<std::int64_t>(std::max(numbers->size(), texts->size()));
    } else {
      const Result<std::optional<std::int64_t>> targets = int_attribute(node_, "n_targets");
      if (!targets) return std::unexpected(targets.error());
      columns = targets->value_or(1);
    }
    if (columns < 1 || columns > kOutputsMax) {
      return bad_node(node_, ensemble_.classifier ? "classlabels_int64s" : "n_targets",
                      fmt::format("{} classes or targets, not 1 to {}", columns, kOutputsMax), kExportAgain);
    }
    return static_cast<std::uint32_t>(columns);
  }

  /// A weight with the leaf it belongs to.
  struct Entry {
    std::uint32_t leaf = 0;
    Weight weight;

    [[nodiscard]] auto name() const noexcept { return std::pair(leaf, weight.target); }
  };

  Result<void> read_weights() {
    const std::string prefix = ensemble_.classifier ? "class_" : "target_";
    const Result<std::uint32_t> columns = count_columns();
    if (!columns) return std::unexpected(columns.error());
    ensemble_.targets = *columns;
    Result<std::vector<double>> weights = floats_or_tensor(node_, prefix + "weights");
    if (!weights) return std::unexpected(std::move(weights.error()));
    std::vector<std::int64_t> trees;
    std::vector<std::int64_t> nodes;
    std::vector<std::int64_t> ids;
    for (const auto& [list, name] :
         {std::pair(&trees, "treeids"), std::pair(&nodes, "nodeids"), std::pair(&ids, "ids")}) {
      if (Result<void> taken = take(*list, prefix + name, weights->size()); !taken) return taken;
    }
    if (ensemble_.classifier) join_columns(ids);

    std::vector<Entry> entries;
    for (std::size_t index = 0; index < weights->size(); ++index) {
      const std::optional<std::uint32_t> place = place_of_node(trees[index], nodes[index]);
      if (!place) {
        return bad_node(node_, place_of(prefix + "nodeids", index),
                        fmt::format("tree {} has no node {}", trees[index], nodes[index]), kExportAgain);
      }
      if (ids[index] < 0 || ids[index] >= ensemble_.targets) {
        return bad_node(node_, place_of(prefix + "ids", index),
                        fmt::format("{} is not in [0, {})", ids[index], ensemble_.targets), kExportAgain);
      }
      const Result<float> weight = float_of(node_, prefix + "weights", index, (*weights)[index]);
      if (!weight) return std::unexpected(weight.error());
      // Some converters give branches weights, too; no row ends there.
      if (!children_[*place].leaf) continue;
      entries.push_back({.leaf = children_[*place].index,
                         .weight = {.target = static_cast<std::uint32_t>(ids[index]), .value = *weight}});
    }
    return spread(entries, prefix);
  }

  /// Two classes, or one label, and the weights of one column: that column is the second class's.
  void join_columns(std::vector<std::int64_t>& ids) {
    const bool one_column =
        !ids.empty() && std::ranges::all_of(ids, [&](std::int64_t id) { return id == ids.front(); });
    if (!one_column || ensemble_.targets > 2 || ids.front() < 0 || ids.front() >= ensemble_.targets) return;
    ensemble_.one_of_two = true;
    ensemble_.targets = 1;
    std::ranges::fill(ids, 0);
  }

  Result<void> spread(std::vector<Entry>& entries, const std::string& prefix) {
    std::ranges::sort(entries, {}, &Entry::name);
    if (const auto twice = std::ranges::adjacent_find(entries, {}, &Entry::name); twice != entries.end()) {
      return bad_node(node_, prefix + "ids",
                      fmt::format("a leaf has two weights for {}, one of them {}", twice->weight.target,
                                  twice->weight.value),
                      kExportAgain);
    }
    for (const Entry& entry : entries) {
      Leaf& leaf = ensemble_.leaves[entry.leaf];
      if (leaf.count++ == 0) leaf.first = static_cast<std::uint32_t>(ensemble_.weights.size());
      ensemble_.weights.push_back(entry.weight);
    }
    return {};
  }

  Result<void> read_answer() {
    if (!ensemble_.classifier) {
      const Result<Aggregate> aggregate =
          named_attribute(node_, "aggregate_function", kAggregates, Aggregate::sum);
      if (!aggregate) return std::unexpected(aggregate.error());
      ensemble_.aggregate = *aggregate;
    }
    const Result<PostTransform> transform =
        named_attribute(node_, "post_transform", kPostTransforms, PostTransform::none);
    if (!transform) return std::unexpected(transform.error());
    ensemble_.post_transform = *transform;

    const Result<std::vector<double>> base = floats_or_tensor(node_, "base_values");
    if (!base) return std::unexpected(base.error());
    for (std::size_t index = 0; index < base->size(); ++index) {
      const Result<float> value = float_of(node_, "base_values", index, (*base)[index]);
      if (!value) return std::unexpected(value.error());
      ensemble_.base_values.push_back(*value);
    }
    std::vector<float>& values = ensemble_.base_values;
    // Two values for one column of weights: which of them counts is left open, unless they are the same.
    if (ensemble_.one_of_two && values.size() == 2 && values[0] == values[1]) values.pop_back();
    if (values.empty()) return {};
    return check_size(node_, "base_values", values, ensemble_.targets);
  }

  const Node& node_;
  Ensemble ensemble_;
  std::vector<std::string_view> modes_;  // this list and those below: by place
  std::vector<std::int64_t> trees_;
  std::vector<std::int64_t> numbers_;
  std::vector<std::int64_t> features_;
  std::vector<std::int64_t> if_true_;
  std::vector<std::int64_t> if_false_;
  std::vector<std::int64_t> missing_;
  std::vector<double> values_;
  std::vector<Child> children_;
  std::vector<bool> is_child_;
  std::vector<Key> keys_;  // by name
};

}  // namespace

Result<Ensemble> read_named_nodes(const Node& node) { return NamedNodes(node).read(); }

}  // namespace tutti::onnx
