// TreeEnsemble of ai.onnx.ml 5: branches and leaves in lists of their own, numbered by their place.
//
//   tree_roots ─▶ branch: feature, mode, split ─▶ nodes_truenodeids[i], a leaf where nodes_trueleafs[i] is
//   not 0
//                                              ─▶ nodes_falsenodeids[i], …
//   a leaf is one target and one weight; a tree of one leaf is a branch both of whose children are that leaf
//   membership_values: the sets of all MEMBER branches in the order of their places, a NaN after each
#include <fmt/format.h>

#include <cmath>
#include <tuple>
#include <utility>

#include "shared/limits.hpp"
#include "worker/onnx/ensemble.hpp"
#include "worker/onnx/lists.hpp"

namespace tutti::onnx {
namespace {

class NumberedNodes {
 public:
  explicit NumberedNodes(const Node& node) : node_(node) {}

  Result<Ensemble> read() {
    for (const auto step :
         {&NumberedNodes::read_leaves, &NumberedNodes::read_branches, &NumberedNodes::read_members,
          &NumberedNodes::read_roots, &NumberedNodes::read_answer}) {
      if (Result<void> done = (this->*step)(); !done) return std::unexpected(std::move(done.error()));
    }
    if (Result<void> checked = check_trees(ensemble_, node_, false); !checked) {
      return std::unexpected(std::move(checked.error()));
    }
    return std::move(ensemble_);
  }

 private:
  [[nodiscard]] std::unexpected<Error> bad(std::string_view list, std::size_t index, std::string what) const {
    return bad_node(node_, place_of(list, index), std::move(what), kExportAgain);
  }

  /// A number that must be in [least, most], or `absent`.
  Result<std::int64_t> whole(std::string_view name, std::int64_t least, std::int64_t most,
                             std::optional<std::int64_t> absent) {
    const Result<std::optional<std::int64_t>> number = int_attribute(node_, name);
    if (!number) return std::unexpected(number.error());
    const std::optional<std::int64_t> value = *number ? *number : absent;
    if (value && *value >= least && *value <= most) return *value;
    return bad_node(node_, name,
                    value ? fmt::format("{} is not in [{}, {}]", *value, least, most) : "is missing",
                    kExportAgain);
  }

  Result<void> read_leaves() {
    const Result<std::int64_t> targets = whole("n_targets", 1, kOutputsMax, std::nullopt);
    if (!targets) return std::unexpected(targets.error());
    ensemble_.targets = static_cast<std::uint32_t>(*targets);
    const Result<std::vector<double>> weights = tensor_floats(node_, "leaf_weights");
    if (!weights) return std::unexpected(weights.error());
    if (weights->empty() || weights->size() > kModelNodesMax) {
      return bad_node(node_, "leaf_weights", fmt::format("{} leaves", weights->size()), kExportAgain);
    }
    const Result<std::vector<std::int64_t>> ids = ints_of_size(node_, "leaf_targetids", weights->size());
    if (!ids) return std::unexpected(ids.error());
    for (std::size_t index = 0; index < weights->size(); ++index) {
      const std::int64_t target = (*ids)[index];
      if (target < 0 || target >= ensemble_.targets) {
        return bad("leaf_targetids", index, fmt::format("{} is not in [0, {})", target, ensemble_.targets));
      }
      const Result<float> weight = float_of(node_, "leaf_weights", index, (*weights)[index]);
      if (!weight) return std::unexpected(weight.error());
      ensemble_.leaves.push_back({.first = static_cast<std::uint32_t>(index), .count = 1});
      ensemble_.weights.push_back({.target = static_cast<std::uint32_t>(target), .value = *weight});
    }
    return {};
  }

  Result<void> read_branches() {
    const Result<std::vector<std::int64_t>> features = ints_attribute(node_, "nodes_featureids");
    if (!features) return std::unexpected(features.error());
    const std::size_t nodes = features->size();
    if (nodes == 0 || nodes > kModelNodesMax) {
      return bad_node(node_, "nodes_featureids", fmt::format("{} branches", nodes), kExportAgain);
    }
    ensemble_.branches.resize(nodes);
    for (std::size_t index = 0; index < nodes; ++index) {
      const std::int64_t feature = (*features)[index];
      if (feature < 0 || feature >= kFeaturesMax) {
        return bad("nodes_featureids", index,
                   fmt::format("feature {} is not in [0, {})", feature, kFeaturesMax));
      }
      ensemble_.branches[index].feature = static_cast<std::uint32_t>(feature);
    }
    if (Result<void> read = read_modes(nodes); !read) return read;
    const Result<std::vector<std::int64_t>> missing =
        ints_or_zeros(node_, "nodes_missing_value_tracks_true", nodes);
    if (!missing) return std::unexpected(missing.error());
    for (std::size_t index = 0; index < nodes; ++index) {
      ensemble_.branches[index].missing_is_true = (*missing)[index] != 0;
    }
    if (Result<void> read = read_children("true", &Branch::if_true, nodes); !read) return read;
    return read_children("false", &Branch::if_false, nodes);
  }

  Result<void> read_modes(std::size_t nodes) {
    const Result<std::optional<TensorProto>> tensor = tensor_attribute(node_, "nodes_modes");
    if (!tensor) return std::unexpected(tensor.error());
    if (!*tensor) return bad_node(node_, "nodes_modes", "is missing", kExportAgain);
    const Result<std::vector<std::int64_t>> modes = ints_of(**tensor);
    if (!modes) return std::unexpected(modes.error());
    if (Result<void> checked = check_size(node_, "nodes_modes", *modes, nodes); !checked) return checked;
    const Result<std::vector<double>> splits = tensor_floats(node_, "nodes_splits");
    if (!splits) return std::unexpected(splits.error());
    if (Result<void> checked = check_size(node_, "nodes_splits", *splits, nodes); !checked) return checked;
    for (std::size_t index = 0; index < nodes; ++index) {
      const std::int64_t mode = (*modes)[index];
      if (mode < 0 || mode > static_cast<std::int64_t>(Comparison::member)) {
        return bad("nodes_modes", index, fmt::format("{} is not in [0, 6]", mode));
      }
      Branch& branch = ensemble_.branches[index];
      branch.comparison = static_cast<Comparison>(mode);
      branch.value = (*splits)[index];
      if (branch.comparison != Comparison::member && std::isnan(branch.value)) {
        return bad("nodes_splits", index, "a threshold is NaN");
      }
    }
    return {};
  }

  Result<void> read_children(const std::string& side, Child Branch::* child, std::size_t nodes) {
    const std::string list = fmt::format("nodes_{}nodeids", side);
    const Result<std::vector<std::int64_t>> numbers = ints_of_size(node_, list, nodes);
    if (!numbers) return std::unexpected(numbers.error());
    const Result<std::vector<std::int64_t>> leaves =
        ints_of_size(node_, fmt::format("nodes_{}leafs", side), nodes);
    if (!leaves) return std::unexpected(leaves.error());
    for (std::size_t index = 0; index < nodes; ++index) {
      const bool leaf = (*leaves)[index] != 0;
      const auto end = static_cast<std::int64_t>(leaf ? ensemble_.leaves.size() : nodes);
      const std::int64_t number = (*numbers)[index];
      if (number < 0 || number >= end) {
        return bad(list, index,
                   fmt::format("{} {} is not in [0, {})", leaf ? "leaf" : "branch", number, end));
      }
      ensemble_.branches[index].*child = {.index = static_cast<std::uint32_t>(number), .leaf = leaf};
    }
    return {};
  }

  Result<void> read_members() {
    const Result<std::vector<double>> values = tensor_floats(node_, "membership_values");
    if (!values) return std::unexpected(values.error());
    std::size_t at = 0;
    for (std::size_t index = 0; index < ensemble_.branches.size(); ++index) {
      Branch& branch = ensemble_.branches[index];
      if (branch.comparison != Comparison::member) continue;
      branch.first_member = static_cast<std::uint32_t>(ensemble_.members.size());
      while (at < values->size() && !std::isnan((*values)[at])) ensemble_.members.push_back((*values)[at++]);
      if (at == values->size()) {
        return bad_node(node_, "membership_values", fmt::format("ends inside the set of branch {}", index),
                        kExportAgain);
      }
      ++at;
      branch.member_count = static_cast<std::uint32_t>(ensemble_.members.size()) - branch.first_member;
    }
    if (at == values->size()) return {};
    return bad("membership_values", at, "belongs to no branch: there are more sets than MEMBER branches");
  }

  Result<void> read_roots() {
    const Result<std::vector<std::int64_t>> roots = ints_attribute(node_, "tree_roots");
    if (!roots) return std::unexpected(roots.error());
    if (roots->empty() || roots->size() > kTreesMax) {
      return bad_node(node_, "tree_roots", fmt::format("{} trees, not 1 to {}", roots->size(), kTreesMax),
                      kExportAgain);
    }
    for (std::size_t index = 0; index < roots->size(); ++index) {
      const std::int64_t root = (*roots)[index];
      if (root < 0 || root >= static_cast<std::int64_t>(ensemble_.branches.size())) {
        return bad("tree_roots", index, fmt::format("{} is not in [0, {})", root, ensemble_.branches.size()));
      }
      ensemble_.roots.push_back({.index = static_cast<std::uint32_t>(root), .leaf = false});
    }
    return {};
  }

  Result<void> read_answer() {
    const Result<std::int64_t> aggregate = whole("aggregate_function", 0, 3, 1);
    if (!aggregate) return std::unexpected(aggregate.error());
    ensemble_.aggregate = static_cast<Aggregate>(*aggregate);
    const Result<std::int64_t> transform = whole("post_transform", 0, 4, 0);
    if (!transform) return std::unexpected(transform.error());
    ensemble_.post_transform = static_cast<PostTransform>(*transform);
    return {};
  }

  const Node& node_;
  Ensemble ensemble_;
};

}  // namespace

Result<Ensemble> read_numbered_nodes(const Node& node) { return NumberedNodes(node).read(); }

}  // namespace tutti::onnx
