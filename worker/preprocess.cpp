#include "worker/preprocess.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <limits>
#include <utility>

namespace tutti {
namespace {

float run_step(const ColumnStep& step, float x) noexcept {
  const double number = step.number;
  switch (step.kind) {
    case ColumnStep::Kind::subtract:
      return static_cast<float>(double{x} - number);
    case ColumnStep::Kind::divide:
      return static_cast<float>(double{x} / number);
    case ColumnStep::Kind::multiply:
      return static_cast<float>(double{x} * number);
    case ColumnStep::Kind::add:
      return static_cast<float>(double{x} + number);
    case ColumnStep::Kind::at_least:
      return double{x} < number ? static_cast<float>(number) : x;
    case ColumnStep::Kind::at_most:
      return double{x} > number ? static_cast<float>(number) : x;
    case ColumnStep::Kind::fill_missing:
      return x != x ? static_cast<float>(number) : x;
    case ColumnStep::Kind::equals:
      return double{x} == number || (x != x && number != number) ? 1.0F : 0.0F;
    case ColumnStep::Kind::tiny_is_missing:
      return std::abs(double{x}) <= number ? std::numeric_limits<float>::quiet_NaN() : x;
  }
  return x;
}

/// The numbers of float32 in order, NaN apart: both zeros are one.
std::int64_t place_of(float x) noexcept {
  const auto bits = std::int64_t{std::bit_cast<std::uint32_t>(x)};
  constexpr std::int64_t kSign = std::int64_t{1} << 31;
  return bits < kSign ? bits : kSign - bits;
}
float at_place(std::int64_t place) noexcept {
  constexpr std::int64_t kSign = std::int64_t{1} << 31;
  return std::bit_cast<float>(static_cast<std::uint32_t>(place >= 0 ? place : kSign - place));
}

class Preprocessed final : public Model {
 public:
  Preprocessed(Preprocess preprocess, std::unique_ptr<Model> model)
      : preprocess_(std::move(preprocess)), model_(std::move(model)) {
    const auto columns = static_cast<std::uint32_t>(preprocess_.columns.size());
    assert(columns == model_->shape().features);
    constexpr std::uint32_t kRows = 256;
    constexpr std::uint32_t kNumbers = 1U << 18;  // 1 MiB, unless one row is longer
    rows_ = std::clamp(kNumbers / std::max(columns, 1U), 1U, kRows);
    scratch_.resize(std::size_t{rows_} * columns);
  }

  [[nodiscard]] ModelShape shape() const noexcept override {
    ModelShape shape = model_->shape();
    shape.features = preprocess_.features;
    return shape;
  }
  [[nodiscard]] bool may_fork() const noexcept override { return model_->may_fork(); }
  [[nodiscard]] bool may_start_threads() const noexcept override { return model_->may_start_threads(); }
  [[nodiscard]] const TierReport* tiers() const noexcept override { return model_->tiers(); }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == preprocess_.features && out.rows == x.rows);
    const auto columns = static_cast<std::uint32_t>(preprocess_.columns.size());
    for (std::uint32_t first = 0; first < x.rows; first += std::min(rows_, x.rows - first)) {
      const std::uint32_t rows = std::min(rows_, x.rows - first);
      for (std::uint32_t row = 0; row < rows; ++row) {
        fill(x.row(first + row).data(), scratch_.data() + std::size_t{row} * columns);
      }
      const Result<void> answered =
          model_->predict({scratch_.data(), rows, columns}, {out.row(first).data(), rows, out.columns});
      if (!answered) return answered;
    }
    return {};
  }

 private:
  void fill(const float* row, float* into) const noexcept {
    for (const Column& column : preprocess_.columns) {
      *into++ = run_steps(preprocess_.steps_of(column), row[column.from]);
    }
  }

  Preprocess preprocess_;
  std::unique_ptr<Model> model_;
  std::uint32_t rows_ = 0;
  std::vector<float> scratch_;  // [rows_][columns]
};

}  // namespace

float run_steps(std::span<const ColumnStep> steps, float x) noexcept {
  for (const ColumnStep& step : steps) x = run_step(step, x);
  return x;
}

bool can_fold(std::span<const ColumnStep> steps) noexcept {
  return std::ranges::all_of(steps, [](const ColumnStep& step) {
    switch (step.kind) {
      case ColumnStep::Kind::subtract:
      case ColumnStep::Kind::add:
      case ColumnStep::Kind::at_least:
      case ColumnStep::Kind::at_most:
        return std::isfinite(step.number);
      case ColumnStep::Kind::divide:
      case ColumnStep::Kind::multiply:
        return std::isfinite(step.number) && step.number > 0.0;
      case ColumnStep::Kind::fill_missing:
        return true;  // no number is changed
      case ColumnStep::Kind::equals:
      case ColumnStep::Kind::tiny_is_missing:
        return false;
    }
    return false;
  });
}

std::optional<float> fold(std::span<const ColumnStep> steps, float threshold) noexcept {
  assert(can_fold(steps));
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // The smallest x whose answer is not below the threshold. Invariant: it lies in [low, high].
  std::int64_t low = place_of(-kInfinity);
  std::int64_t high = place_of(kInfinity);
  if (run_steps(steps, kInfinity) < threshold) return std::nullopt;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (run_steps(steps, at_place(middle)) < threshold) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return at_place(low);
}

std::unique_ptr<Model> with_preprocess(Preprocess preprocess, std::unique_ptr<Model> model) {
  return std::make_unique<Preprocessed>(std::move(preprocess), std::move(model));
}

}  // namespace tutti
