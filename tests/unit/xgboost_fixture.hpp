// XGBoost files for tests: those of tests/data/xgboost, and a small one to break.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/model_fixture.hpp"
#include "tests/unit/npy_fixture.hpp"
#include "worker/xgboost.hpp"

namespace tutti::fixture {

inline std::string xgboost_path(const std::string& name) {
  return std::string(TUTTI_TEST_DATA) + "/xgboost/" + name;
}

/// Loads a file of tests/data/xgboost, not adapted to any ensemble.
inline Result<std::unique_ptr<Model>> load(const std::string& name) {
  ModelSource source;
  source.path = xgboost_path(name);
  return load_xgboost(source);
}

/// Parses a model whose errors call it "boosted.json".
inline Result<std::unique_ptr<Model>> parse(std::string_view bytes) {
  return parse_xgboost(std::as_bytes(std::span(bytes)), "boosted.json");
}

/// Two features, two trees: a root with two leaves, and a root, an inner node, three leaves.
inline nlohmann::json small_model() {
  return nlohmann::json::parse(R"({
    "learner": {
      "attributes": {},
      "gradient_booster": {
        "model": {
          "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "2"},
          "tree_info": [0, 0],
          "trees": [
            {"id": 0, "tree_param": {"num_nodes": "3", "size_leaf_vector": "0"},
             "left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
             "split_conditions": [0.5, -1.25, 2.5], "default_left": [1, 0, 0], "split_type": [0, 0, 0],
             "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": []},
            {"id": 1, "tree_param": {"num_nodes": "5", "size_leaf_vector": "0"},
             "left_children": [1, -1, 3, -1, -1], "right_children": [2, -1, 4, -1, -1],
             "split_indices": [1, 0, 0, 0, 0], "split_conditions": [0.25, 0.125, 0.75, 1.5, -3.5],
             "default_left": [0, 0, 1, 0, 0], "split_type": [0, 0, 0, 0, 0],
             "categories": [], "categories_nodes": [], "categories_segments": [], "categories_sizes": []}
          ]
        },
        "name": "gbtree"
      },
      "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2", "num_target": "1"},
      "objective": {"name": "reg:squarederror"}
    },
    "version": [1, 7, 4]
  })");
}

}  // namespace tutti::fixture
