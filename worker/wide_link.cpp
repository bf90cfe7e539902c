#include "worker/wide_link.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

namespace tutti {
namespace {

double logistic(double x, double scale) noexcept { return 1.0 / (1.0 + std::exp(-scale * x)); }

double signed_square(double x) noexcept {
  const double sign = x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : 0.0);
  return sign * x * x;
}

void softmax(std::span<double> row) noexcept {
  const double largest = *std::ranges::max_element(row);
  double sum = 0.0;
  for (double& term : row) {
    term = std::exp(term - largest);
    sum += term;
  }
  for (double& term : row) term /= sum;
}

}  // namespace

std::uint32_t wide_link_outputs(const WideLink& link, std::uint32_t groups) noexcept {
  return link.function == WideLink::Function::two_classes ? 2 : groups;
}

void apply_wide_link(const WideLink& link, std::span<double> row) noexcept {
  for (double& x : row) x /= link.divisor;
  switch (link.function) {
    case WideLink::Function::identity:
      return;
    case WideLink::Function::signed_square:
      for (double& x : row) x = signed_square(x);
      return;
    case WideLink::Function::exponential:
      for (double& x : row) x = std::exp(x);
      return;
    case WideLink::Function::logistic:
      for (double& x : row) x = logistic(x, link.scale);
      return;
    case WideLink::Function::log_one_plus:
      for (double& x : row) x = std::log(1.0 + std::exp(x));
      return;
    case WideLink::Function::softmax:
      softmax(row);
      return;
    case WideLink::Function::two_classes:
      row[1] = logistic(row[0], link.scale);
      row[0] = 1.0 - row[1];
      return;
    case WideLink::Function::negative_power:
      for (double& x : row) x = -std::exp2(-x);
      return;
  }
}

void apply_wide_link(const WideLink& link, WideMatrixView margins, MutableMatrixView out) noexcept {
  assert(margins.rows == out.rows && out.columns == wide_link_outputs(link, margins.columns));
  const auto rounded = [](double x) { return static_cast<float>(x); };
  if (link.function != WideLink::Function::two_classes) {
    for (std::uint32_t row = 0; row < margins.rows; ++row) {
      apply_wide_link(link, margins.row(row));
      std::ranges::transform(margins.row(row), out.row(row).begin(), rounded);
    }
    return;
  }
  for (std::uint32_t row = 0; row < margins.rows; ++row) {
    std::array<double, 2> answer{margins.row(row)[0], 0.0};
    apply_wide_link(link, answer);
    std::ranges::transform(answer, out.row(row).begin(), rounded);
  }
}

}  // namespace tutti
