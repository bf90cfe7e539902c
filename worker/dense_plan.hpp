// What a dense model's file says, checked: which tensor is used where, and that all of it fits together.
//
// A plan holds no numbers yet. What holds in one: every tensor is of a float type and is used once, a layer
// takes as many inputs as the layer before it gives, biases and input tensors are as long as they must be,
// sizes are within limits.hpp, and the last layer gives what the task asks for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"
#include "worker/dense/layer.hpp"
#include "worker/model.hpp"
#include "worker/safetensors.hpp"

namespace tutti::dense {

/// One layer as the file describes it: checked, its numbers not yet read.
struct LayerPlan {
  const Tensor* weight = nullptr;
  const Tensor* bias = nullptr;  // or null
  std::string weight_name;
  std::string bias_name;
  bool transpose = false;
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  Activation activation = Activation::identity;
  double slope = 0.0;  // of leaky_relu and elu, below 0
};

/// An input tensor, or null.
struct InputPlan {
  const Tensor* tensor = nullptr;
  std::string name;
};

struct Plan {
  bool classification = false;
  InputPlan fill;
  InputPlan mean;
  InputPlan scale;
  std::vector<LayerPlan> layers;
  bool in_double = false;  // any tensor is F64
  OutputKind kind = OutputKind::value;
  bool one_against_rest = false;  // each row of probabilities is divided by its sum
};

/// Reads the metadata key "tutti.layers"; worker/dense.hpp shows its form. The plan points into `tensors`.
/// `where` names the file in errors. Errors: bad_model.
Result<Plan> read_plan(const Safetensors& tensors, std::string_view where);

/// The model of a plan that holds what a Plan promises. The numbers are copied. It is of tier 1 at once; with
/// jit off it uses the portable kernels, which give the same bits, and is of tier 0. `kernels` are used
/// instead of the chosen ones where they are given, by who compares them. Errors: bad_model (numbers that are
/// not finite, a scale of 0), naming the tensor.
Result<std::unique_ptr<Model>> build_model(const Plan& plan, const std::string& where, std::uint32_t rows_max,
                                           const JitSettings& jit, const DenseKernels* kernels = nullptr);

}  // namespace tutti::dense
