// ONNX models that the native executor answers: trees, layers, and what stands before and after them.
//
//   bytes ──read_file()──▶ File ──find_chain()──▶ operators in a row ──▶ Model
//           protobuf         graph                  steps │ core │ steps
//
// What it answers is what the operators' definitions say, in float32; ONNX Runtime's last bits depend on its
// version and its threads.
//
//   core        TreeEnsembleRegressor, TreeEnsembleClassifier (ai.onnx.ml 1 to 4), TreeEnsemble (5): every
//   mode,
//               missing_value_tracks_true, every aggregate and post_transform; trees are summed in float in
//               the order of the file, then averaged, then base_values are added, then transformed Gemm,
//               MatMul and Add, with Relu, Sigmoid, Tanh, LeakyRelu, Elu, Gelu, Softmax, LogSoftmax
//               LinearRegressor, LinearClassifier
//   before it   Scaler, Imputer, Normalizer (L1, L2), Sub, Add, Mul, Div with constants
//   after it    the same, Sigmoid, Softmax; ZipMap
//   anywhere    Identity, Cast to float, Dropout, Flatten and Reshape that keep [rows][columns]
//
// The answer is the graph's output of scores or probabilities; an output of labels is ignored. A classifier
// whose scores are not probabilities (no transform, and weights below 0) counts as values. LogSoftmax at the
// end is answered as Softmax. Refused: several inputs, graphs that branch and join, other operators,
// subgraphs, data outside of the file, thresholds and sums that need more than float32 (leaf weights, base
// values).
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "shared/error.hpp"
#include "worker/model.hpp"

namespace tutti {

/// Loads source.path. The model has the file's own shape; adapting it to the ensemble is the caller's part.
/// Errors: as read_model_file and parse_onnx.
Result<std::unique_ptr<Model>> load_onnx(const ModelSource& source);

/// The same from a file's bytes, which are not needed afterwards; source.path only names them. Where the file
/// does not say how many features it has, source.features counts.
/// Memory is bounded by a multiple of the number of bytes, and 50 MiB.
/// Errors: bad_model.
Result<std::unique_ptr<Model>> parse_onnx(std::span<const std::byte> bytes, const ModelSource& source);

}  // namespace tutti
