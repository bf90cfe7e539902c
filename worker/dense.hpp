// Dense models: layers of weights, from one logistic regression to a multilayer perceptron.
//
//   x ──fill──▶ ──(x - mean) / scale──▶ [ y = activation(W x + b) ] × layers ──▶ value, probability,
//   probabilities
//
// The file is safetensors. Its metadata key "tutti.layers" is a JSON text that says in which order its
// tensors are used; examples/dense_export.py writes such files from scikit-learn:
//
//   {"version": 1, "task": "classification",
//    "input": {"fill": "imputer", "mean": "scaler.mean", "scale": "scaler.scale"},
//    "layers": [{"weight": "fc1.weight", "bias": "fc1.bias", "activation": "relu"},
//               {"weight": "fc2.weight", "bias": "fc2.bias", "activation": "softmax"}]}
//
//   weight      [outputs][inputs], as torch.nn.Linear stores it; with "transpose": true [inputs][outputs], as
//               scikit-learn's MLP and Keras do
//   bias        [outputs]; optional
//   activation  identity (when absent), relu, tanh, sigmoid, softmax, gelu (the erf form), gelu_tanh
//   input       optional, as is each of its keys, all [features]
//
// The last layer says what the answer means:
//   classification  softmax, 2 outputs or more: probabilities.  sigmoid, 1 output: the second class's
//   probability.
//                   sigmoid, 2 outputs or more: one against the rest, each row divided by its sum.
//   regression      1 output, any activation but softmax: the value.
//
// Tensors are F32, F64, F16 or BF16. Arithmetic is in double when any of them is F64, else in float.
// A row's answer has the same bits whatever batch it stands in and wherever it stands there, and whatever the
// instruction set: worker/dense/kernels.hpp says in which order numbers are added.
// A missing number (NaN) is replaced by `fill`; without it the request fails and the answer says where it
// stands: weights cannot treat what is missing, and a NaN passed on would only be rejected later with less to
// say.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "shared/error.hpp"
#include "worker/model.hpp"

namespace tutti {

/// Loads source.path. The model has the file's own shape; adapting it to the ensemble is the caller's part.
/// Errors: bad_model, naming the tensor or the place in "tutti.layers".
Result<std::unique_ptr<Model>> load_dense(const ModelSource& source);

/// The same from a file's bytes, which are not needed afterwards; source.path only names them.
/// Memory: at most 32 times the file (a layer of one output takes 64 bytes for each input) and a few MiB of
/// scratch.
Result<std::unique_ptr<Model>> dense_from_bytes(std::span<const std::byte> file, const ModelSource& source);

}  // namespace tutti
