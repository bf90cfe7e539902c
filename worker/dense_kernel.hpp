// y = activation(W x + b) for a few rows, in an order of additions that depends on nothing but the layer.
//
//   weights [panel][input][lane]: a panel is kPanel outputs side by side, the last one padded with zeros
//
//               input k ─▶
//   row 0   x0[k] ──broadcast──▶ sum(row 0, panel)  += W[panel][k] * x0[k]     one register of lanes
//   row 1   x1[k] ──broadcast──▶ sum(row 1, panel)  += W[panel][k] * x1[k]
//
// Invariant: every output is the sum over k = 0, 1, 2, … in that order, plus the bias, in one lane. How many
// rows or panels are worked on at once changes only what lies in the other registers. So a row has the same
// answer alone, in a batch of a million, and at any place in it; a matrix product whose blocking depends on
// the batch (Eigen's own, any BLAS) does not promise that. Only Eigen's fixed-size arrays are used: nothing
// is allocated.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <type_traits>
#include <vector>

namespace tutti::dense {

enum class Activation : std::uint8_t {
  identity,
  relu,
  tanh,
  sigmoid,
  softmax,
  gelu,
  gelu_tanh,
  leaky_relu,
  elu
};

/// Outputs side by side: two registers of the smallest vector unit.
template <class T>
inline constexpr std::size_t kPanel = 32 / sizeof(T);

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <class T>
struct Layer {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  Activation activation = Activation::identity;
  T slope = 0;             // of leaky_relu and elu, below 0
  std::vector<T> weights;  // [panels][inputs][kPanel]
  std::vector<T> bias;     // [panels * kPanel]

  [[nodiscard]] std::size_t panels() const { return bias.size() / kPanel<T>; }
};

/// A layer with zero weights and biases of that size, to be filled by set_weight() and `bias`.
template <class T>
Layer<T> make_layer(std::size_t inputs, std::size_t outputs, Activation activation) {
  const std::size_t padded = round_up(outputs, kPanel<T>);
  return {.inputs = inputs,
          .outputs = outputs,
          .activation = activation,
          .slope = 0,
          .weights = std::vector<T>(padded * inputs),
          .bias = std::vector<T>(padded)};
}

template <class T>
void set_weight(Layer<T>& layer, std::size_t output, std::size_t input, T weight) {
  const std::size_t panel = output / kPanel<T>;
  layer.weights[(panel * layer.inputs + input) * kPanel<T> + output % kPanel<T>] = weight;
}

/// Rows `x`, `stride` numbers apart, times `Panels` panels from `panel` on, into rows `y`, `stride` apart
/// too.
template <class T, std::size_t Rows, std::size_t Panels>
void multiply_block(const Layer<T>& layer, std::size_t panel, const T* x, std::size_t stride, T* y) {
  using Lanes = Eigen::Array<T, static_cast<int>(kPanel<T>), 1>;
  const T* weights = layer.weights.data() + panel * layer.inputs * kPanel<T>;
  std::array<std::array<Lanes, Rows>, Panels> sums;
  for (auto& panel_sums : sums) panel_sums.fill(Lanes::Zero());
  for (std::size_t input = 0; input < layer.inputs; ++input) {
    for (std::size_t part = 0; part < Panels; ++part) {
      const Lanes weight = Eigen::Map<const Lanes>(weights + (part * layer.inputs + input) * kPanel<T>);
      for (std::size_t row = 0; row < Rows; ++row) sums[part][row] += weight * x[row * stride + input];
    }
  }
  for (std::size_t part = 0; part < Panels; ++part) {
    const std::size_t first = (panel + part) * kPanel<T>;
    const Lanes bias = Eigen::Map<const Lanes>(layer.bias.data() + first);
    for (std::size_t row = 0; row < Rows; ++row) {
      Eigen::Map<Lanes>(y + row * stride + first) = sums[part][row] + bias;
    }
  }
}

/// W x + b. Four rows share each weight that is fetched; a lone row keeps as many sums going over four
/// panels.
template <class T>
void multiply(const Layer<T>& layer, const T* x, std::size_t rows, std::size_t stride, T* y) {
  static constexpr std::size_t kBlock = 4;
  std::size_t row = 0;
  for (; row + kBlock <= rows; row += kBlock) {
    for (std::size_t panel = 0; panel < layer.panels(); ++panel) {
      multiply_block<T, kBlock, 1>(layer, panel, x + row * stride, stride, y + row * stride);
    }
  }
  for (; row < rows; ++row) {
    std::size_t panel = 0;
    for (; panel + kBlock <= layer.panels(); panel += kBlock) {
      multiply_block<T, 1, kBlock>(layer, panel, x + row * stride, stride, y + row * stride);
    }
    for (; panel < layer.panels(); ++panel) {
      multiply_block<T, 1, 1>(layer, panel, x + row * stride, stride, y + row * stride);
    }
  }
}

/// 1 / (1 + exp(-x)), without overflow at either end.
template <class T>
T sigmoid(T x) {
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const T power = std::exp(x);
  return power / (1 + power);
}

template <class T>
T gelu_tanh(T x) {
  // Hendrycks and Gimpel 2016, as torch.nn.GELU(approximate="tanh") has it.
  const T slope = std::sqrt(2 * std::numbers::inv_pi_v<T>);
  return x / 2 * (1 + std::tanh(slope * (x + static_cast<T>(0.044715) * x * x * x)));
}

/// exp(y - max) / sum, so that nothing overflows.
template <class T>
void softmax(std::span<T> row) {
  const T largest = *std::ranges::max_element(row);
  T sum = 0;
  for (T& value : row) sum += value = std::exp(value - largest);
  for (T& value : row) value /= sum;
}

/// Number by number and never in vectors, whose last few numbers would take another path than the rest.
template <class T>
void activate(Activation activation, std::span<T> row, std::type_identity_t<T> slope = 0) {
  const auto each = [&](auto function) {
    for (T& value : row) value = function(value);
  };
  switch (activation) {
    case Activation::identity:
      return;
    // NaN stays NaN (from infinite inputs): std::max would make it a plausible 0.
    case Activation::relu:
      return each([](T value) { return value < 0 ? T{0} : value; });
    case Activation::tanh:
      return each([](T value) { return std::tanh(value); });
    case Activation::sigmoid:
      return each([](T value) { return sigmoid(value); });
    case Activation::softmax:
      return softmax(row);
    case Activation::gelu:
      return each([](T value) { return value / 2 * (1 + std::erf(value / std::numbers::sqrt2_v<T>)); });
    case Activation::gelu_tanh:
      return each([](T value) { return gelu_tanh(value); });
    case Activation::leaky_relu:
      return each([slope](T value) { return value < 0 ? slope * value : value; });
    case Activation::elu:
      return each([slope](T value) { return value < 0 ? slope * (std::exp(value) - 1) : value; });
  }
}

}  // namespace tutti::dense
