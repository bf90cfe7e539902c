// From an Ensemble of ONNX to the forest that the interpreter and the kernels of tier 1 answer from.
//
//   branch ──intervals──▶ one or more comparisons x < bound
//   leaf with weights of several targets ──▶ one tree for each target that occurs in the tree
//   aggregate, base_values, post_transform ──▶ steps after the sums
//
// A branch of more than two intervals has children that stand in several places. Only their top node is
// copied: what is below it is shared, so the forest stays a small multiple of the file. Where that would
// unfold into far more nodes than there are, the forest says so and stays in tier 0.
#pragma once

#include <vector>

#include "worker/model.hpp"
#include "worker/onnx/ensemble.hpp"
#include "worker/onnx/steps.hpp"
#include "worker/trees.hpp"

namespace tutti::onnx {

struct TreeCore {
  Forest forest;            // `features` is left to the caller
  std::vector<Step> steps;  // from the forest's margins to the answer, in place
  OutputKind kind = OutputKind::value;
};

/// Builds the forest of node `node`, which `ensemble` was read from.
/// Errors: bad_model (many more nodes than the file has, a transform that is not defined for these columns).
Result<TreeCore> build_forest(const Ensemble& ensemble, const Node& node);

/// One more than the largest feature that a branch looks at.
std::uint32_t features_seen(const Ensemble& ensemble) noexcept;

}  // namespace tutti::onnx
