// LightGBM models, as the text of Booster.save_model(), versions v3 and v4 (LightGBM 2.3 to 4.x).
//
//   tree            ─┐
//   version=v4       ├ header ──▶ groups, features, objective ──▶ WideLink
//   …               ─┘
//   Tree=0 … Tree=n ── trees ──▶ Forest (wide), and second columns where zeros are missing
//   end of trees    ── what follows is not read
//
// The answer is what Booster.predict() and the C API give with all trees, rounded to float32: their sum and
// their transforms in double, operation for operation.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "shared/error.hpp"
#include "worker/lightgbm_tree.hpp"
#include "worker/model.hpp"
#include "worker/trees.hpp"

namespace tutti {

/// True for what such a file starts with: a line "tree".
bool looks_like_lightgbm(std::span<const std::byte> head) noexcept;

/// What a file says. The forest's features are the model's, then the second columns of `zeros`.
struct LightgbmFile {
  Forest forest;
  ZeroIsMissing zeros;
};

/// Reads the bytes of a file; `name` is what errors call it. Memory and time are bounded by their number.
/// Errors: bad_model, with the number of the line.
Result<LightgbmFile> read_lightgbm(std::span<const std::byte> bytes, std::string_view name);

/// A model of them, not adapted to any ensemble. Errors: the same.
Result<std::unique_ptr<Model>> parse_lightgbm(std::span<const std::byte> bytes, std::string_view name,
                                              const JitSettings& jit = {});

/// Reads source.path. Errors: as read_model_file and parse_lightgbm.
Result<std::unique_ptr<Model>> load_lightgbm(const ModelSource& source);

}  // namespace tutti
