// Models of scikit-learn's trees, as the JSON that examples/export_sklearn.py writes. No pickle is opened.
//
//   {"format": "tutti-scikit-learn", "version": 1,     the first two keys, in this order: they name the kind
//    "features": 6,                                    numbers of a row
//    "columns": [{"from": 4, "steps": [["subtract", 0.5], ["divide", 2.0]]}, …],
//    "kind": "value" | "probabilities",
//    "base": [0.0],                                    where each group's sum begins
//    "link": {"function": …, "divisor": 9.0, "scale": 1.0},
//    "trees": [{"group": 0, "left": […], "right": […], "feature": […], "threshold": […], "value": […],
//               "missing_left": […], "categories": [{"node": 3, "left": [1, 4]}, …]}, …]}
//
//   columns     what trees look at; without them, the row itself. A step is one of preprocess.hpp's, in
//   double
//               and rounded to float32; null as a number stands for NaN.
//   link        function: identity, exponential, logistic, softmax, two_classes, negative_power
//               (wide_link.hpp); each key may be left out
//   left, right children by number, -1 for both in a leaf; node 0 is the root
//   threshold   x <= threshold goes left, in double; "infinity" sends every number there
//   value       [nodes][n]: a leaf adds n numbers, to the groups from `group` on
//   missing_left  1 where NaN goes left; without it NaN goes right
//   categories  nodes that look for a whole number: those listed under "left" (or "right") go there, all
//               others and NaN to the other side
//
// Scalers and imputers cost nothing when the model answers: they only rise, and are folded into thresholds.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "shared/error.hpp"
#include "worker/model.hpp"
#include "worker/preprocess.hpp"
#include "worker/trees.hpp"

namespace tutti {

/// True for what such a file starts with.
bool looks_like_scikit(std::span<const std::byte> head) noexcept;

/// What a file says. Without columns the forest's features are the row's.
struct ScikitFile {
  Forest forest;
  Preprocess preprocess;
};

/// Reads the bytes of a file; `name` is what errors call it. Memory and time are bounded by their number.
/// Errors: bad_model, with the place: "model.json: trees[3].left[7]".
Result<ScikitFile> read_scikit(std::span<const std::byte> bytes, std::string_view name);

/// A model of them, not adapted to any ensemble. Errors: the same.
Result<std::unique_ptr<Model>> parse_scikit(std::span<const std::byte> bytes, std::string_view name,
                                            const JitSettings& jit = {});

/// Reads source.path. Errors: as read_model_file and parse_scikit.
Result<std::unique_ptr<Model>> load_scikit(const ModelSource& source);

}  // namespace tutti
