// Models that examples/export_sklearn.py wrote, against what scikit-learn answered, and files that are wrong.
#include "worker/scikit.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/npy_fixture.hpp"
#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"

namespace {

using namespace tutti;
using fixture::Npy;
using fixture::read_npy;
using nlohmann::json;

constexpr std::uint32_t kBatches[] = {1, 2, 7, 32, 64, 100, 1000};
constexpr std::uint32_t kTimes = 7;  // rows are asked so often, to have those of the largest batch

std::string path_of(const std::string& name) { return std::string(TUTTI_TEST_DATA) + "/scikit/" + name; }

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

template <class Number>
std::vector<Number> repeated(const std::vector<Number>& numbers) {
  std::vector<Number> many;
  for (std::uint32_t time = 0; time < kTimes; ++time) many.insert(many.end(), numbers.begin(), numbers.end());
  return many;
}

std::vector<float> answers(Model& model, const Npy<float>& x, std::uint32_t batch) {
  const std::uint32_t outputs = model.shape().outputs;
  std::vector<float> out(std::size_t{x.rows} * outputs, -12345.0F);
  for (std::uint32_t row = 0; row < x.rows; row += batch) {
    const std::uint32_t rows = std::min(batch, x.rows - row);
    REQUIRE(model
                .predict({&x.values[std::size_t{row} * x.columns], rows, x.columns},
                         {&out[std::size_t{row} * outputs], rows, outputs})
                .has_value());
  }
  return out;
}

/// The largest distance between two answers, in steps of float32.
std::int64_t distance(const std::vector<float>& found, const std::vector<double>& wanted) {
  REQUIRE(found.size() == wanted.size());
  std::int64_t largest = 0;
  for (std::size_t index = 0; index < found.size(); ++index) {
    const auto a = std::int64_t{std::bit_cast<std::int32_t>(found[index])};
    const auto b = std::int64_t{std::bit_cast<std::int32_t>(static_cast<float>(wanted[index]))};
    largest = std::max(largest, std::abs(a - b));
  }
  return largest;
}

struct Case {
  std::string name;
  std::string rows;
  bool exact = true;  // not where numpy's own exp or power decides a double's last bit
  OutputKind kind = OutputKind::value;
  bool folded = true;  // no column had to be made
};

const Case kCases[] = {
    {"tree_classifier", "rows", true, OutputKind::probabilities},
    {"tree_regressor", "rows"},
    {"forest_classifier", "rows", true, OutputKind::probabilities},
    {"forest_classes", "rows", true, OutputKind::probabilities},
    {"forest_regressor", "rows"},
    {"forest_targets", "rows"},
    {"extra_classifier", "rows", true, OutputKind::probabilities},
    {"extra_regressor", "rows"},
    {"boosting_regressor", "rows"},
    {"boosting_classifier", "rows", false, OutputKind::probabilities},
    {"boosting_exponential", "rows", false, OutputKind::probabilities},
    {"boosting_classes", "rows", false, OutputKind::probabilities},
    {"boosting_zero", "rows"},
    {"histogram_regressor", "rows_missing"},
    {"histogram_poisson", "rows_missing", false},
    {"histogram_classifier", "rows_missing", false, OutputKind::probabilities},
    {"histogram_classes", "rows_missing", false, OutputKind::probabilities},
    {"histogram_categories", "rows_unseen"},
    {"isolation", "rows", false},
    {"scaled_forest", "rows"},
    {"min_max_boosting", "rows_missing"},
    {"imputed_scaled", "rows_missing", true, OutputKind::probabilities},
    {"scaled_histogram", "rows_missing", false, OutputKind::probabilities},
    {"one_hot", "rows_unseen", true, OutputKind::probabilities, false},
    {"one_hot_all", "rows_rounded", true, OutputKind::value, false},
};

TEST_CASE("scikit: every sort of model answers as scikit-learn did, whatever the batch and the tier",
          "[scikit]") {
  for (const Case& one : kCases) {
    INFO(one.name);
    const std::string text = fixture::read_bytes(path_of(one.name + ".json"));
    const auto wanted = repeated(read_npy<double>(path_of(one.name + ".npy")).values);
    Npy<float> x = read_npy<float>(path_of(one.rows + ".npy"));
    x.values = repeated(x.values);
    x.rows *= kTimes;
    for (const JitSettings jit : {JitSettings{.mode = JitSettings::Mode::off}, JitSettings{.threshold = 0}}) {
      const auto model = parse_scikit(bytes_of(text), "model.json", jit);
      INFO((model ? std::string("read") : describe(model.error())));
      REQUIRE(model.has_value());
      CHECK((*model)->shape().kind == one.kind);
      REQUIRE((*model)->shape().features == x.columns);
      for (const std::uint32_t batch : kBatches) {
        INFO("batches of " << batch);
        CHECK(distance(answers(**model, x, batch), wanted) <= (one.exact ? 0 : 1));
      }
    }
    const auto file = read_scikit(bytes_of(text), "model.json");
    REQUIRE(file.has_value());
    const bool capped = text.find("infinity") != std::string::npos;
    CHECK(file->preprocess.columns.empty() == (one.folded && !capped));
  }
}

TEST_CASE("scikit: every instruction set sums what the interpreter sums", "[scikit]") {
  for (const Case& one : kCases) {
    const auto file = read_scikit(bytes_of(fixture::read_bytes(path_of(one.name + ".json"))), "model.json");
    REQUIRE(file.has_value());
    const Forest& forest = file->forest;
    if (!file->preprocess.columns.empty() || !forest.category_splits.empty()) continue;
    const auto x = read_npy<float>(path_of(one.rows + ".npy"));
    std::vector<double> wanted(std::size_t{x.rows} * forest.groups());
    sum_trees(forest, {x.values.data(), x.rows, x.columns},
              WideMatrixView{wanted.data(), x.rows, forest.groups()});
    for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
      trees::CompactForest compact(trees::build_layout(forest).value(), *kernels);
      for (const std::uint32_t batch : kBatches) {
        INFO(one.name << ", " << kernels->name << ", batches of " << batch);
        std::vector<double> sums(wanted.size());
        for (std::uint32_t row = 0; row < x.rows; row += batch) {
          const std::uint32_t rows = std::min(batch, x.rows - row);
          compact.sum({&x.values[std::size_t{row} * x.columns], rows, x.columns},
                      WideMatrixView{&sums[std::size_t{row} * forest.groups()], rows, forest.groups()});
        }
        CHECK(sums == wanted);
      }
    }
  }
}

/// One column scaled, one looked up; a tree with a set of categories.
json small_model() {
  return json::parse(R"({
    "format": "tutti-scikit-learn", "version": 1, "features": 2, "kind": "value", "base": [0.5],
    "columns": [{"from": 1, "steps": [["subtract", 0.5], ["divide", 2.0]]}, {"from": 0, "steps": []}],
    "link": {"divisor": 2.0},
    "trees": [
      {"left": [1, -1, -1], "right": [2, -1, -1], "feature": [0, 0, 0], "threshold": [0.25, 0, 0],
       "value": [0, 1, 2]},
      {"left": [1, -1, -1], "right": [2, -1, -1], "feature": [1, 0, 0], "threshold": [0, 0, 0],
       "value": [0, 1, 2], "missing_left": [0, 0, 0], "categories": [{"node": 0, "left": [3, 1]}]}
    ]})");
}

TEST_CASE("scikit: what is wrong is told by its place", "[scikit]") {
  REQUIRE(parse_scikit(bytes_of(small_model().dump()), "model.json").has_value());
  struct Damage {
    std::string path;  // JSON pointer
    json value;
    std::string where;
    std::string what;
  };
  for (const Damage& damage : std::vector<Damage>{
           {"/format", "other", "format", "tutti-scikit-learn"},
           {"/version", 2, "version", "2"},
           {"/features", 0, "features", "0"},
           {"/features", 1, "columns[0].from", "1"},
           {"/features", 1e30, "features", "1e+30"},
           {"/kind", "odds", "kind", "\"odds\""},
           {"/kind", "probabilities", "kind", "1 groups"},
           {"/base", json::array(), "base", "empty"},
           {"/base/0", "x", "base[0]", "\"x\""},
           {"/link/divisor", 0, "link.divisor", "0"},
           {"/link/function", "sine", "link.function", "\"sine\""},
           {"/link/function", "softmax", "kind", "1 groups"},
           {"/columns/0/from", -1, "columns[0].from", "-1"},
           {"/columns/0/steps/0", {"subtract"}, "columns[0].steps[0]", "word and a number"},
           {"/columns/0/steps/0/0", "cube", "columns[0].steps[0][0]", "\"cube\""},
           {"/columns/0/steps/0/1", nullptr, "columns[0].steps[0][1]", "null"},
           {"/trees", 3, "trees", "not a list"},
           {"/trees/0/left", json::array(), "trees[0].left", "empty"},
           {"/trees/0/left/0", 3, "trees[0].left[0]", "3"},
           {"/trees/0/left/0", 0, "trees[0]", "second time"},
           {"/trees/0/left/0", 2, "trees[0]", "second time"},
           {"/trees/0/left/0", -1, "trees[0]", "does not exist"},
           {"/trees/0/right", {2, -1}, "trees[0].right", "has 2 numbers, not 3"},
           {"/trees/0/feature/0", 2, "trees[0].feature[0]", "2"},
           {"/trees/0/threshold/0", "nan", "trees[0].threshold[0]", "\"nan\""},
           {"/trees/0/threshold", {0.5}, "trees[0].threshold", "has 1 numbers, not 3"},
           {"/trees/0/value", {1, 2, 3, 4}, "trees[0].value", "4 numbers for 3 nodes"},
           {"/trees/0/value", {1, 2, 3, 4, 5, 6}, "trees[0].value", "1 groups from group 0 on"},
           {"/trees/0/group", 1, "trees[0].group", "1"},
           {"/trees/1/missing_left/2", 2, "trees[1].missing_left[2]", "2"},
           {"/trees/1/categories/0/node", 1, "trees[1].categories[0].node", "leaf"},
           {"/trees/1/categories/0/node", 7, "trees[1].categories[0].node", "7"},
           {"/trees/1/categories/0/left/0", 1 << 24, "trees[1].categories[0].left[0]", "16777216"},
           {"/trees/1/categories/0", json::object({{"node", 0}}), "trees[1].categories[0]", "right"},
       }) {
    json document = small_model();
    document[json::json_pointer(damage.path)] = damage.value;
    INFO(damage.path << " = " << damage.value);
    const auto model = parse_scikit(bytes_of(document.dump()), "model.json");
    REQUIRE_FALSE(model.has_value());
    INFO(describe(model.error()));
    CHECK(model.error().code == Errc::bad_model);
    CHECK(model.error().where == "model.json: " + damage.where);
    CHECK(model.error().what.find(damage.what) != std::string::npos);
    CHECK_FALSE(model.error().hint.empty());
  }
}

TEST_CASE("scikit: a file cut anywhere is an error", "[scikit]") {
  const std::string text = small_model().dump();
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto model = parse_scikit(bytes_of(text.substr(0, size)), "model.json");
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().where.starts_with("model.json"));
  }
}

TEST_CASE("scikit: a file is recognised by its format, not taken for XGBoost's", "[scikit]") {
  const ModelSource source{.path = path_of("forest_classes.json"),
                           .kind = "",
                           .classification = true,
                           .features = 6,
                           .outputs = 3};
  const auto model = load_model(source);
  INFO((model ? std::string("loaded") : describe(model.error())));
  REQUIRE(model.has_value());
  const auto spaced = [](std::string text) { return looks_like_scikit(std::as_bytes(std::span(text))); };
  CHECK(spaced("{\n  \"format\": \"tutti-scikit-learn\","));
  CHECK_FALSE(spaced("{\"learner\": {}}"));
}

}  // namespace
