// Compiled with -march=native, unlike everything else: inline functions of the library that this file shares
// with others may then be its own, which the bench's own CPU runs.
#include "predict_eigen.hpp"

#include <Eigen/Core>
#include <array>

namespace tutti::bench {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Row = Eigen::RowVectorXf;

struct Layers {
  std::array<Matrix, kLayers> weights;  // [inputs][outputs]
  std::array<Row, kLayers> bias;
  std::array<Matrix, kLayers> between;  // [rows_max][outputs]
};

Layers& layers() {
  static Layers all;
  return all;
}

/// The product for one row is a vector's, which Eigen has a way of its own for.
template <class From, class Into>
void layer(std::uint32_t index, const From& x, Into&& y) {
  const Layers& all = layers();
  if (x.rows() == 1) {
    y.row(0).noalias() = x.row(0) * all.weights[index];
  } else {
    y.noalias() = x * all.weights[index];
  }
  if (index + 1 < kLayers) {
    y = (y.rowwise() + all.bias[index]).cwiseMax(0.0F);
  } else {
    y.rowwise() += all.bias[index];
  }
}

}  // namespace

void eigen_load(std::span<const LayerNumbers> numbers, std::uint32_t rows_max) {
  Layers& all = layers();
  for (std::uint32_t index = 0; index < kLayers; ++index) {
    const auto inputs = static_cast<Eigen::Index>(kWidths[index]);
    const auto outputs = static_cast<Eigen::Index>(kWidths[index + 1]);
    all.weights[index] = Eigen::Map<const Matrix>(numbers[index].weights.data(), outputs, inputs).transpose();
    all.bias[index] = Eigen::Map<const Row>(numbers[index].bias.data(), outputs);
    all.between[index].resize(rows_max, outputs);
  }
}

void eigen_predict(const float* x, std::uint32_t rows, float* out) {
  Layers& all = layers();
  const Eigen::Map<const Matrix> from(x, rows, kWidths[0]);
  Eigen::Map<Matrix> into(out, rows, kWidths[kLayers]);
  layer(0, from, all.between[0].topRows(rows));
  layer(1, all.between[0].topRows(rows), all.between[1].topRows(rows));
  layer(2, all.between[1].topRows(rows), into);
  for (Eigen::Index row = 0; row < into.rows(); ++row) {
    auto numbers = into.row(row).array();
    numbers = (numbers - numbers.maxCoeff()).exp();
    numbers /= numbers.sum();
  }
}

std::string eigen_version() {
  const std::string sets = Eigen::SimdInstructionSetsInUse();  // the widest first
  return std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
         std::to_string(EIGEN_MINOR_VERSION) + " (" + sets.substr(0, sets.find(',')) + ")";
}

}  // namespace tutti::bench
