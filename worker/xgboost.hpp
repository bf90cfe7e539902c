// XGBoost models, as JSON or UBJSON, of 1.0 to 3.x.
//
//   bytes ──read_xgboost()──▶ XgboostFile ──check, base margins, link──▶ Model
//           one SAX handler     trees already in the Forest's layout
//
// Bit for bit what Booster.predict() and the C API answer with all trees. (The scikit-learn wrapper of Python
// stops at best_iteration when training stopped early; slice the booster before saving it to get the same
// here.) Boosters: gbtree, dart, gblinear. Not: trees with a vector in each leaf (multi_output_tree).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "shared/error.hpp"
#include "worker/model.hpp"

namespace tutti {

/// True for what the file of an XGBoost model may start with: "{" and then either encoding.
bool looks_like_json(std::span<const std::byte> head) noexcept;
bool looks_like_ubjson(std::span<const std::byte> head) noexcept;

/// A model from the bytes of a file; `name` is what errors call it. Not adapted to any ensemble.
/// Memory and time are bounded by the number of bytes.
/// Errors: bad_model.
Result<std::unique_ptr<Model>> parse_xgboost(std::span<const std::byte> bytes, std::string_view name,
                                             const JitSettings& jit = {});

/// Reads source.path. Errors: as read_model_file and parse_xgboost.
Result<std::unique_ptr<Model>> load_xgboost(const ModelSource& source);

}  // namespace tutti
