// A model with steps before and after it.
#pragma once

#include <memory>
#include <vector>

#include "worker/model.hpp"
#include "worker/onnx/steps.hpp"

namespace tutti::onnx {

/// Answers with `core`, whose rows are prepared by `before` and whose answers are finished by `after`, in
/// place. The same model where there is nothing to do and it is of that kind already.
std::unique_ptr<Model> with_steps(std::unique_ptr<Model> core, std::vector<Step> before,
                                  std::vector<Step> after, OutputKind kind, std::uint32_t rows_max);

}  // namespace tutti::onnx
