#include "worker/link.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <span>

namespace tutti {
namespace {

float logistic(float x) noexcept {
  // XGBoost's constants: beyond 88.7 expf overflows, and the 1e-16 it adds is lost in float32 beside the 1.
  constexpr float kExponentMax = 88.7F;
  constexpr float kEpsilon = 1e-16F;
  const float denominator = std::exp(std::min(-x, kExponentMax)) + 1.0F + kEpsilon;
  return 1.0F / denominator;
}

/// Terms in float32, their sum in double, the division by the sum rounded to float32.
void softmax(std::span<const float> margins, std::span<float> out) noexcept {
  float largest = margins[0];
  for (const float margin : margins) largest = std::max(margin, largest);
  double sum = 0.0;
  for (std::size_t group = 0; group < margins.size(); ++group) {
    out[group] = std::exp(margins[group] - largest);
    sum += static_cast<double>(out[group]);
  }
  for (float& term : out) term /= static_cast<float>(sum);
}

}  // namespace

std::uint32_t link_outputs(Link link, std::uint32_t groups) noexcept {
  return link == Link::first_max ? 1 : groups;
}

OutputKind link_kind(Link link) noexcept {
  switch (link) {
    case Link::identity:
    case Link::exponential:
      return OutputKind::value;
    case Link::logistic:
      return OutputKind::probability;
    case Link::softmax:
      return OutputKind::probabilities;
    case Link::hinge:
    case Link::first_max:
      return OutputKind::class_index;
  }
  return OutputKind::value;
}

std::uint32_t link_classes(Link link, std::uint32_t groups) noexcept {
  if (link == Link::hinge) return 2;
  return link == Link::first_max ? groups : 0;
}

void apply_link(Link link, MutableMatrixView margins, MutableMatrixView out) noexcept {
  assert(margins.rows == out.rows && out.columns == link_outputs(link, margins.columns));
  const std::span<const float> in = margins.all();
  const std::span<float> result = out.all();
  switch (link) {
    case Link::identity:
      if (in.data() != result.data()) std::ranges::copy(in, result.begin());
      return;
    case Link::logistic:
      std::ranges::transform(in, result.begin(), logistic);
      return;
    case Link::exponential:
      std::ranges::transform(in, result.begin(), [](float x) { return std::exp(x); });
      return;
    case Link::hinge:
      std::ranges::transform(in, result.begin(), [](float x) { return x > 0.0F ? 1.0F : 0.0F; });
      return;
    case Link::softmax:
      for (std::uint32_t row = 0; row < margins.rows; ++row) softmax(margins.row(row), out.row(row));
      return;
    case Link::first_max:
      for (std::uint32_t row = 0; row < margins.rows; ++row) {
        const std::span<const float> group = margins.row(row);
        out.data[row] = static_cast<float>(std::ranges::max_element(group) - group.begin());
      }
      return;
  }
}

}  // namespace tutti
