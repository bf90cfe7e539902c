#include "worker/onnx/layers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "shared/limits.hpp"
#include "worker/onnx/chain.hpp"
#include "worker/onnx/lists.hpp"
#include "worker/text.hpp"

namespace tutti::onnx {
namespace {

using dense::Activation;

struct ActivationName {
  std::string_view op;
  Activation activation;
  float slope;  // where the attribute alpha is absent
};
constexpr std::array<ActivationName, 8> kActivations{{
    {"Relu", Activation::relu, 0.0F},
    {"Sigmoid", Activation::sigmoid, 0.0F},
    {"Tanh", Activation::tanh, 0.0F},
    {"LeakyRelu", Activation::leaky_relu, 0.01F},
    {"Elu", Activation::elu, 1.0F},
    {"Gelu", Activation::gelu, 0.0F},
    {"Softmax", Activation::softmax, 0.0F},
    // An ensemble votes with probabilities, not with their logarithms.
    {"LogSoftmax", Activation::softmax, 0.0F},
}};

const ActivationName* find_activation(const Node& node) noexcept {
  const auto* const found = std::ranges::find(kActivations, node.op, &ActivationName::op);
  return node.domain.empty() && found != kActivations.end() ? found : nullptr;
}

/// The attributes that an activation may have: alpha, an axis, an approximation.
Result<std::pair<Activation, float>> read_activation(const Node& node) {
  const ActivationName& known = *find_activation(node);
  Activation activation = known.activation;
  float slope = known.slope;
  if (activation == Activation::leaky_relu || activation == Activation::elu) {
    const Result<std::optional<float>> alpha = float_attribute(node, "alpha");
    if (!alpha) return std::unexpected(alpha.error());
    slope = alpha->value_or(known.slope);
    if (!std::isfinite(slope)) return bad_node(node, "alpha", fmt::format("is {}", slope), kExportAgain);
  }
  if (activation == Activation::softmax) {
    const Result<std::optional<std::int64_t>> axis = int_attribute(node, "axis");
    if (!axis) return std::unexpected(axis.error());
    if (axis->value_or(1) != 1 && axis->value_or(1) != -1) {
      return bad_node(node, "axis", fmt::format("{} is not the last of [rows][columns]", **axis),
                      "use axis 1 or -1");
    }
  }
  if (activation == Activation::gelu) {
    const Result<std::optional<std::string_view>> approximate = text_attribute(node, "approximate");
    if (!approximate) return std::unexpected(approximate.error());
    if (approximate->value_or("none") == "tanh") activation = Activation::gelu_tanh;
  }
  return std::pair(activation, slope);
}

}  // namespace

bool is_layer_operator(const Node& node) noexcept {
  if (node.domain == "ai.onnx.ml") return node.op == "LinearRegressor" || node.op == "LinearClassifier";
  return node.domain.empty() && (node.op == "Gemm" || node.op == "MatMul");
}

bool is_activation(const Node& node) noexcept { return find_activation(node) != nullptr; }

Result<std::vector<double>> numbers_by_column(const Node& node, const TensorProto& tensor,
                                              std::uint32_t columns) {
  const bool one = tensor.count == 1;
  const bool each = tensor.count == columns && !tensor.shape.empty() && tensor.shape.back() == columns;
  if (!one && !each) {
    return bad_node(
        node, one_line(tensor.name, kNameMax),
        fmt::format("a constant of shape [{}] beside {} columns", comma_list(tensor.shape), columns),
        "one number for all columns or one for each is read");
  }
  Result<std::vector<double>> numbers = floats_of(tensor);
  if (numbers && one) numbers->resize(columns, numbers->front());
  return numbers;
}

/// The constant that is a node's input of that number, to be used once: one tensor in many layers would make
/// a small file a large model.
Result<const TensorProto*> Layers::constant(const Node& node, std::size_t input) {
  const auto found =
      input < node.inputs.size() ? file_.constants.find(node.inputs[input]) : file_.constants.end();
  if (found == file_.constants.end()) {
    return bad_node(node, fmt::format("input {}", input), "is not a constant",
                    "export the model with its weights");
  }
  if (!used_.insert(&found->second).second) {
    return bad_node(node, one_line(found->first, kNameMax), "is used twice", "export a copy for each use");
  }
  return &found->second;
}

const Tensor* Layers::keep(const std::vector<double>& numbers, std::vector<std::uint64_t> shape,
                           bool in_double) {
  Owned& owned = owned_.emplace_back();
  owned.bytes.resize(numbers.size() * (in_double ? sizeof(double) : sizeof(float)));
  if (in_double) {
    std::memcpy(owned.bytes.data(), numbers.data(), owned.bytes.size());
  } else {
    const std::vector<float> narrow(numbers.begin(), numbers.end());
    std::memcpy(owned.bytes.data(), narrow.data(), owned.bytes.size());
  }
  plan_.in_double = plan_.in_double || in_double;
  owned.tensor = {.dtype = in_double ? "F64" : "F32",
                  .shape = std::move(shape),
                  .count = numbers.size(),
                  .bytes = owned.bytes};
  return &owned.tensor;
}

Result<void> Layers::push(const Node& node, dense::LayerPlan layer) {
  if (plan_.layers.size() == kLayersMax) {
    return bad_node(node, "", fmt::format("more than {} layers", kLayersMax), "use a smaller network");
  }
  plan_.layers.push_back(std::move(layer));
  return {};
}

Result<void> Layers::add(const Node& node, std::uint32_t inputs) {
  if (node.domain == "ai.onnx.ml") return add_linear(node, inputs);
  return add_product(node, inputs);
}

Result<void> Layers::add_product(const Node& node, std::uint32_t inputs) {
  if (computed_input(file_, node) != 0) {
    return bad_node(node, "input 0", "is a constant",
                    "only rows times weights are read, not weights times rows");
  }
  const bool gemm = node.op == "Gemm";
  std::int64_t transpose_rows = 0;
  std::int64_t transpose_weights = 0;
  for (const auto& [name, target] :
       {std::pair("transA", &transpose_rows), std::pair("transB", &transpose_weights)}) {
    const Result<std::optional<std::int64_t>> number = int_attribute(node, name);
    if (!number) return std::unexpected(number.error());
    *target = number->value_or(0);
  }
  if (transpose_rows != 0) return bad_node(node, "transA", "is not 0", "rows cannot be columns");
  float factors[2] = {1.0F, 1.0F};
  for (std::size_t index = 0; index < 2; ++index) {
    const Result<std::optional<float>> factor = float_attribute(node, index == 0 ? "alpha" : "beta");
    if (!factor) return std::unexpected(factor.error());
    factors[index] = factor->value_or(1.0F);
  }

  const Result<const TensorProto*> tensor = constant(node, 1);
  if (!tensor) return std::unexpected(tensor.error());
  const std::vector<std::uint64_t>& shape = (*tensor)->shape;
  const bool transposed = transpose_weights != 0;  // ONNX: [inputs][outputs], unless transposed
  if (shape.size() != 2 || shape[transposed ? 1 : 0] != inputs || shape[transposed ? 0 : 1] < 1 ||
      shape[transposed ? 0 : 1] > kFeaturesMax) {
    return bad_node(node, one_line((*tensor)->name, kNameMax),
                    fmt::format("weights of shape [{}] for {} inputs", comma_list(shape), inputs),
                    kExportAgain);
  }
  Result<std::vector<double>> numbers = floats_of(**tensor);
  if (!numbers) return std::unexpected(std::move(numbers.error()));
  for (double& number : *numbers) number *= static_cast<double>(factors[0]);
  dense::LayerPlan layer;
  layer.weight = keep(*numbers, shape, (*tensor)->type == Type::f64);
  layer.weight_name = (*tensor)->name;
  layer.transpose = !transposed;
  layer.inputs = inputs;
  layer.outputs = static_cast<std::uint32_t>(shape[transposed ? 0 : 1]);
  if (Result<void> pushed = push(node, std::move(layer)); !pushed) return pushed;
  if (!gemm || node.inputs.size() < 3 || node.inputs[2].empty()) return {};
  return add_constant_bias(node, static_cast<double>(factors[1]));
}

Result<void> Layers::add_constant_bias(const Node& node, double factor) {
  const Result<const TensorProto*> tensor = constant(node, 2);
  if (!tensor) return std::unexpected(tensor.error());
  Result<std::vector<double>> numbers = numbers_by_column(node, **tensor, outputs());
  if (!numbers) return std::unexpected(std::move(numbers.error()));
  for (double& number : *numbers) number *= factor;
  const Result<bool> added = add_bias((*tensor)->name, *numbers, (*tensor)->type == Type::f64);
  if (!added) return std::unexpected(added.error());
  return {};
}

Result<bool> Layers::add_bias(std::string_view name, const std::vector<double>& numbers, bool in_double) {
  dense::LayerPlan& layer = plan_.layers.back();
  if (layer.bias != nullptr || layer.activation != Activation::identity) return false;
  layer.bias = keep(numbers, {numbers.size()}, in_double);
  layer.bias_name = name;
  return true;
}

/// Y = coefficients x + intercepts, then a transform: [targets][features], or [classes][features].
Result<void> Layers::add_linear(const Node& node, std::uint32_t inputs) {
  const bool classifier = node.op == "LinearClassifier";
  const Result<std::vector<float>> coefficients = floats_attribute(node, "coefficients");
  if (!coefficients) return std::unexpected(coefficients.error());
  const Result<std::vector<float>> intercepts = floats_attribute(node, "intercepts");
  if (!intercepts) return std::unexpected(intercepts.error());
  const std::size_t outputs = coefficients->size() / inputs;
  if (outputs < 1 || outputs > kOutputsMax || outputs * inputs != coefficients->size()) {
    return bad_node(node, "coefficients",
                    fmt::format("{} numbers for {} features", coefficients->size(), inputs), kExportAgain);
  }
  if (!intercepts->empty() && intercepts->size() != outputs) {
    return bad_node(node, "intercepts", fmt::format("{} numbers for {} outputs", intercepts->size(), outputs),
                    kExportAgain);
  }
  dense::LayerPlan layer;
  layer.weight = keep({coefficients->begin(), coefficients->end()}, {outputs, inputs}, false);
  layer.weight_name = "coefficients";
  layer.inputs = inputs;
  layer.outputs = static_cast<std::uint32_t>(outputs);
  if (!intercepts->empty()) {
    layer.bias = keep({intercepts->begin(), intercepts->end()}, {outputs}, false);
    layer.bias_name = "intercepts";
  }
  const Result<std::optional<std::string_view>> text = text_attribute(node, "post_transform");
  if (!text) return std::unexpected(text.error());
  const std::string_view transform = text->value_or("NONE");
  if (transform == "LOGISTIC") {
    layer.activation = Activation::sigmoid;
  } else if (transform == "SOFTMAX") {
    layer.activation = Activation::softmax;
  } else if (transform != "NONE") {
    return bad_node(node, "post_transform",
                    fmt::format("\"{}\" is not known here", one_line(transform, kNameMax)),
                    "known are NONE, LOGISTIC and SOFTMAX");
  }
  if (classifier && outputs == 1 && layer.activation != Activation::sigmoid) {
    return bad_node(node, "coefficients", "are of one class, without LOGISTIC",
                    "libraries disagree about its answer; export the model with LOGISTIC");
  }
  return push(node, std::move(layer));
}

Result<bool> Layers::activate(const Node& node) {
  const Result<std::pair<Activation, float>> read = read_activation(node);
  if (!read) return std::unexpected(read.error());
  dense::LayerPlan& layer = plan_.layers.back();
  if (layer.activation != Activation::identity) return false;
  layer.activation = read->first;
  layer.slope = static_cast<double>(read->second);
  return true;
}

OutputKind Layers::kind() const noexcept {
  const dense::LayerPlan& last = plan_.layers.back();
  if (last.activation == Activation::softmax && last.outputs > 1) return OutputKind::probabilities;
  if (last.activation != Activation::sigmoid) return OutputKind::value;
  return last.outputs == 1 ? OutputKind::probability : OutputKind::probabilities;
}

Result<std::unique_ptr<Model>> Layers::build(OutputKind kind, const std::string& where,
                                             std::uint32_t rows_max, const JitSettings& jit) {
  plan_.kind = kind;
  return dense::build_model(plan_, where, rows_max, jit);
}

}  // namespace tutti::onnx
