// What is done to a row before a model sees it: each of the model's columns is one of the row's, taken
// through a chain of steps.
//
//   row [features] ──column 0: from 3, subtract 1.5, divide 0.25──▶
//                  ──column 1: from 3, equals 2───────────────────▶ [columns] ──▶ model
//                  ──column 2: from 0─────────────────────────────▶
//
// Every step computes in double and rounds to float32, as numpy does with a float32 array and a float64
// number. NaN goes through all but three steps as it is.
//
// Trees can often do without: a chain that never falls when its input rises can be folded into their
// thresholds (fold), which costs nothing when they answer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "worker/model.hpp"

namespace tutti {

struct ColumnStep {
  enum class Kind : std::uint8_t {
    subtract,
    divide,
    multiply,
    add,
    at_least,         // the larger one of x and the number
    at_most,          // the smaller one
    fill_missing,     // NaN becomes the number
    equals,           // 1 where x is the number (NaN is NaN), else 0
    tiny_is_missing,  // |x| <= the number becomes NaN
  };
  Kind kind = Kind::subtract;
  double number = 0.0;
};

struct Column {
  std::uint32_t from = 0;
  std::uint32_t first_step = 0;
  std::uint32_t step_count = 0;
};

/// Plain values. Invariant, kept by whoever builds one: every index lies inside.
struct Preprocess {
  std::uint32_t features = 0;
  std::vector<Column> columns;
  std::vector<ColumnStep> steps;

  [[nodiscard]] std::span<const ColumnStep> steps_of(const Column& column) const noexcept {
    return std::span(steps).subspan(column.first_step, column.step_count);
  }
};

/// One number through a chain.
float run_steps(std::span<const ColumnStep> steps, float x) noexcept;

/// True where a chain never falls when x rises, and keeps every number a number: it may be folded.
bool can_fold(std::span<const ColumnStep> steps) noexcept;

/// The `t` for which x < t exactly where the chain's answer for x is < threshold, for every x but NaN. Needs
/// can_fold(steps). About 32 runs of the chain. The answer may be an infinity: x < -inf holds for no x.
/// Nothing where even +inf stays below the threshold, which no `t` can say.
std::optional<float> fold(std::span<const ColumnStep> steps, float threshold) noexcept;

/// A model that answers from rows as they are before `preprocess`. The model's features are its columns.
std::unique_ptr<Model> with_preprocess(Preprocess preprocess, std::unique_ptr<Model> model);

}  // namespace tutti
