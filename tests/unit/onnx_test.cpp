// ONNX files that are right: the answers are those of the operators' definitions, in every tier.
#include "worker/onnx.hpp"

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/onnx_fixture.hpp"
#include "worker/onnx/chain.hpp"
#include "worker/onnx/ensemble.hpp"
#include "worker/onnx/file.hpp"
#include "worker/onnx/forest.hpp"
#include "worker/onnx/intervals.hpp"
#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"

namespace {
std::atomic<std::size_t> allocations{0};
}

// The linker puts this in the place of operator new in the objects of this program; see dense_test.cpp.
extern "C" {
void* __real__Znwm(std::size_t bytes);

void* __wrap__Znwm(std::size_t bytes) {
  ++allocations;
  return __real__Znwm(bytes);
}
}

namespace {

using namespace tutti;
using fixture::Npy;

/// The numbers that differ: in any bit, or by more than a share and an amount of that size. NaN equals NaN.
std::size_t different(const std::vector<float>& left, const std::vector<float>& right, double tolerance) {
  std::size_t count = 0;
  for (std::size_t index = 0; index < right.size(); ++index) {
    const float a = left[index];
    const float b = right[index];
    const bool same = tolerance == 0.0
                          ? std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b)
                          : (std::isnan(a) && std::isnan(b)) || a == b ||
                                std::abs(double{a} - double{b}) <= tolerance * (std::abs(double{b}) + 1.0);
    if (!same) ++count;
  }
  return count;
}

struct Known {
  const char* name;
  OutputKind kind;
  double tolerance;  // 0: every bit
};
constexpr double kExact = 0.0;
constexpr double kMath = 1e-6;  // exp and log of another library
constexpr double kDense = 1e-5;

constexpr Known kTrees[] = {
    {"mode_leq", OutputKind::value, kExact},
    {"mode_lt", OutputKind::value, kExact},
    {"mode_gte", OutputKind::value, kExact},
    {"mode_gt", OutputKind::value, kExact},
    {"mode_eq", OutputKind::value, kExact},
    {"mode_neq", OutputKind::value, kExact},
    {"mode_mixed", OutputKind::value, kExact},
    {"aggregate_sum", OutputKind::value, kExact},
    {"aggregate_sum_base", OutputKind::value, kExact},
    {"aggregate_average", OutputKind::value, kExact},
    {"aggregate_average_base", OutputKind::value, kExact},
    {"aggregate_min", OutputKind::value, kExact},
    {"aggregate_min_base", OutputKind::value, kExact},
    {"aggregate_max", OutputKind::value, kExact},
    {"aggregate_max_base", OutputKind::value, kExact},
    {"transform_none", OutputKind::value, kExact},
    {"transform_softmax", OutputKind::probabilities, kMath},
    {"transform_logistic", OutputKind::probabilities, kMath},
    {"transform_softmax_zero", OutputKind::probabilities, kMath},
    {"transform_probit", OutputKind::value, kMath},
    {"logistic_one", OutputKind::probability, kMath},
    {"v5_leq", OutputKind::value, kExact},
    {"v5_lt", OutputKind::value, kExact},
    {"v5_gte", OutputKind::value, kExact},
    {"v5_gt", OutputKind::value, kExact},
    {"v5_eq", OutputKind::value, kExact},
    {"v5_neq", OutputKind::value, kExact},
    {"v5_member", OutputKind::value, kExact},
    {"v5_mixed", OutputKind::probabilities, kMath},
    {"v5_double", OutputKind::value, kExact},
    {"v5_average", OutputKind::value, kExact},
    {"v5_sum", OutputKind::value, kExact},
    {"v5_min", OutputKind::value, kExact},
    {"v5_max", OutputKind::value, kExact},
    {"pair_none", OutputKind::probability, kExact},
    {"pair_logistic", OutputKind::probability, kMath},
    {"pair_softmax", OutputKind::probability, kMath},
    {"pair_second", OutputKind::probability, kMath},
    {"classes_softmax", OutputKind::probabilities, kMath},
    {"classes_none", OutputKind::probabilities, kExact},
    {"prepared", OutputKind::probabilities, kMath},
};

constexpr Known kDenseModels[] = {
    {"dense_relu", OutputKind::probabilities, kDense},
    {"dense_sigmoid", OutputKind::probabilities, kDense},
    {"dense_tanh", OutputKind::probabilities, kDense},
    {"dense_leakyrelu", OutputKind::probabilities, kDense},
    {"dense_elu", OutputKind::probabilities, kDense},
    {"dense_double", OutputKind::probabilities, kDense},
    {"linear_regressor", OutputKind::value, kDense},
    {"linear_classifier", OutputKind::probabilities, kDense},
};

/// The model answers `x` as `wanted` has it, in batches of all sizes and with the same bits in each.
void check_answers(Model& model, const Npy<float>& x, const Npy<float>& wanted, double tolerance) {
  REQUIRE(model.shape().features == x.columns);
  REQUIRE(model.shape().outputs == wanted.columns);
  const std::vector<float> first = fixture::answers(model, x, x.rows);
  CHECK(different(first, wanted.values, tolerance) == 0);
  for (const std::uint32_t batch : {1U, 2U, 7U, 32U, 64U, 100U, 1000U}) {
    INFO("batches of " << batch);
    const Npy<float> more = fixture::repeat_rows(x, batch > x.rows ? batch : x.rows);
    const std::vector<float> answers = fixture::answers(model, more, batch);
    const std::vector<float> same(answers.begin(),
                                  answers.begin() + static_cast<std::ptrdiff_t>(first.size()));
    CHECK(different(same, first, tolerance == 0.0 ? kExact : 1e-300) == 0);
  }
}

void check_known(const Known& known, const JitSettings& jit, std::uint32_t tier,
                 const std::string& rows = "rows.npy") {
  INFO(known.name);
  const Npy<float> x = fixture::read_npy<float>(fixture::onnx_path(rows));
  const Npy<float> wanted = fixture::read_npy<float>(fixture::onnx_path(std::string(known.name) + ".npy"));
  const auto model =
      fixture::parse_onnx(fixture::read_bytes(fixture::onnx_path(std::string(known.name) + ".onnx")), jit);
  if (!model) FAIL(describe(model.error()));
  CHECK((*model)->shape().kind == known.kind);
  check_answers(**model, x, wanted, known.tolerance);
  // Least and greatest leaves are the interpreter's.
  const std::string_view name = known.name;
  if (name.contains("_min") || name.contains("_max")) tier = 0;
  if ((*model)->tiers() != nullptr) CHECK((*model)->tiers()->tier == tier);
}

TEST_CASE("onnx: every mode, aggregate, transform and missing value answers as the operator is defined",
          "[onnx]") {
  // Goal: what ONNX defines, not what one library makes of it. Sums are compared bit for bit.
  // Method: files and answers of make_models.py, whose evaluator shares nothing with this code. Rows hold
  // NaN, both infinities and zeros, denormals, and the thresholds themselves.
  for (const Known& known : kTrees) {
    check_known(known, {.mode = JitSettings::Mode::off}, 0);
    check_known(known, {.threshold = 0}, 1);
  }
}

TEST_CASE("onnx: layers answer as double precision does, within float32's roundings", "[onnx]") {
  for (const Known& known : kDenseModels) {
    check_known(known, {}, 1, "finite_rows.npy");
    check_known(known, {.mode = JitSettings::Mode::off}, 0, "finite_rows.npy");
  }
}

TEST_CASE("onnx: every instruction set gives the bits of the interpreter", "[onnx]") {
  const Npy<float> x = fixture::repeat_rows(fixture::read_npy<float>(fixture::onnx_path("rows.npy")), 1000);
  for (const std::string name : {"mode_mixed", "v5_mixed", "v5_member", "classes_none", "mode_leq"}) {
    INFO(name);
    const std::string bytes = fixture::read_bytes(fixture::onnx_path(name + ".onnx"));
    const auto file = onnx::read_file(std::as_bytes(std::span(bytes)), "model.onnx");
    REQUIRE(file.has_value());
    const auto chain = onnx::find_chain(*file);
    REQUIRE(chain.has_value());
    const auto ensemble = onnx::read_ensemble(*chain->nodes.front());
    REQUIRE(ensemble.has_value());
    auto core = onnx::build_forest(*ensemble, *chain->nodes.front());
    REQUIRE(core.has_value());
    Forest& forest = core->forest;
    forest.features = x.columns;
    std::vector<float> wanted(std::size_t{x.rows} * forest.groups());
    sum_trees(forest, {x.values.data(), x.rows, x.columns}, {wanted.data(), x.rows, forest.groups()});
    for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
      auto layout = trees::build_layout(forest);
      REQUIRE(layout.has_value());
      trees::CompactForest compact(std::move(*layout), *kernels);
      for (const std::uint32_t batch : {1U, 2U, 7U, 32U, 64U, 100U, 1000U}) {
        INFO(kernels->name << ", batches of " << batch);
        std::vector<float> sums(wanted.size());
        for (std::uint32_t row = 0; row < x.rows; row += batch) {
          const std::uint32_t rows = std::min(batch, x.rows - row);
          compact.sum({&x.values[std::size_t{row} * x.columns], rows, x.columns},
                      {&sums[std::size_t{row} * forest.groups()], rows, forest.groups()});
        }
        CHECK(different(sums, wanted, kExact) == 0);
      }
    }
  }
}

TEST_CASE("onnx: XGBoost's trees, converted, answer as XGBoost does", "[onnx]") {
  const auto model = fixture::parse_onnx(fixture::read_bytes(fixture::onnx_path("xgb_bc_200.onnx")));
  if (!model) FAIL(describe(model.error()));
  const std::string folder = std::string(TUTTI_TEST_DATA) + "/xgboost/";
  Npy<float> x = fixture::read_npy<float>(folder + "bc_X.npy");
  Npy<float> wanted = fixture::read_npy<float>(folder + "xgb_bc_200_expected_margin.npy");
  // The converter wrote base_score, a probability of 0.63, as base value; XGBoost adds its logarithm of odds.
  for (float& margin : wanted.values) margin += 0.63F - std::log(0.63F / 0.37F);
  x.rows = wanted.rows;
  x.values.resize(std::size_t{x.rows} * x.columns);
  check_answers(**model, x, wanted, 1e-5);
}

TEST_CASE("onnx: a network of Gemm, Relu and Softmax answers as its weights do in double precision",
          "[onnx]") {
  const std::string bytes = fixture::read_bytes(fixture::onnx_path("mlp_64_128_64_10.onnx"));
  const auto model = fixture::parse_onnx(bytes);
  if (!model) FAIL(describe(model.error()));
  CHECK((*model)->shape().kind == OutputKind::probabilities);
  const Npy<float> x = fixture::read_npy<float>(fixture::onnx_path("digits_scaled_X.npy"));
  const auto file = onnx::read_file(std::as_bytes(std::span(bytes)), "model.onnx");
  REQUIRE(file.has_value());
  Npy<float> wanted{{}, x.rows, 10};
  for (std::uint32_t row = 0; row < x.rows; ++row) {
    std::vector<double> values(x.values.begin() + std::ptrdiff_t{row} * 64,
                               x.values.begin() + std::ptrdiff_t{row + 1} * 64);
    for (const std::string layer : {"0", "1", "2"}) {
      const auto weights = onnx::floats_of(file->constants.at("W" + layer));
      const auto bias = onnx::floats_of(file->constants.at("b" + layer));
      REQUIRE((weights.has_value() && bias.has_value()));
      std::vector<double> sums = *bias;
      for (std::size_t input = 0; input < values.size(); ++input) {
        for (std::size_t output = 0; output < sums.size(); ++output) {
          sums[output] += values[input] * (*weights)[input * sums.size() + output];
        }
      }
      if (layer != "2") {
        for (double& sum : sums) sum = std::max(sum, 0.0);
      }
      values = sums;
    }
    double total = 0.0;
    for (double& value : values) total += value = std::exp(value);
    for (const double value : values) wanted.values.push_back(static_cast<float>(value / total));
  }
  check_answers(**model, x, wanted, kDense);
}

TEST_CASE("onnx: a comparison becomes bounds at which its truth turns over, for every kind of number",
          "[onnx]") {
  // Method: thresholds and numbers at every edge of float32, in float and in double; each comparison is asked
  // as ONNX has it and as its intervals have it.
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  constexpr float kLargest = std::numeric_limits<float>::max();
  std::vector<float> numbers{0.0F,  -0.0F,    kTiny,     -kTiny,    1.0F,
                             -1.0F, kLargest, -kLargest, kInfinity, -kInfinity};
  for (const float near : {1.0F, kTiny, -1.0F}) {
    numbers.push_back(std::nextafter(near, kInfinity));
    numbers.push_back(std::nextafter(near, -kInfinity));
  }
  std::vector<double> thresholds(numbers.begin(), numbers.end());
  for (const double number : {1.0 + 1e-12, -1.0 - 1e-12, 1e300, -1e300, 1e-300, -1e-300})
    thresholds.push_back(number);
  using onnx::Comparison;
  for (const double threshold : thresholds) {
    for (const Comparison comparison : {Comparison::leq, Comparison::lt, Comparison::gte, Comparison::gt,
                                        Comparison::eq, Comparison::neq, Comparison::member}) {
      for (const bool missing : {false, true}) {
        onnx::Branch branch;
        branch.value = threshold;
        branch.comparison = comparison;
        branch.missing_is_true = missing;
        const std::vector<double> members{threshold, 1.0, 1.0, std::nextafterf(1.0F, 2.0F)};
        onnx::Intervals intervals;
        onnx::find_intervals(branch, members, intervals);
        for (const float x : numbers) {
          const double wide{x};
          const bool wanted = comparison == Comparison::leq   ? wide <= threshold
                              : comparison == Comparison::lt  ? wide < threshold
                              : comparison == Comparison::gte ? wide >= threshold
                              : comparison == Comparison::gt  ? wide > threshold
                              : comparison == Comparison::eq  ? wide == threshold
                              : comparison == Comparison::neq
                                  ? wide != threshold
                                  : std::ranges::find(members, wide) != members.end();
          const auto below = std::ranges::count_if(intervals.bounds, [&](float bound) { return bound <= x; });
          INFO(x << " against " << threshold << ", comparison " << static_cast<int>(comparison));
          CHECK(intervals.truth(static_cast<std::size_t>(below)) == wanted);
        }
        if (intervals.bounds.empty()) CHECK(intervals.first == missing);
      }
    }
  }
}

/// A file of tests/data/onnx as a member of an ensemble of five features.
ModelSource member(const std::string& name, bool classification, std::uint32_t outputs) {
  ModelSource source;
  source.path = fixture::onnx_path(name + ".onnx");
  source.classification = classification;
  source.features = 5;
  source.outputs = outputs;
  return source;
}

TEST_CASE("onnx: a file is recognised, and its scores become the ensemble's classes", "[onnx]") {
  const auto pair = load_model(member("pair_logistic", true, 2));
  if (!pair) FAIL(describe(pair.error()));
  const std::vector<float> x{0.37F, -1.0F, 0.0F, 2.0F, std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> out(2);
  REQUIRE((*pair)->predict({x.data(), 1, 5}, {out.data(), 1, 2}).has_value());
  CHECK(out[1] > 0.0F);
  CHECK(out[0] == 1.0F - out[1]);
  CHECK(load_model(member("classes_softmax", true, 4)).has_value());
  CHECK(load_model(member("mode_mixed", false, 1)).has_value());

  // Scores that are no probabilities do not vote, and another number of classes is another ensemble's.
  for (const ModelSource& source : {member("aggregate_sum", true, 3), member("classes_softmax", true, 3),
                                    member("classes_softmax", false, 1)}) {
    const auto other = load_model(source);
    REQUIRE_FALSE(other.has_value());
    CHECK(other.error().code == Errc::shape_mismatch);
  }
}

TEST_CASE("onnx: predicting allocates nothing", "[onnx]") {
  const Npy<float> x =
      fixture::repeat_rows(fixture::read_npy<float>(fixture::onnx_path("finite_rows.npy")), 300);
  for (const std::string name : {"prepared", "aggregate_min_base", "v5_mixed", "dense_elu"}) {
    INFO(name);
    const std::size_t at_start = allocations;
    const auto model =
        fixture::parse_onnx(fixture::read_bytes(fixture::onnx_path(name + ".onnx")), {.threshold = 0});
    REQUIRE(model.has_value());
    REQUIRE(allocations > at_start + 10);  // the counter counts
    std::vector<float> out(std::size_t{300} * (*model)->shape().outputs);
    for (const std::uint32_t rows : {1U, 7U, 300U}) {
      const std::size_t before = allocations;
      const bool answered =
          (*model)
              ->predict({x.values.data(), rows, 5}, {out.data(), rows, (*model)->shape().outputs})
              .has_value();
      const std::size_t after = allocations;
      REQUIRE(answered);
      REQUIRE(after == before);
    }
  }
}

}  // namespace
