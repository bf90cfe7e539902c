// LightGBM files: trained ones against the library's own answers, and small ones against an evaluator of its
// rules (tests/data/lightgbm/make_models.py), bit for bit, in every tier and by every instruction set.
#include "worker/lightgbm.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/npy_fixture.hpp"
#include "worker/preprocess.hpp"
#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"

namespace {

using namespace tutti;
using fixture::Npy;
using fixture::read_npy;

constexpr std::uint32_t kBatches[] = {1, 2, 7, 32, 64, 100, 1000};

std::string path_of(const std::string& name) { return std::string(TUTTI_TEST_DATA) + "/lightgbm/" + name; }

std::string text_of(const std::string& name) { return fixture::read_bytes(path_of(name + ".txt")); }

LightgbmFile read(const std::string& text) {
  auto file = read_lightgbm(std::as_bytes(std::span(text)), "model.txt");
  INFO((file ? std::string("read") : describe(file.error())));
  REQUIRE(file.has_value());
  return std::move(*file);
}

/// `x` four times over, so that it has the rows of the largest batch.
Npy<float> repeated(const Npy<float>& x, std::uint32_t times = 4) {
  Npy<float> many{.values = {}, .rows = x.rows * times, .columns = x.columns};
  for (std::uint32_t time = 0; time < times; ++time)
    many.values.insert(many.values.end(), x.values.begin(), x.values.end());
  return many;
}

/// With the second columns of features whose zeros are missing.
Npy<float> widened(const Npy<float>& x, const ZeroIsMissing& zeros) {
  const ColumnStep step{.kind = ColumnStep::Kind::tiny_is_missing, .number = double{LinearLeaf::kTinyMax}};
  Npy<float> wide{
      .values = {}, .rows = x.rows, .columns = x.columns + static_cast<std::uint32_t>(zeros.of.size())};
  for (std::uint32_t row = 0; row < x.rows; ++row) {
    const float* const numbers = x.values.data() + std::size_t{row} * x.columns;
    wide.values.insert(wide.values.end(), numbers, numbers + x.columns);
    for (const std::uint32_t feature : zeros.of)
      wide.values.push_back(run_steps(std::span(&step, 1), numbers[feature]));
  }
  return wide;
}

/// How many numbers have other bits than they should, NaN apart.
template <class Number>
std::size_t differences(const std::vector<Number>& found, const std::vector<Number>& wanted) {
  REQUIRE(found.size() == wanted.size());
  std::size_t count = 0;
  for (std::size_t index = 0; index < found.size(); ++index) {
    const bool both_nan = std::isnan(found[index]) && std::isnan(wanted[index]);
    const bool same =
        found[index] == wanted[index] && std::signbit(found[index]) == std::signbit(wanted[index]);
    if (!both_nan && !same) ++count;
  }
  return count;
}

template <class Sum>
std::vector<double> sums_by(const Sum& sum, const Forest& forest, const Npy<float>& x, std::uint32_t batch) {
  std::vector<double> margins(std::size_t{x.rows} * forest.groups(), -1e30);
  for (std::uint32_t row = 0; row < x.rows; row += batch) {
    const std::uint32_t rows = std::min(batch, x.rows - row);
    sum(MatrixView{&x.values[std::size_t{row} * x.columns], rows, x.columns},
        WideMatrixView{&margins[std::size_t{row} * forest.groups()], rows, forest.groups()});
  }
  return margins;
}

/// Every tier, instruction set and batch against sums in double.
void check_sums(const std::string& text, const Npy<float>& rows, const std::vector<double>& wanted) {
  const LightgbmFile file = read(text);
  const Npy<float> x = widened(rows, file.zeros);
  REQUIRE(x.columns == file.forest.features);
  const auto tier_0 = [&](MatrixView in, WideMatrixView out) { sum_trees(file.forest, in, out); };
  for (const std::uint32_t batch : kBatches) {
    INFO("tier 0, batches of " << batch);
    CHECK(differences(sums_by(tier_0, file.forest, x, batch), wanted) == 0);
  }
  if (!file.forest.category_splits.empty() || !file.forest.linear_leaves.empty()) {
    CHECK_FALSE(trees::build_layout(file.forest).has_value());
    return;
  }
  for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
    trees::CompactForest compact(trees::build_layout(file.forest).value(), *kernels);
    const auto tier_1 = [&](MatrixView in, WideMatrixView out) { compact.sum(in, out); };
    for (const std::uint32_t batch : kBatches) {
      INFO(kernels->name << ", batches of " << batch);
      CHECK(differences(sums_by(tier_1, file.forest, x, batch), wanted) == 0);
    }
  }
}

/// The whole model's answers, asked in batches.
std::vector<float> answers(const std::string& text, const Npy<float>& x, std::uint32_t batch,
                           JitSettings jit) {
  auto model = parse_lightgbm(std::as_bytes(std::span(text)), "model.txt", jit);
  INFO((model ? std::string("read") : describe(model.error())));
  REQUIRE(model.has_value());
  REQUIRE((*model)->shape().features == x.columns);
  const std::uint32_t outputs = (*model)->shape().outputs;
  std::vector<float> out(std::size_t{x.rows} * outputs, -12345.0F);
  for (std::uint32_t row = 0; row < x.rows; row += batch) {
    const std::uint32_t rows = std::min(batch, x.rows - row);
    REQUIRE((*model)
                ->predict({&x.values[std::size_t{row} * x.columns], rows, x.columns},
                          {&out[std::size_t{row} * outputs], rows, outputs})
                .has_value());
  }
  return out;
}

std::vector<float> rounded(const std::vector<double>& numbers) {
  std::vector<float> narrow;
  for (const double number : numbers) narrow.push_back(static_cast<float>(number));
  return narrow;
}

void check_answers(const std::string& text, const Npy<float>& x, const std::vector<double>& wanted) {
  for (const std::uint32_t batch : kBatches) {
    INFO("batches of " << batch);
    CHECK(differences(answers(text, x, batch, {.mode = JitSettings::Mode::off}), rounded(wanted)) == 0);
    CHECK(differences(answers(text, x, batch, {.threshold = 0}), rounded(wanted)) == 0);
  }
}

std::string with_objective(std::string text, const std::string& objective) {
  const std::string old = "objective=regression";
  const std::size_t place = text.find(old);
  REQUIRE(place != std::string::npos);
  return text.replace(place, old.size(), objective.empty() ? "" : "objective=" + objective);
}

/// Columns [first, first + count) of `table`, four times over.
std::vector<double> columns_of(const Npy<double>& table, std::uint32_t first, std::uint32_t count) {
  std::vector<double> numbers;
  for (int time = 0; time < 4; ++time) {
    for (std::uint32_t row = 0; row < table.rows; ++row) {
      const auto begin = table.values.begin() + std::ptrdiff_t{row} * table.columns + first;
      numbers.insert(numbers.end(), begin, begin + count);
    }
  }
  return numbers;
}

struct Case {
  std::string objective;
  std::uint32_t column = 0;  // of the answers that make_models.py wrote
  OutputKind kind = OutputKind::value;
};

const std::vector<Case> kOneGroup = {
    {"regression", 0},
    {"regression_l1", 0},
    {"huber", 0},
    {"huber sqrt", 0},
    {"fair", 0},
    {"quantile", 0},
    {"mape", 0},
    {"lambdarank", 0},
    {"rank_xendcg", 0},
    {"custom", 0},
    {"", 0},
    {"regression sqrt", 1},
    {"regression_l1 sqrt", 1},
    {"poisson", 2},
    {"gamma", 2},
    {"tweedie", 2},
    {"binary sigmoid:0.7", 3, OutputKind::probability},
    {"cross_entropy", 4, OutputKind::probability},
    {"binary sigmoid:1", 4, OutputKind::probability},
    {"cross_entropy_lambda", 5},
};
const std::vector<Case> kThreeGroups = {
    {"", 0},
    {"multiclass num_class:3", 3, OutputKind::probabilities},
    {"multiclassova num_class:3 sigmoid:1.5", 6, OutputKind::probabilities},
};

TEST_CASE("lightgbm: every objective, missing type, batch, tier and instruction set has the right bits",
          "[lightgbm]") {
  const Npy<float> rows = repeated(read_npy<float>(path_of("rows.npy")));
  for (const std::string missing : {"none", "zero", "nan"}) {
    for (const std::uint32_t groups : {1U, 3U}) {
      const std::string name = (groups == 1 ? "one_" : "three_") + missing;
      const std::string text = text_of(name);
      const auto table = read_npy<double>(path_of(name + ".npy"));
      INFO(name);
      check_sums(with_objective(text, ""), rows, columns_of(table, 0, groups));
      for (const Case& one : groups == 1 ? kOneGroup : kThreeGroups) {
        INFO("objective " << one.objective);
        const std::string other = with_objective(text, one.objective);
        CHECK(read(other).forest.wide_link.kind == one.kind);
        check_answers(other, rows, columns_of(table, one.column, groups));
      }
    }
  }
}

TEST_CASE("lightgbm: missing types that differ within one feature, categories and linear leaves",
          "[lightgbm]") {
  const Npy<float> rows = repeated(read_npy<float>(path_of("rows.npy")));
  const Npy<float> finite = repeated(read_npy<float>(path_of("rows_linear.npy")));
  for (const std::string name : {"mixed", "categories", "linear", "linear_zero"}) {
    INFO(name);
    const Npy<float>& x = name.starts_with("linear") ? finite : rows;
    const auto table = read_npy<double>(path_of(name + ".npy"));
    check_sums(text_of(name), x, columns_of(table, 0, 1));
    check_answers(text_of(name), x, columns_of(table, 0, 1));
  }
}

TEST_CASE("lightgbm: an averaging forest divides before its transform", "[lightgbm]") {
  const Npy<float> rows = repeated(read_npy<float>(path_of("rows.npy")));
  const auto sums = columns_of(read_npy<double>(path_of("one_nan.npy")), 0, 1);
  std::string text = text_of("one_nan");
  const double trees = 12.0;  // as make_models.py writes
  text.insert(text.find("feature_names="), "average_output\n");
  std::vector<double> wanted;
  for (const double sum : sums) wanted.push_back(std::exp(sum / trees));
  check_answers(with_objective(text, "poisson"), rows, wanted);
}

TEST_CASE("lightgbm: trained models answer as LightGBM 4.6 did", "[lightgbm]") {
  struct Trained {
    std::string name;
    std::string input;
    std::string expected;
  };
  for (const Trained& trained :
       {Trained{"lgb_bc_100", "../xgboost/bc_X.npy", "lgb_bc_100_expected_f64.npy"},
        Trained{"lgb_cat_100", "cat_X.npy", "lgb_cat_100_expected_f64.npy"},
        Trained{"lgb_reg_missing_100", "reg50_nan_X.npy", "lgb_reg_missing_100_expected_f64.npy"},
        Trained{"lgb_rf_50", "reg50_X.npy", "lgb_rf_50_expected_f64.npy"}}) {
    INFO(trained.name);
    const auto x = read_npy<float>(path_of(trained.input));
    const auto wanted = read_npy<double>(path_of(trained.expected));
    REQUIRE(x.rows == wanted.rows);
    check_answers(text_of(trained.name), x, wanted.values);
    // In double too: the sums, then the link.
    const LightgbmFile file = read(text_of(trained.name));
    std::vector<double> answers(x.rows);
    sum_trees(file.forest, {x.values.data(), x.rows, x.columns}, WideMatrixView{answers.data(), x.rows, 1});
    for (double& answer : answers) apply_wide_link(file.forest.wide_link, std::span(&answer, 1));
    CHECK(differences(answers, wanted.values) == 0);
  }
  const auto raw = read_npy<double>(path_of("lgb_bc_100_expected_raw_f64.npy"));
  check_sums(text_of("lgb_bc_100"), read_npy<float>(path_of("../xgboost/bc_X.npy")), raw.values);
}

TEST_CASE("lightgbm: a file is recognised by its first line", "[lightgbm]") {
  ModelSource source{
      .path = path_of("lgb_bc_100.txt"), .kind = "", .classification = true, .features = 30, .outputs = 2};
  const auto model = load_model(source);
  INFO((model ? std::string("loaded") : describe(model.error())));
  REQUIRE(model.has_value());
  CHECK((*model)->shape().kind == OutputKind::probabilities);
  source.kind = "lightgbm";
  CHECK(load_model(source).has_value());
}

}  // namespace
