// Makes a model of a file: its chain's operators, understood one after the other.
#pragma once

#include <memory>

#include "worker/model.hpp"
#include "worker/onnx/file.hpp"

namespace tutti::onnx {

/// The model of a file, in the file's own shape. Errors: bad_model, naming the node.
Result<std::unique_ptr<Model>> assemble(const File& file, const ModelSource& source);

}  // namespace tutti::onnx
