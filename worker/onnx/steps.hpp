// What happens to rows before a model's core and after it: arithmetic in float32, number by number, as the
// operators of ONNX define it.
//
//   x ──Imputer, Scaler, Sub, …──▶ core: trees or layers ──average, base values, post_transform──▶ answer
//
// Every step works in place on [rows][columns] and looks at one row at a time: a row's bits do not depend on
// its batch. Two roundings stay two: the library is compiled without contraction.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shared/tensor.hpp"

namespace tutti::onnx {

struct Step {
  enum class Kind : std::uint8_t {
    replace,       // x = numbers[column] where x is `value`; a value of NaN means NaN
    add,           // x + numbers[column]
    subtract,      // x - numbers[column]
    multiply,      // x * numbers[column]
    divide,        // x / numbers[column]
    divide_l1,     // by the sum of magnitudes, unless that is 0
    divide_l2,     // by the root of the sum of squares, unless that is 0
    logistic,      // 1 / (1 + exp(-x)), of each number
    softmax,       // exp(x - max) / sum, of each row
    softmax_zero,  // the same, but what is 0 within 1e-7 takes no part and stays 0
    softmax_pair,  // the second of softmax(-x, x), of each number
    probit,        // the normal distribution's quantile, by the formula that ONNX's reference has
  };
  Kind kind = Kind::add;
  std::vector<float> numbers;  // [columns], where the kind has any
  float value = 0.0F;
};

/// Applies the steps in their order. Allocates nothing.
void apply_steps(std::span<const Step> steps, MutableMatrixView rows) noexcept;

}  // namespace tutti::onnx
