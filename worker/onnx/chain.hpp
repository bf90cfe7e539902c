// The way through a graph from its input to the answer: operators one after the other.
//
//   input ──▶ Scaler ──▶ Cast ──▶ TreeEnsembleClassifier ──▶ scores ──▶ ZipMap ──▶ output "probabilities" the
//   chain
//                                            └──────────────▶ label ──▶ Cast ────▶ output "label" ignored
//
// Found from the output back: each operator on the way has one computed input, all others are constants. An
// output that names the winning class only is no answer for an ensemble, which votes with probabilities.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "shared/error.hpp"
#include "worker/onnx/file.hpp"

namespace tutti::onnx {

struct Chain {
  const ValueInfo* input = nullptr;
  std::vector<const Node*> nodes;  // from the input to the answer
};

/// Errors: bad_model, naming the node or the output that is in the way.
Result<Chain> find_chain(const File& file);

/// The input of a node of the chain that is computed; its others are constants.
std::size_t computed_input(const File& file, const Node& node);

}  // namespace tutti::onnx
