// Tensor views: where numbers lie and how many, owned by somebody else.
//
// Everything that crosses tutti is float32, row-major, contiguous: [rows][columns]. Double stands for sums
// inside a model only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tutti {

/// A matrix [rows][columns], row-major and contiguous; T is float, double or one of them const.
template <class T>
struct BasicMatrixView {
  T* data = nullptr;
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;

  [[nodiscard]] std::size_t size() const noexcept { return std::size_t{rows} * columns; }
  [[nodiscard]] std::size_t bytes() const noexcept { return size() * sizeof(T); }
  [[nodiscard]] std::span<T> row(std::uint32_t index) const noexcept {
    return {data + std::size_t{index} * columns, columns};
  }
  [[nodiscard]] std::span<T> all() const noexcept { return {data, size()}; }
  operator BasicMatrixView<const T>() const noexcept { return {data, rows, columns}; }
};

using MatrixView = BasicMatrixView<const float>;
using MutableMatrixView = BasicMatrixView<float>;
using WideMatrixView = BasicMatrixView<double>;

}  // namespace tutti
