// What an XGBoost file says, read but not yet understood: the numbers and texts that matter, each of the
// right type.
//
// One table (xgboost_reader.cpp) names every place of the file that is read. Everything else is passed over,
// so newer versions may add what they like. A tree is checked and turned into nodes when its object ends
// (xgboost_tree.cpp); only one raw tree is in memory at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"
#include "worker/trees.hpp"

namespace tutti {

/// One tree's arrays as the file has them. Each is as long as the file made it.
struct XgboostTree {
  std::optional<std::string> num_nodes;
  std::optional<std::string> size_leaf_vector;
  std::optional<std::int64_t> id;
  std::vector<std::int64_t> left_children;
  std::vector<std::int64_t> right_children;
  std::vector<std::int64_t> split_indices;
  std::vector<float> split_conditions;
  std::vector<std::int64_t> default_left;
  std::vector<std::int64_t> split_type;  // 1: categorical; absent before 1.3
  std::vector<std::int64_t> categories;
  std::vector<std::int64_t> categories_nodes;
  std::vector<std::int64_t> categories_segments;
  std::vector<std::int64_t> categories_sizes;

  /// Empties it, keeping the memory for the next tree.
  void clear();
};

/// The largest feature that any node asks for, and where.
struct FeatureSeen {
  std::uint32_t feature = 0;
  std::string where;  // empty: no node asks for any
};

struct XgboostFile {
  std::optional<std::string> booster;    // "gbtree", "dart", "gblinear"
  std::optional<std::string> objective;  // "binary:logistic", …
  std::optional<std::string> base_score;
  std::optional<std::string> num_class;
  std::optional<std::string> num_target;
  std::optional<std::string> num_feature;
  std::optional<std::string> num_trees;
  std::vector<std::int64_t> tree_info;  // each tree's group
  std::vector<float> weight_drop;       // dart: each tree's weight
  bool weighted = false;                // weight_drop stands in the file
  std::vector<float> linear_weights;    // gblinear: [features + 1][groups], the last row the bias
  bool linear = false;                  // linear_weights stand in the file
  Forest forest;                        // nodes and trees; groups, margins and link are not filled in yet
  FeatureSeen feature_seen;
};

/// Reads the file's text. Errors: bad_model, with the place inside the file, and the byte of a syntax error.
Result<XgboostFile> read_xgboost(std::span<const std::byte> bytes, std::string_view name);

/// Checks one tree and appends it to the forest, with group 0 and weight 1.
/// `where` is the tree's place ("boosted.json: learner.gradient_booster.model.trees[3]").
/// Errors: bad_model.
Result<void> append_tree(const XgboostTree& tree, std::string_view where, Forest& forest,
                         FeatureSeen& feature_seen);

/// A number that XGBoost wrote as text, wholly: "30", not "30 " or "+30". Empty when it is not one.
std::optional<std::uint64_t> parse_count(std::string_view text) noexcept;

}  // namespace tutti
