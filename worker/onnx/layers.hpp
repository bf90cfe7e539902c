// Dense operators of a chain, gathered into a plan for the dense executor (worker/dense/layer.hpp).
//
//   Gemm, or MatMul and Add ──▶ weights and bias of a layer ──Relu, Tanh, …──▶ its activation
//   LinearRegressor, LinearClassifier ──▶ one layer
//
// The order of additions within a layer is the dense executor's own: ONNX leaves it open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "worker/dense_plan.hpp"
#include "worker/onnx/file.hpp"

namespace tutti::onnx {

bool is_layer_operator(const Node& node) noexcept;
bool is_activation(const Node& node) noexcept;

class Layers {
 public:
  explicit Layers(const File& file) : file_(file) {}

  [[nodiscard]] bool empty() const noexcept { return plan_.layers.empty(); }
  [[nodiscard]] std::uint32_t outputs() const noexcept { return plan_.layers.back().outputs; }

  /// Appends the layer of a node that is_layer_operator(), which has that many inputs. Errors: bad_model.
  Result<void> add(const Node& node, std::uint32_t inputs);

  /// Makes a bias of what is added to the last layer's sums. False where it has a bias or an activation.
  Result<bool> add_bias(std::string_view name, const std::vector<double>& numbers, bool in_double);

  /// Gives the last layer the activation of a node that is_activation(). False where it has one.
  Result<bool> activate(const Node& node);

  /// The last layer's answer, by its activation.
  [[nodiscard]] OutputKind kind() const noexcept;

  /// The model of all layers. Errors: as dense::build_model.
  Result<std::unique_ptr<Model>> build(OutputKind kind, const std::string& where, std::uint32_t rows_max,
                                       const JitSettings& jit);

 private:
  struct Owned {
    Tensor tensor;
    std::vector<std::byte> bytes;
  };

  Result<const TensorProto*> constant(const Node& node, std::size_t input);
  const Tensor* keep(const std::vector<double>& numbers, std::vector<std::uint64_t> shape, bool in_double);
  Result<void> add_product(const Node& node, std::uint32_t inputs);
  Result<void> add_constant_bias(const Node& node, double factor);
  Result<void> add_linear(const Node& node, std::uint32_t inputs);
  Result<void> push(const Node& node, dense::LayerPlan layer);

  const File& file_;
  dense::Plan plan_;
  std::deque<Owned> owned_;  // what the plan points at
  std::set<const TensorProto*> used_;
};

/// A constant's numbers, one for each column: given so, or one for all. Errors: bad_model.
Result<std::vector<double>> numbers_by_column(const Node& node, const TensorProto& tensor,
                                              std::uint32_t columns);

}  // namespace tutti::onnx
