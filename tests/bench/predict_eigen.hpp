// Eigen as a peer: the layers that predict_bench asks, as matrix products compiled for the CPU that builds
// it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tutti::bench {

inline constexpr std::uint32_t kWidths[] = {64, 128, 64, 10};  // relu, relu, softmax
inline constexpr std::uint32_t kLayers = 3;

/// One layer: weights [outputs][inputs] and biases.
struct LayerNumbers {
  std::vector<float> weights;
  std::vector<float> bias;
};

/// Copies the layers, once, before anything is asked.
void eigen_load(std::span<const LayerNumbers> layers, std::uint32_t rows_max);

/// x [rows][kWidths[0]] to out [rows][kWidths[kLayers]].
void eigen_predict(const float* x, std::uint32_t rows, float* out);

/// Its version and the widest vectors that it uses: "3.4.0 (AVX512)".
std::string eigen_version();

}  // namespace tutti::bench
