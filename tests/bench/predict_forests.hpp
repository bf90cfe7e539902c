// The forests that predict_bench asks: trained by XGBoost on made-up rows, kept as files so that a second run
// need not train them again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "predict_xgboost.hpp"
#include "shared/error.hpp"
#include "worker/trees.hpp"

namespace tutti::bench {

inline constexpr std::uint32_t kForestFeatures = 50;

/// What is promised for one batch size: at least so many times as fast as the base.
struct ForestGoal {
  std::uint32_t batch;
  double ratio;
};

struct ForestKind {
  const char* name;
  const char* title;
  const char* depth;
  bool random_forest;             // else boosted
  std::vector<ForestGoal> goals;  // against XGBoost; against tier 0 for a random forest
};

/// All of them, in order.
const std::vector<ForestKind>& forest_kinds();

struct TrainedForest {
  Forest forest;
  XgboostModel peer;
};

/// Reads DIRECTORY/NAME.json, or trains the forest and writes that file.
Result<TrainedForest> trained_forest(const ForestKind& kind, const std::string& directory,
                                     const XgboostLibrary& library);

/// Rows of normally distributed numbers, [count][kForestFeatures].
std::vector<float> normal_rows(std::uint32_t count, std::uint32_t seed);

}  // namespace tutti::bench
