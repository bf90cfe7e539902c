// Which rules can be made at all, and what a request needs before a rule runs.
//
//   config ──create()──▶ Combiner ──find_voters()──▶ who counts, and how much ──▶ combine_answer.cpp
//                                                                             └─▶ combine_measure.cpp
//
// create() is where every size comes from: it checks them and allocates all that a request will use.
#include "supervisor/combine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "shared/limits.hpp"

namespace tutti {
namespace {

// Cells of a tile: with the votes they are made from they stay in the first cache.
constexpr std::uint32_t kTileCells = 512;

Error bad(std::string where, std::string what, std::string hint) {
  return {
      .code = Errc::bad_config, .what = std::move(what), .where = std::move(where), .hint = std::move(hint)};
}

std::optional<Error> check_shape(Task task, std::size_t models, std::uint32_t outputs,
                                 std::uint32_t rows_max) {
  if (models == 0 || models > kMembersMax) {
    return bad("members", fmt::format("{} members are not in [1, {}]", models, kMembersMax),
               "give the ensemble at least one member");
  }
  if (outputs == 0 || outputs > kOutputsMax) {
    return bad("classes", fmt::format("{} outputs are not in [1, {}]", outputs, kOutputsMax),
               "name the classes");
  }
  if (task == Task::regression && outputs != 1) {
    return bad("task", fmt::format("regression with {} outputs; it has one", outputs),
               "run one ensemble for each value to predict");
  }
  if (rows_max == 0 || rows_max > kRowsMax) {
    return bad("limits.rows", fmt::format("{} rows are not in [1, {}]", rows_max, kRowsMax),
               fmt::format("the default is {}", kRowsDefault));
  }
  return std::nullopt;
}

std::optional<Error> check_weights(const std::vector<double>& weights) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || weights[i] < 0) {
      return bad(fmt::format("member[{}].weight", i),
                 fmt::format("{} is not a finite number >= 0", weights[i]),
                 "1 is the default; 0 lets a member vote without counting");
    }
  }
  if (std::ranges::all_of(weights, [](double weight) { return weight == 0; })) {
    return bad("member.weight", "every weight is 0", "give at least one member a weight above 0");
  }
  return std::nullopt;
}

std::optional<Error> check_rule(const CombineConfig& config, Task task) {
  if (task == Task::regression) {
    switch (config.rule) {
      case CombineRule::soft_vote:
        return bad("combine.rule", "soft_vote is a rule of classification",
                   "weighted_mean does the same here");
      case CombineRule::hard_vote:
        return bad("combine.rule", "hard_vote is a rule of classification",
                   "median is its counterpart: one outlying vote does not move it");
      case CombineRule::rank_mean:
        // Ranking the rows of a request would make a row's answer depend on its neighbours.
        return bad("combine.rule", "rank_mean ranks the classes of a row, and regression has none",
                   "median resists votes on different scales best");
      default:
        break;
    }
  }
  if (config.rule == CombineRule::trimmed_mean && !(config.trim >= 0 && config.trim < 0.5)) {
    return bad("combine.trim", fmt::format("{} is not in [0, 0.5)", config.trim),
               "0.2 cuts a fifth of the votes at each end");
  }
  return std::nullopt;
}

std::optional<Error> check_coefficients(const CombineConfig& config, std::size_t models,
                                        std::uint32_t outputs) {
  if (config.coefficients.size() != outputs) {
    // What scikit-learn and others export for two classes is the one row of a logistic regression.
    const bool logistic = outputs == 2 && config.coefficients.size() == 1;
    return bad(
        "combine.coefficients",
        fmt::format("{} rows of coefficients for {} outputs", config.coefficients.size(), outputs),
        logistic
            ? "put a row of zeros (and an intercept of 0) before it: the softmax of both is the logistic "
              "function of yours"
            : "give one row for each class, or a single row for regression");
  }
  const auto too_large = [](double value) { return !(std::abs(value) <= kCoefficientMax); };
  for (std::size_t row = 0; row < outputs; ++row) {
    const std::vector<double>& coefficients = config.coefficients[row];
    if (coefficients.size() != models * outputs) {
      return bad(
          fmt::format("combine.coefficients[{}]", row),
          fmt::format("{} coefficients for {} members of {} outputs", coefficients.size(), models, outputs),
          fmt::format("give {}: all outputs of the first member, then of the second, and so on",
                      models * outputs));
    }
    if (const auto found = std::ranges::find_if(coefficients, too_large); found != coefficients.end()) {
      return bad(fmt::format("combine.coefficients[{}][{}]", row, found - coefficients.begin()),
                 fmt::format("{} is not within {} of 0", *found, kCoefficientMax),
                 "export the coefficients again, or fit with more regularisation");
    }
  }
  if (!config.intercept.empty() && config.intercept.size() != outputs) {
    return bad("combine.intercept",
               fmt::format("{} intercepts for {} outputs", config.intercept.size(), outputs),
               "give one for each output, or none at all");
  }
  if (const auto found = std::ranges::find_if(config.intercept, too_large); found != config.intercept.end()) {
    return bad(fmt::format("combine.intercept[{}]", found - config.intercept.begin()),
               fmt::format("{} is not within {} of 0", *found, kCoefficientMax),
               "export the intercepts again");
  }
  return std::nullopt;
}

}  // namespace

Result<Combiner> Combiner::create(const CombineConfig& config, Task task, std::vector<double> weights,
                                  std::uint32_t outputs, std::uint32_t rows_max) {
  const std::size_t models = weights.size();
  const bool linear = config.rule == CombineRule::stacking && config.model.empty();
  if (auto error = check_shape(task, models, outputs, rows_max)) return std::unexpected(*std::move(error));
  if (auto error = check_weights(weights)) return std::unexpected(*std::move(error));
  if (auto error = check_rule(config, task)) return std::unexpected(*std::move(error));
  if (linear) {
    if (auto error = check_coefficients(config, models, outputs)) return std::unexpected(*std::move(error));
  }

  Combiner combiner;
  combiner.config_ = config;
  combiner.task_ = task;
  combiner.weights_ = std::move(weights);
  combiner.outputs_ = outputs;
  combiner.rows_max_ = rows_max;
  combiner.voters_.reserve(models);
  combiner.tile_rows_ = std::clamp(kTileCells / outputs, 1U, rows_max);
  combiner.tile_.resize(std::size_t{combiner.tile_rows_} * outputs);
  combiner.row_.resize(linear ? models * outputs : outputs);
  if (config.rule == CombineRule::median || config.rule == CombineRule::trimmed_mean) {
    combiner.sorted_.resize(models * kSortedCells);
  }
  if (config.rule == CombineRule::rank_mean) combiner.order_.resize(outputs);
  if (linear) {
    combiner.coefficients_.reserve(outputs * models * outputs);
    for (const std::vector<double>& row : config.coefficients) {
      combiner.coefficients_.insert(combiner.coefficients_.end(), row.begin(), row.end());
    }
    combiner.config_.coefficients = {};
    combiner.config_.intercept.resize(outputs, 0.0);
  }
  return combiner;
}

void Combiner::combine(const Parts& parts, const Combined& combined) {
  decide(parts, combined.answer);
  measure(parts, combined);
}

// Those who voted and count, with weights that sum to 1.
void Combiner::find_voters(const Parts& parts) {
  assert(parts.answered.size() == weights_.size());
  assert(parts.rows <= rows_max_ && parts.model_stride >= std::size_t{parts.rows} * outputs_);
  double largest = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (parts.answered[i]) largest = std::max(largest, weights_[i]);
  }
  voters_.clear();
  double sum = 0;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (!parts.answered[i] || (largest > 0 && weights_[i] == 0)) continue;
    // Divided by the largest first: a sum of weights near the end of double's range would be infinite.
    const double weight = largest > 0 ? weights_[i] / largest : 1.0;
    voters_.push_back({.votes = parts.data + i * parts.model_stride, .weight = weight});
    sum += weight;
  }
  assert(!voters_.empty());
  for (Voter& voter : voters_) voter.weight /= sum;
}

void Combiner::stacking_input(const Parts& parts, std::uint32_t outputs, std::span<float> out) {
  const std::size_t models = parts.answered.size();
  assert(parts.model_stride >= std::size_t{parts.rows} * outputs);
  assert(out.size() >= std::size_t{parts.rows} * models * outputs);
  float* to = out.data();
  for (std::size_t row = 0; row < parts.rows; ++row) {
    for (std::size_t model = 0; model < models; ++model) {
      if (parts.answered[model]) {
        to = std::copy_n(parts.data + model * parts.model_stride + row * outputs, outputs, to);
      } else {
        to = std::fill_n(to, outputs, std::numeric_limits<float>::quiet_NaN());
      }
    }
  }
}

}  // namespace tutti
