// A layer as the kernels want it, and the activations.
//
//   weights [outputs][inputs] ──pack──▶ panels [input][16 outputs in float, 8 in double], padded with zeros
//
// One cache line more lies between a panel and the next: where the number of inputs is a power of two, the
// lines of all panels that are needed together would else share one set of the nearest cache.
//
// Identity and relu belong to the product (dense/kernels.hpp), so does softmax in float. All other
// activations are the C library's, number by number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <type_traits>

#include "worker/aligned.hpp"
#include "worker/dense/kernels.hpp"

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

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <class T>
struct Layer {
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  Activation activation = Activation::identity;
  T slope = 0;               // of leaky_relu and elu, below 0
  AlignedVector<T> weights;  // [panels][panel_stride()]
  AlignedVector<T> bias;     // [panels][kPanel]

  [[nodiscard]] std::uint32_t panel_stride() const { return (inputs + 1) * kPanel<T>; }
  [[nodiscard]] std::size_t bytes() const { return (weights.size() + bias.size()) * sizeof(T); }

  /// The layer over `rows` rows.
  [[nodiscard]] LayerView<T> view(const T* x, std::uint32_t x_stride, std::uint32_t rows, T* y,
                                  std::uint32_t y_stride) const {
    return {.weights = weights.data(),
            .bias = bias.data(),
            .x = x,
            .y = y,
            .inputs = inputs,
            .outputs = outputs,
            .rows = rows,
            .panel_stride = panel_stride(),
            .x_stride = x_stride,
            .y_stride = y_stride,
            .relu = activation == Activation::relu ? 1U : 0U};
  }
};

/// A layer with zero weights and biases of that size, to be filled by set_weight() and `bias`.
template <class T>
Layer<T> make_layer(std::uint32_t inputs, std::uint32_t outputs, Activation activation) {
  Layer<T> layer{
      .inputs = inputs, .outputs = outputs, .activation = activation, .slope = 0, .weights = {}, .bias = {}};
  const std::size_t padded = round_up(outputs, kPanel<T>);
  layer.weights.resize(padded / kPanel<T> * layer.panel_stride());
  layer.bias.resize(padded);
  return layer;
}

template <class T>
void set_weight(Layer<T>& layer, std::size_t output, std::size_t input, T weight) {
  const std::size_t panel = output / kPanel<T>;
  layer.weights[panel * layer.panel_stride() + input * kPanel<T> + output % kPanel<T>] = weight;
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
