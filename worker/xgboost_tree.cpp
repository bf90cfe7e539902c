// One tree of an XGBoost file: from parallel arrays that may say anything to nodes that hold their invariant.
//
// The tree is walked from its root in breadth-first order, each node numbered as it is met. A node that is
// met a second time means a cycle or two parents, and is an error; what is never met (XGBoost leaves pruned
// nodes in its arrays) is not looked at. So the walk ends, and every node of the result lies on exactly one
// path.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "shared/limits.hpp"
#include "worker/text.hpp"
#include "worker/xgboost_reader.hpp"

namespace tutti {
namespace {

constexpr std::string_view kSaveAgain =
    "the file is damaged or was edited; save the model again with XGBoost";
constexpr std::int64_t kNoChild = -1;
constexpr std::int64_t kCategoriesEnd = 1 << 24;

class TreeBuilder {
 public:
  TreeBuilder(const XgboostTree& tree, std::string_view where, Forest& forest, FeatureSeen& feature_seen)
      : tree_(tree), where_(where), forest_(forest), feature_seen_(feature_seen) {}

  Result<void> build() {
    if (Result<void> checked = check_sizes(); !checked) return checked;
    if (Result<void> checked = check_categories(); !checked) return checked;
    const std::size_t root = forest_.nodes.size();
    met_.assign(tree_.left_children.size(), false);
    met_[0] = true;
    order_.push_back(0);
    forest_.nodes.emplace_back();
    for (std::size_t position = 0; position < order_.size(); ++position) {
      if (Result<void> added = add_node(root, position); !added) return added;
    }
    forest_.trees.push_back({.root = static_cast<std::uint32_t>(root)});
    return {};
  }

 private:
  [[nodiscard]] std::unexpected<Error> bad(std::string_view array, std::size_t index, std::string what,
                                           std::string_view hint = kSaveAgain) const {
    return std::unexpected(Error{.code = Errc::bad_model,
                                 .what = std::move(what),
                                 .where = fmt::format("{}.{}[{}]", where_, array, index),
                                 .hint = std::string(hint)});
  }
  [[nodiscard]] std::unexpected<Error> bad(std::string_view place, std::string what,
                                           std::string_view hint = kSaveAgain) const {
    return std::unexpected(Error{.code = Errc::bad_model,
                                 .what = std::move(what),
                                 .where = fmt::format("{}.{}", where_, place),
                                 .hint = std::string(hint)});
  }

  Result<void> check_sizes() {
    const std::optional<std::string>& vector_size = tree_.size_leaf_vector;
    if (vector_size && *vector_size != "0" && *vector_size != "1") {
      return bad("tree_param.size_leaf_vector",
                 fmt::format("is \"{}\": trees with a vector in each leaf are not supported",
                             one_line(*vector_size, 20)),
                 "train with multi_strategy=one_output_per_tree");
    }
    if (!tree_.num_nodes) return bad("tree_param.num_nodes", "is missing");
    const std::optional<std::uint64_t> nodes = parse_count(*tree_.num_nodes);
    if (!nodes || *nodes < 1 || *nodes > kTreeNodesMax) {
      return bad("tree_param.num_nodes", fmt::format("is \"{}\", not a whole number in [1, {}]",
                                                     one_line(*tree_.num_nodes, 20), kTreeNodesMax));
    }
    const std::pair<std::string_view, std::size_t> arrays[] = {
        {"left_children", tree_.left_children.size()},
        {"right_children", tree_.right_children.size()},
        {"split_indices", tree_.split_indices.size()},
        {"split_conditions", tree_.split_conditions.size()},
        {"default_left", tree_.default_left.size()},
        {"split_type", tree_.split_type.empty() ? *nodes : tree_.split_type.size()},
    };
    for (const auto& [array, size] : arrays) {
      if (size != *nodes) {
        return bad(array, fmt::format("has {} elements, but tree_param.num_nodes is {}", size, *nodes));
      }
    }
    if (forest_.trees.size() >= kTreesMax || forest_.nodes.size() + *nodes > kModelNodesMax) {
      return bad("tree_param.num_nodes",
                 fmt::format("goes beyond {} trees or {} nodes in all", kTreesMax, kModelNodesMax),
                 "train fewer or smaller trees");
    }
    return {};
  }

  /// The four arrays of categories agree, and each node's segment lies inside `categories`.
  Result<void> check_categories() {
    const std::size_t splits = tree_.categories_nodes.size();
    if (tree_.categories_segments.size() != splits || tree_.categories_sizes.size() != splits) {
      return bad("categories_segments",
                 fmt::format("has {} elements, categories_sizes {} and categories_nodes {}",
                             tree_.categories_segments.size(), tree_.categories_sizes.size(), splits));
    }
    const auto end = static_cast<std::int64_t>(tree_.categories.size());
    std::int64_t used = 0;
    for (std::size_t split = 0; split < splits; ++split) {
      if (split > 0 && tree_.categories_nodes[split] <= tree_.categories_nodes[split - 1]) {
        return bad("categories_nodes", split, "node numbers do not rise");
      }
      const std::int64_t first = tree_.categories_segments[split];
      const std::int64_t count = tree_.categories_sizes[split];
      // Segments that follow one another: none can be used twice, so memory stays bounded by the file.
      if (first != used || count < 0 || count > end - first) {
        return bad(
            "categories_segments", split,
            fmt::format("{} elements from {} on do not follow the {} of the nodes before, or pass the end "
                        "of categories ({})",
                        count, first, used, end));
      }
      used += count;
    }
    for (std::size_t index = 0; index < tree_.categories.size(); ++index) {
      const std::int64_t category = tree_.categories[index];
      if (category < 0 || category >= kCategoriesEnd) {
        return bad("categories", index, fmt::format("{} is not in [0, {})", category, kCategoriesEnd));
      }
    }
    return {};
  }

  /// Fills the node at `position` of the breadth-first order and makes room for its children.
  Result<void> add_node(std::size_t root, std::size_t position) {
    const std::uint32_t raw = order_[position];
    const std::int64_t left = tree_.left_children[raw];
    const std::int64_t right = tree_.right_children[raw];
    TreeNode node;
    if (left == kNoChild && right == kNoChild) {
      node.value = tree_.split_conditions[raw];
      node.left = static_cast<std::uint32_t>(root + position);
      if (!std::isfinite(node.value)) {
        return bad("split_conditions", raw, fmt::format("a leaf's value is {}", node.value));
      }
    } else {
      if (Result<void> met = meet("left_children", left, raw); !met) return met;
      if (Result<void> met = meet("right_children", right, raw); !met) return met;
      node.left = static_cast<std::uint32_t>(root + order_.size() - 2);
      if (Result<void> split = read_split(raw, node); !split) return split;
      forest_.nodes.resize(forest_.nodes.size() + 2);
    }
    forest_.nodes[root + position] = node;
    return {};
  }

  /// Takes `child` of node `raw` into the order.
  Result<void> meet(std::string_view array, std::int64_t child, std::uint32_t raw) {
    const auto nodes = static_cast<std::int64_t>(met_.size());
    if (child <= 0 || child >= nodes) {
      return bad(array, raw, fmt::format("{} is not a child's number: not in [1, {})", child, nodes));
    }
    const auto index = static_cast<std::uint32_t>(child);
    if (met_[index]) {
      return bad(array, raw,
                 fmt::format("node {} is reached a second time: a cycle, or a node of two parents", child));
    }
    met_[index] = true;
    order_.push_back(index);
    return {};
  }

  Result<void> read_split(std::uint32_t raw, TreeNode& node) {
    const std::int64_t feature = tree_.split_indices[raw];
    if (feature < 0 || feature >= kFeaturesMax) {
      return bad("split_indices", raw, fmt::format("feature {} is not in [0, {})", feature, kFeaturesMax));
    }
    node.bits = static_cast<std::uint32_t>(feature) | TreeNode::kInner;
    if (feature_seen_.where.empty() || node_feature(node) > feature_seen_.feature) {
      feature_seen_ = {.feature = node_feature(node),
                       .where = fmt::format("{}.split_indices[{}]", where_, raw)};
    }
    const std::int64_t default_left = tree_.default_left[raw];
    if (default_left != 0 && default_left != 1) {
      return bad("default_left", raw, fmt::format("is {}, not 0 or 1", default_left));
    }
    if (default_left == 0) node.bits |= TreeNode::kMissingRight;

    const std::int64_t type = tree_.split_type.empty() ? 0 : tree_.split_type[raw];
    if (type == 1) return read_category_split(raw, node);
    if (type != 0) return bad("split_type", raw, fmt::format("is {}, not 0 or 1", type));
    node.value = tree_.split_conditions[raw];
    if (!std::isfinite(node.value)) {
      return bad("split_conditions", raw, fmt::format("a threshold is {}", node.value));
    }
    return {};
  }

  Result<void> read_category_split(std::uint32_t raw, TreeNode& node) {
    const auto found = std::ranges::lower_bound(tree_.categories_nodes, std::int64_t{raw});
    if (found == tree_.categories_nodes.end() || *found != std::int64_t{raw}) {
      return bad("split_type", raw, "a categorical split without categories");
    }
    const auto split = static_cast<std::size_t>(found - tree_.categories_nodes.begin());
    const auto first = static_cast<std::size_t>(tree_.categories_segments[split]);
    const auto count = static_cast<std::size_t>(tree_.categories_sizes[split]);
    const std::size_t begin = forest_.categories.size();
    if (begin + count > kModelNodesMax) {
      return bad("categories_sizes", split, fmt::format("more than {} categories in all", kModelNodesMax),
                 "train fewer trees");
    }
    for (std::size_t index = first; index < first + count; ++index) {
      forest_.categories.push_back(static_cast<std::uint32_t>(tree_.categories[index]));
    }
    std::ranges::sort(forest_.categories.begin() + static_cast<std::ptrdiff_t>(begin),
                      forest_.categories.end());
    split_by_category(forest_, node, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(count));
    return {};
  }

  static std::uint32_t node_feature(const TreeNode& node) noexcept {
    return node.bits & TreeNode::kFeatureMask;
  }

  const XgboostTree& tree_;
  std::string_view where_;
  Forest& forest_;
  FeatureSeen& feature_seen_;
  std::vector<bool> met_;             // by the file's node number
  std::vector<std::uint32_t> order_;  // the file's node numbers, breadth first
};

}  // namespace

void XgboostTree::clear() {
  num_nodes.reset();
  size_leaf_vector.reset();
  id.reset();
  for (auto* array : {&left_children, &right_children, &split_indices, &default_left, &split_type,
                      &categories, &categories_nodes, &categories_segments, &categories_sizes}) {
    array->clear();
  }
  split_conditions.clear();
}

std::optional<std::uint64_t> parse_count(std::string_view text) noexcept {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Result<void> append_tree(const XgboostTree& tree, std::string_view where, Forest& forest,
                         FeatureSeen& feature_seen) {
  return TreeBuilder(tree, where, forest, feature_seen).build();
}

}  // namespace tutti
