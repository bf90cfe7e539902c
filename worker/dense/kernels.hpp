// What the dense kernels are given: a layer and rows as plain arrays, and one table of functions for each
// instruction set.
//
//   rows [row][input] ──any_nan──▶ is a number missing?
//                     ──multiply─▶ [row][output] = sum + bias, and 0 instead of what is below it (relu)
//
// The sum of an output is defined once, for every instruction set, batch and place in it:
//
//   sum = 0;  for k = 0, 1, 2, …:  sum = fma(weight[k], x[k], sum);  sum + bias
//
// A product and its addition are one rounding (fma): that is what the hardware does in one instruction, twice
// as fast as two, and two roundings would be the only ones that not every compiler could be kept from
// contracting. Each output has a lane of its own, and how many rows and panels are worked on together changes
// only what lies in the other registers. So a row has the same answer alone, in a batch of a million, and at
// any place in it; a matrix product whose blocking depends on the batch (Eigen's, any BLAS) does not promise
// that. Where the instruction set has no fma (x86 before 2013) the portable kernels do it by other means: the
// same bits, ten times as slowly in float and slower still in double.
//
// These files are compiled once for each instruction set, and include nothing that brings inline functions of
// the library along: worker/trees/kernels.hpp says why, weak_symbols_test looks for it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti::dense {

/// Outputs side by side in the weights: a cache line.
template <class T>
inline constexpr std::uint32_t kPanel = 64 / sizeof(T);

/// One layer over some rows.
///   weights  [panels][inputs][kPanel], panel_stride numbers from one panel to the next, aligned to 64 bytes;
///            the last panel is padded with zeros
///   bias     [panels][kPanel], aligned and padded so too
///   x        [rows][inputs], x_stride numbers from one row to the next
///   y        [rows][outputs], y_stride numbers from one row to the next, and nothing between them is
///   written;
///            may not alias x
template <class T>
struct LayerView {
  const T* weights = nullptr;
  const T* bias = nullptr;
  const T* x = nullptr;
  T* y = nullptr;
  std::uint32_t inputs = 0;
  std::uint32_t outputs = 0;
  std::uint32_t rows = 0;
  std::uint32_t panel_stride = 0;
  std::uint32_t x_stride = 0;
  std::uint32_t y_stride = 0;
  std::uint32_t relu = 0;  // 1: what is below 0 becomes 0, NaN stays NaN
};

/// Rows [rows][numbers] from x to y, which may not alias it.
struct RowsView {
  const float* x = nullptr;
  float* y = nullptr;
  std::uint32_t numbers = 0;
  std::uint32_t rows = 0;
  std::uint32_t x_stride = 0;
  std::uint32_t y_stride = 0;
};

/// One instruction set's functions.
struct DenseKernels {
  const char* name = nullptr;
  bool (*any_nan)(const float* x, std::size_t count) = nullptr;
  void (*multiply_narrow)(const LayerView<float>& view) = nullptr;
  void (*multiply_wide)(const LayerView<double>& view) = nullptr;

  /// Each row of y becomes exp(x - max) / sum; NaN where a number of x is NaN or the largest is infinite.
  void (*softmax)(const RowsView& view) = nullptr;

  void multiply(const LayerView<float>& view) const { multiply_narrow(view); }
  void multiply(const LayerView<double>& view) const { multiply_wide(view); }
};

extern const DenseKernels kPortableDenseKernels;
#if defined(__x86_64__)
extern const DenseKernels kAvx2DenseKernels;
extern const DenseKernels kAvx512DenseKernels;
#endif

}  // namespace tutti::dense
