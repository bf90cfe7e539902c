#include "worker/onnx/steps.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace tutti::onnx {
namespace {

template <class Function>
void pairwise(const Step& step, std::span<float> row, Function function) noexcept {
  assert(step.numbers.size() == row.size());
  for (std::size_t column = 0; column < row.size(); ++column) {
    row[column] = function(row[column], step.numbers[column]);
  }
}

void replace(const Step& step, std::span<float> row) noexcept {
  const bool missing = std::isnan(step.value);
  pairwise(step, row,
           [&](float x, float by) { return (missing ? std::isnan(x) : x == step.value) ? by : x; });
}

/// A row of zeros has no direction and stays as it is.
void divide_by(std::span<float> row, float norm) noexcept {
  if (norm == 0.0F) return;
  for (float& x : row) x /= norm;
}

float logistic(float x) noexcept {
  const float upper = 1.0F / (1.0F + std::exp(-std::abs(x)));
  return x < 0.0F ? 1.0F - upper : upper;
}

void softmax(std::span<float> row) noexcept {
  const float largest = *std::ranges::max_element(row);
  float sum = 0.0F;
  for (float& x : row) sum += x = std::exp(x - largest);
  for (float& x : row) x /= sum;
}

void softmax_zero(std::span<float> row) noexcept {
  constexpr float kZero = 1e-7F;
  const float largest = *std::ranges::max_element(row);
  const float scale = std::exp(-largest);
  float sum = 0.0F;
  for (float& x : row) {
    if (x > kZero || x < -kZero) {
      x = std::exp(x - largest);
      sum += x;
    } else {
      x *= scale;
    }
  }
  if (sum == 0.0F) return;
  for (float& x : row) x /= sum;
}

float softmax_pair(float x) noexcept {
  const float largest = std::abs(x);
  const float second = std::exp(x - largest);
  return second / (std::exp(-x - largest) + second);
}

/// Winitzki's approximation of the inverse error function, with the constant 0.147.
float probit(float probability) noexcept {
  constexpr float kShape = 0.147F;
  constexpr float kRootOfTwo = 1.41421356F;
  const float x = 2.0F * probability - 1.0F;
  const float product = (1.0F - x) * (1.0F + x);
  if (product == 0.0F) return 0.0F;
  const float logarithm = std::log(product);
  const float half = 2.0F / (std::numbers::pi_v<float> * kShape) + 0.5F * logarithm;
  const float quotient = 1.0F / kShape * logarithm;
  const float root = std::sqrt(-half + std::sqrt(half * half - quotient));
  return kRootOfTwo * (x < 0.0F ? -root : root);
}

void apply_to_row(const Step& step, std::span<float> row) noexcept {
  const auto each = [&](auto function) {
    for (float& x : row) x = function(x);
  };
  float norm = 0.0F;
  switch (step.kind) {
    case Step::Kind::replace:
      return replace(step, row);
    case Step::Kind::add:
      return pairwise(step, row, [](float x, float y) { return x + y; });
    case Step::Kind::subtract:
      return pairwise(step, row, [](float x, float y) { return x - y; });
    case Step::Kind::multiply:
      return pairwise(step, row, [](float x, float y) { return x * y; });
    case Step::Kind::divide:
      return pairwise(step, row, [](float x, float y) { return x / y; });
    case Step::Kind::divide_l1:
      for (const float x : row) norm += std::abs(x);
      return divide_by(row, norm);
    case Step::Kind::divide_l2:
      for (const float x : row) norm += x * x;
      return divide_by(row, std::sqrt(norm));
    case Step::Kind::logistic:
      return each(logistic);
    case Step::Kind::softmax:
      return softmax(row);
    case Step::Kind::softmax_zero:
      return softmax_zero(row);
    case Step::Kind::softmax_pair:
      return each(softmax_pair);
    case Step::Kind::probit:
      return each(probit);
  }
}

}  // namespace

void apply_steps(std::span<const Step> steps, MutableMatrixView rows) noexcept {
  if (rows.columns == 0) return;
  for (std::uint32_t row = 0; row < rows.rows; ++row) {
    for (const Step& step : steps) apply_to_row(step, rows.row(row));
  }
}

}  // namespace tutti::onnx
