// The places of an XGBoost file that are read, and what must stand there: one table for JSON and UBJSON, and
// for every version's layout. What is not in it is passed over.
#pragma once

#include <cstdint>
#include <string_view>

namespace tutti::xgboost {

enum class Place : std::uint8_t {
  root,
  learner,
  objective,
  objective_name,
  learner_param,
  base_score,
  num_class,
  num_target,
  num_feature,
  booster,
  booster_name,
  inner_booster,
  model,
  linear_weights,
  weight_drop,
  model_param,
  num_trees,
  tree_info,
  trees,
  tree_id,  // from here on: of each tree
  tree_param,
  num_nodes,
  size_leaf_vector,
  left_children,
  right_children,
  split_indices,
  split_conditions,
  default_left,
  split_type,
  categories,
  categories_nodes,
  categories_segments,
  categories_sizes,
  count
};
inline constexpr Place kFirstOfTree = Place::tree_id;

enum class Kind : std::uint8_t { object, objects, integers, numbers, integer, text };

/// A place of the file that is read: what it is called in its parent, and what must stand there.
struct Rule {
  Place parent;
  std::string_view key;
  Place place;
  Kind kind;
};

inline constexpr Rule kRoot{Place::count, "", Place::root, Kind::object};
inline constexpr Rule kRules[] = {
    {Place::root, "learner", Place::learner, Kind::object},
    {Place::learner, "objective", Place::objective, Kind::object},
    {Place::objective, "name", Place::objective_name, Kind::text},
    {Place::learner, "learner_model_param", Place::learner_param, Kind::object},
    {Place::learner_param, "base_score", Place::base_score, Kind::text},
    {Place::learner_param, "num_class", Place::num_class, Kind::text},
    {Place::learner_param, "num_target", Place::num_target, Kind::text},
    {Place::learner_param, "num_feature", Place::num_feature, Kind::text},
    {Place::learner, "gradient_booster", Place::booster, Kind::object},
    {Place::booster, "name", Place::booster_name, Kind::text},
    {Place::booster, "model", Place::model, Kind::object},
    {Place::booster, "gbtree", Place::inner_booster, Kind::object},      // dart, before 3.x
    {Place::booster, "weight_drop", Place::weight_drop, Kind::numbers},  // dart, before 3.x
    {Place::inner_booster, "model", Place::model, Kind::object},
    {Place::model, "weight_drop", Place::weight_drop, Kind::numbers},  // dart, 3.x
    {Place::model, "weights", Place::linear_weights, Kind::numbers},   // gblinear
    {Place::model, "gbtree_model_param", Place::model_param, Kind::object},
    {Place::model_param, "num_trees", Place::num_trees, Kind::text},
    {Place::model, "tree_info", Place::tree_info, Kind::integers},
    {Place::model, "trees", Place::trees, Kind::objects},
    {Place::trees, "id", Place::tree_id, Kind::integer},
    {Place::trees, "tree_param", Place::tree_param, Kind::object},
    {Place::tree_param, "num_nodes", Place::num_nodes, Kind::text},
    {Place::tree_param, "size_leaf_vector", Place::size_leaf_vector, Kind::text},
    {Place::trees, "left_children", Place::left_children, Kind::integers},
    {Place::trees, "right_children", Place::right_children, Kind::integers},
    {Place::trees, "split_indices", Place::split_indices, Kind::integers},
    {Place::trees, "split_conditions", Place::split_conditions, Kind::numbers},
    {Place::trees, "default_left", Place::default_left, Kind::integers},
    {Place::trees, "split_type", Place::split_type, Kind::integers},
    {Place::trees, "categories", Place::categories, Kind::integers},
    {Place::trees, "categories_nodes", Place::categories_nodes, Kind::integers},
    {Place::trees, "categories_segments", Place::categories_segments, Kind::integers},
    {Place::trees, "categories_sizes", Place::categories_sizes, Kind::integers},
};

constexpr std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::object:
      return "an object";
    case Kind::objects:
      return "an array of objects";
    case Kind::integers:
      return "an array of whole numbers";
    case Kind::numbers:
      return "an array of numbers";
    case Kind::integer:
      return "a whole number";
    case Kind::text:
      return "a text";
  }
  return "nothing";
}

}  // namespace tutti::xgboost
