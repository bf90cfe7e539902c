// Dense models: scikit-learn's answers, the same bits in every batch, and files that lie.
#include "worker/dense.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "worker/dense/instruction_set.hpp"
#include "worker/dense/layer.hpp"
#include "worker/safetensors.hpp"

namespace {
std::atomic<std::size_t> allocations{0};
}

// The linker puts these in the place of malloc and operator new, in the objects of this program. Nothing is
// replaced, so a sanitizer's own pairs of new and delete stay together.
extern "C" {
void* __real_malloc(std::size_t bytes);
void* __real__Znwm(std::size_t bytes);

void* __wrap_malloc(std::size_t bytes) {
  ++allocations;
  return __real_malloc(bytes);
}
void* __wrap__Znwm(std::size_t bytes) {
  ++allocations;
  return __real__Znwm(bytes);
}
}

using namespace tutti;

namespace {

struct NamedTensor {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::vector<double> numbers;  // stored as dtype: F32 or F64, or anything with F32's bytes
};

using Tensors = std::map<std::string, NamedTensor>;

/// A dense model's file. `layers` is the text of "tutti.layers".
std::string dense_file(const Tensors& tensors, const std::string& layers) {
  nlohmann::json header;
  header["__metadata__"]["tutti.layers"] = layers;
  std::string buffer;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t begin = buffer.size();
    for (const double number : tensor.numbers) {
      const auto single = static_cast<float>(number);
      const bool wide = tensor.dtype == "F64";
      buffer.append(wide ? reinterpret_cast<const char*>(&number) : reinterpret_cast<const char*>(&single),
                    wide ? 8 : 4);
    }
    header[name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, buffer.size()}}};
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file + text + buffer;
}

constexpr std::uint32_t kRows = 64;

Result<std::unique_ptr<Model>> load(const std::string& file, const JitSettings& jit = {}) {
  const ModelSource source{.path = "/models/m.safetensors",
                           .kind = "dense",
                           .classification = true,
                           .features = 2,
                           .outputs = 2,
                           .rows_max = kRows,
                           .jit = jit};
  return dense_from_bytes(std::as_bytes(std::span(file)), source);
}

Result<std::vector<float>> ask(Model& model, const std::vector<float>& x) {
  const ModelShape shape = model.shape();
  const auto rows = static_cast<std::uint32_t>(x.size() / shape.features);
  std::vector<float> out(std::size_t{rows} * shape.outputs, -77);
  const auto answered = model.predict({x.data(), rows, shape.features}, {out.data(), rows, shape.outputs});
  if (!answered) return std::unexpected(answered.error());
  return out;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A layer list for one layer "w", "b" with that activation.
std::string one_layer(const std::string& task, const std::string& activation,
                      const std::string& input = "{}") {
  return fmt::format(
      R"({{"version":1,"task":"{}","input":{},"layers":[{{"weight":"w","bias":"b","activation":"{}"}}]}})",
      task, input, activation);
}

/// A perceptron of random weights: widths[0] features to widths.back() outputs.
std::string random_perceptron(const std::vector<std::size_t>& widths, const std::string& dtype) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  Tensors tensors;
  std::string layers;
  for (std::size_t layer = 1; layer < widths.size(); ++layer) {
    NamedTensor weight{dtype, {widths[layer], widths[layer - 1]}, {}};
    NamedTensor bias{dtype, {widths[layer]}, {}};
    const double spread = 1 / std::sqrt(static_cast<double>(widths[layer - 1]));
    for (std::size_t count = widths[layer] * widths[layer - 1]; count > 0; --count) {
      weight.numbers.push_back(normal(random) * spread);
    }
    for (std::size_t count = widths[layer]; count > 0; --count) bias.numbers.push_back(normal(random));
    tensors[fmt::format("w{}", layer)] = weight;
    tensors[fmt::format("b{}", layer)] = bias;
    layers += fmt::format(R"({}{{"weight":"w{}","bias":"b{}","activation":"{}"}})", layer == 1 ? "" : ",",
                          layer, layer,
                          layer + 1 == widths.size() ? "softmax"
                          : layer % 2 == 1           ? "gelu"
                                                     : "tanh");
  }
  return dense_file(tensors, fmt::format(R"({{"version":1,"task":"classification","layers":[{}]}})", layers));
}

}  // namespace

TEST_CASE("dense: answers are scikit-learn's", "[dense]") {
  // Goal: a model exported from scikit-learn votes as it would there.
  // Method: tests/data/dense/make_models.py asked scikit-learn, in float64, about the same float32 rows.
  struct Case {
    const char* name;
    OutputKind kind;
    double tolerance;  // relative; of weights that were rounded when they were exported, what that rounding
                       // costs
  };
  const Case example = GENERATE(Case{"cancer_logistic", OutputKind::probability, 1e-6},
                                Case{"cancer_raw_logistic", OutputKind::probability, 1e-6},
                                Case{"cancer_multinomial", OutputKind::probability, 1e-6},
                                Case{"cancer_network", OutputKind::probability, 1e-6},
                                Case{"wine_softmax", OutputKind::probabilities, 1e-6},
                                Case{"wine_one_against_rest", OutputKind::probabilities, 1e-6},
                                Case{"wine_imputed", OutputKind::probabilities, 1e-6},
                                Case{"digits_network", OutputKind::probabilities, 1e-6},
                                Case{"digits_network_f32", OutputKind::probabilities, 1e-4},
                                Case{"digits_network_f16", OutputKind::probabilities, 0.1},
                                Case{"diabetes_linear", OutputKind::value, 1e-6},
                                Case{"diabetes_no_intercept", OutputKind::value, 1e-6},
                                Case{"diabetes_network", OutputKind::value, 1e-6});
  CAPTURE(example.name);
  const std::string stem = fmt::format("{}/dense/{}", TUTTI_TEST_DATA, example.name);
  const std::string expected_file = read_file(stem + ".expected.safetensors");
  const auto tensors = Safetensors::parse(std::as_bytes(std::span(expected_file)), stem);
  REQUIRE(tensors.has_value());
  const Tensor& x_tensor = *tensors->find("x");
  std::vector<float> x(x_tensor.count);
  read_numbers<float>(x_tensor, x);
  std::vector<double> expected(tensors->find("expected")->count);
  read_numbers<double>(*tensors->find("expected"), expected);

  ModelSource source{.path = stem + ".safetensors", .kind = "dense", .rows_max = kRows};
  const auto model = load_dense(source);
  if (!model) FAIL(describe(model.error()));
  CHECK((*model)->shape().kind == example.kind);
  CHECK((*model)->shape().features == x_tensor.shape[1]);
  const auto answer = ask(**model, x);
  if (!answer) FAIL(describe(answer.error()));

  // One number for two classes is the second's probability: scikit-learn's second column.
  const std::size_t step = example.kind == OutputKind::probability ? 2 : 1;
  REQUIRE(answer->size() * step == expected.size());
  for (std::size_t index = 0; index < answer->size(); ++index) {
    const double right = expected[index * step + step - 1];
    CAPTURE(index, right, (*answer)[index]);
    CHECK(std::abs((*answer)[index] - right) <= example.tolerance * std::abs(right));
  }
}

TEST_CASE("dense: a row has the same bits alone, in any batch and at any place in it", "[dense]") {
  // Goal: a vote can be replayed, whoever else was in the batch.
  // Method: widths that fill panels and that do not, a wide one for which a tile holds few rows; every batch
  // size up to two blocks and some larger, at every offset.
  const std::string dtype = GENERATE("F32", "F64");
  const auto widths = GENERATE(std::vector<std::size_t>{1, 2}, std::vector<std::size_t>{7, 33, 8, 3},
                               std::vector<std::size_t>{64, 32, 5}, std::vector<std::size_t>{3, 9000, 2},
                               std::vector<std::size_t>{512, 20, 17});
  const auto model = load(random_perceptron(widths, dtype));
  if (!model) FAIL(describe(model.error()));
  const std::size_t features = widths.front();
  const std::size_t outputs = widths.back();
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> x(kRows * features);
  for (float& number : x) number = normal(random);

  std::vector<float> alone;
  for (std::size_t row = 0; row < kRows; ++row) {
    const auto answer = ask(**model, {x.begin() + static_cast<std::ptrdiff_t>(row * features),
                                      x.begin() + static_cast<std::ptrdiff_t>((row + 1) * features)});
    REQUIRE(answer.has_value());
    alone.insert(alone.end(), answer->begin(), answer->end());
  }
  for (const std::size_t rows : {2U, 3U, 4U, 5U, 6U, 7U, 8U, 9U, 31U, 64U}) {
    for (std::size_t first = 0; first + rows <= kRows; first += rows > 9 ? 1 : 5) {
      const auto answer = ask(**model, {x.begin() + static_cast<std::ptrdiff_t>(first * features),
                                        x.begin() + static_cast<std::ptrdiff_t>((first + rows) * features)});
      REQUIRE(answer.has_value());
      CAPTURE(rows, first);
      REQUIRE(std::memcmp(answer->data(), alone.data() + first * outputs, answer->size() * sizeof(float)) ==
              0);
    }
  }
}

TEST_CASE("dense: the kernels of tier 1 give the bits of those that need no instruction set", "[dense]") {
  const std::string dtype = GENERATE("F32", "F64");
  const std::string file = random_perceptron({30, 100, 70, 30, 3}, dtype);
  const auto model = load(file);
  const auto portable = load(file, {.mode = JitSettings::Mode::off});
  REQUIRE((model.has_value() && portable.has_value()));
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::vector<float> x(kRows * 30);
  for (float& number : x) number = normal(random);
  CHECK(ask(**model, x) == ask(**portable, x));
  CHECK(ask(**model, {x.begin(), x.begin() + 30}).has_value());

  const TierReport& report = *(*model)->tiers();
  CHECK(report.tier == 1);
  CHECK(report.kernels == std::string(dense::chosen_kernels().name));
  CHECK(report.why_not == "products of layers gain nothing by being compiled");
  CHECK(report.bytes > (30 * 100 + 100 * 70 + 70 * 30) * sizeof(float));
  CHECK((report.tiers[1].calls == 2 && report.tiers[1].rows == kRows + 1));
  CHECK((report.tiers[1].batches[0] == 1 && report.tiers[1].batches[6] == 1));
  CHECK(report.tiers[1].timed_rows == kRows);
  CHECK((*portable)->tiers()->tier == 0);
  CHECK((*portable)->tiers()->why_not == "jit is off");
  CHECK((*portable)->tiers()->tiers[0].calls == 1);
}

TEST_CASE("dense: predicting allocates nothing", "[dense]") {
  const std::string dtype = GENERATE("F32", "F64");
  const std::size_t at_start = allocations;
  const auto model = load(random_perceptron({30, 100, 70, 3}, dtype));
  REQUIRE(model.has_value());
  REQUIRE(allocations > at_start + 6);  // the counter counts: loading takes memory for each layer
  const std::vector<float> x(kRows * 30, 0.25F);
  std::vector<float> out(kRows * 3);
  for (std::uint32_t rows = 1; rows <= kRows; ++rows) {
    const std::size_t before = allocations;
    const bool answered = (*model)->predict({x.data(), rows, 30}, {out.data(), rows, 3}).has_value();
    const std::size_t after = allocations;
    REQUIRE(answered);
    REQUIRE(after == before);
  }
}

TEST_CASE("dense: each activation is its textbook function", "[dense]") {
  const auto each = [](dense::Activation activation, double value) {
    dense::activate(activation, std::span(&value, 1));
    return value;
  };
  using dense::Activation;
  for (const double x : {-40.0, -3.0, -0.5, 0.0, 0.1, 2.0, 40.0}) {
    CAPTURE(x);
    CHECK(each(Activation::identity, x) == x);
    CHECK(each(Activation::relu, x) == (x > 0 ? x : 0));
    CHECK(each(Activation::tanh, x) == Approx(std::tanh(x)));
    CHECK(each(Activation::sigmoid, x) == Approx(1 / (1 + std::exp(-x))));
    CHECK(each(Activation::gelu, x) == Approx(x * 0.5 * std::erfc(-x / std::sqrt(2.0))).margin(1e-15));
  }
  // Values of torch.nn.GELU(approximate="tanh"), from its formula with 20 digits.
  CHECK(each(Activation::gelu_tanh, 1.0) == Approx(0.84119199060827676));
  CHECK(each(Activation::gelu_tanh, -2.0) == Approx(-0.045402305912224938));
  // No overflow, and a NaN stays one.
  CHECK(each(Activation::sigmoid, -1e308) == 0);
  CHECK(each(Activation::sigmoid, 1e308) == 1);
  CHECK(std::isnan(each(Activation::relu, std::nan(""))));
  std::vector<double> row{1e308, 1e308, -1e308};
  dense::activate(Activation::softmax, std::span(row));
  CHECK(row == std::vector{0.5, 0.5, 0.0});
}

TEST_CASE("dense: a missing number is filled, or named in the error", "[dense]") {
  const float missing = std::numeric_limits<float>::quiet_NaN();
  Tensors tensors{{"w", {"F32", {1, 2}, {1, 10}}},
                  {"b", {"F32", {1}, {0.5}}},
                  {"f", {"F32", {2}, {3, 4}}},
                  {"m", {"F32", {2}, {1, 2}}},
                  {"s", {"F32", {2}, {2, 4}}}};
  SECTION("filled first, then standardised") {
    const auto model = load(
        dense_file(tensors, one_layer("regression", "identity", R"({"fill":"f","mean":"m","scale":"s"})")));
    REQUIRE(model.has_value());
    // (3 - 1) / 2 + 10 * (6 - 2) / 4 + 0.5 and (1 - 1) / 2 + 10 * (4 - 2) / 4 + 0.5
    CHECK(ask(**model, {missing, 6, 1, missing}) == std::vector<float>{11.5F, 5.5F});
  }
  SECTION("without fill values the error says where it is, counted over the whole request") {
    const auto model = load(dense_file(tensors, one_layer("regression", "identity")));
    REQUIRE(model.has_value());
    std::vector<float> x(2 * kRows, 1);
    x[2 * 63 + 1] = missing;
    const auto answer = ask(**model, x);
    REQUIRE_FALSE(answer.has_value());
    CHECK(answer.error().code == Errc::model_failed);
    CHECK(answer.error().what.starts_with("row 63 feature 1 is missing"));
    CHECK(answer.error().where == "m.safetensors");
    x[2 * 63 + 1] = 1;
    CHECK(ask(**model, x).has_value());
  }
}

TEST_CASE("dense: sigmoids over several classes are divided by their sum, even when all are 0", "[dense]") {
  const std::string dtype = GENERATE("F32", "F64");
  const auto model = load(dense_file({{"w", {dtype, {2, 2}, {1, 0, 0, 1}}}, {"b", {dtype, {2}, {0, 0}}}},
                                     one_layer("classification", "sigmoid")));
  REQUIRE(model.has_value());
  CHECK((*model)->shape().kind == OutputKind::probabilities);
  const auto answer = ask(**model, {0, 0, -1e30F, -1e30F, 1e30F, -1e30F});
  CHECK(answer == std::vector<float>{0.5F, 0.5F, 0.5F, 0.5F, 1, 0});
}

TEST_CASE("dense: a softmax may stand between layers", "[dense]") {
  const std::string dtype = GENERATE("F32", "F64");
  const auto model =
      load(dense_file({{"w", {dtype, {2, 2}, {1, 0, 0, 1}}}, {"v", {dtype, {1, 2}, {100, 10}}}},
                      R"({"version":1,"task":"regression","layers":[{"weight":"w","activation":"softmax"},
                                         {"weight":"v"}]})"));
  if (!model) FAIL(describe(model.error()));
  CHECK(ask(**model, {7, 7, 200, 0, 0, 200}) == std::vector<float>{55, 100, 10});
}

TEST_CASE("dense: a transposed weight is [inputs][outputs]", "[dense]") {
  const auto model =
      load(dense_file({{"w", {"F32", {2, 3}, {1, 2, 3, 4, 5, 6}}}, {"v", {"F32", {1, 3}, {100, 10, 1}}}},
                      R"({"version":1,"task":"regression","layers":[{"weight":"w","transpose":true},
                                         {"weight":"v","activation":"relu"}]})"));
  if (!model) FAIL(describe(model.error()));
  CHECK((*model)->shape().features == 2);
  CHECK(ask(**model, {1, 0, 0, 1, -1, 0}) == std::vector<float>{123, 456, 0});
}

TEST_CASE("dense: a layer list that does not fit its tensors says where", "[dense]") {
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensors tensors{{"w", {"F32", {2, 2}, {1, 2, 3, 4}}},
                        {"b", {"F32", {2}, {1, 2}}},
                        {"v", {"F32", {1, 3}, {1, 2, 3}}},
                        {"one", {"F32", {1, 2}, {1, 2}}},
                        {"integers", {"I32", {2, 2}, {1, 2, 3, 4}}},
                        {"bad", {"F32", {2, 2}, {1, 2, infinity, 4}}},
                        {"zero", {"F32", {2}, {1, 0}}},
                        {"empty", {"F32", {0, 2}, {}}}};
  struct Wrong {
    std::string layers;
    const char* what;
    const char* where;
  };
  const auto list = [](const char* layers, const char* task = "classification") {
    return fmt::format(R"({{"version":1,"task":"{}","layers":{}}})", task, layers);
  };
  const std::vector<Wrong> all{
      {"", "is not valid JSON", "tutti.layers"},
      {"[]", "is not an object", "tutti.layers"},
      {R"({"version":2,"task":"regression","layers":[]})", "'version' is missing or not 1", "tutti.layers"},
      {R"({"version":1,"task":"ranking","layers":[]})", "task 'ranking'", "task"},
      {R"({"version":1,"layers":[]})", "'task' is missing", "tutti.layers"},
      {R"({"version":1,"task":"regression","layer":[]})", "key 'layer' is not known", "tutti.layers"},
      {list("[]"), "'layers' is not a list of 1 to", "tutti.layers"},
      {list("[7]"), "is not an object", "layers[0]"},
      {list(R"([{"bias":"b"}])"), "'weight' is missing", "layers[0]"},
      {list(R"([{"weight":"no"}])"), "no tensor 'no'", "layers[0].weight"},
      {list(R"([{"weight":"b"}])"), "tensor 'b' has shape [2]", "layers[0].weight"},
      {list(R"([{"weight":"empty"}])"), "tensor 'empty' has shape [0, 2]", "layers[0].weight"},
      {list(R"([{"weight":"integers"}])"), "tensor 'integers' is I32", "layers[0].weight"},
      {list(R"([{"weight":"w"},{"weight":"w"}])"), "tensor 'w' is used twice", "layers[1].weight"},
      {list(R"([{"weight":"one","bias":"b"}])"), "tensor 'b' has 2 numbers; the layer has 1 outputs",
       "layers[0].bias"},
      {list(R"([{"weight":"w"},{"weight":"v"}])"), "tensor 'v' has 3 inputs; the layer before it has 2",
       "layers[1].weight"},
      {list(R"([{"weight":"w","activation":"swish"}])"), "activation 'swish'", "layers[0].activation"},
      {list(R"([{"weight":"w","activation":1}])"), "'activation' is missing or not a text", "layers[0]"},
      {list(R"([{"weight":"w","transpose":1}])"), "is not true or false", "layers[0].transpose"},
      {list(R"([{"weight":"w","activation":"relu"}])"), "does not give probabilities", "layers[0]"},
      {list(R"([{"weight":"one","activation":"softmax"}])"), "does not give probabilities", "layers[0]"},
      {list(R"([{"weight":"w"}])", "regression"), "has 1 output, this one 2", "layers[0]"},
      {list(R"([{"weight":"one","activation":"softmax"}])", "regression"), "always 1", "layers[0]"},
      {list(R"([{"weight":"bad","activation":"softmax"}])"), "number 2 is inf", "tensor 'bad'"},
      {R"({"version":1,"task":"regression","input":[],"layers":[{"weight":"one"}]})", "is not an object",
       "input"},
      {R"({"version":1,"task":"regression","input":{"mean":"v"},"layers":[{"weight":"one"}]})",
       "shape [1, 3]", "input.mean"},
      {R"({"version":1,"task":"regression","input":{"mean":"b"},"layers":[{"weight":"v"}]})",
       "has 2 numbers; the first layer has 3", "input.mean"},
      {R"({"version":1,"task":"regression","input":{"scale":"zero"},"layers":[{"weight":"one"}]})",
       "number 1 is 0", "tensor 'zero'"},
  };
  for (const Wrong& wrong : all) {
    CAPTURE(wrong.layers);
    const auto model = load(dense_file(tensors, wrong.layers));
    REQUIRE_FALSE(model.has_value());
    CAPTURE(describe(model.error()));
    CHECK(model.error().code == Errc::bad_model);
    CHECK(model.error().what.find(wrong.what) != std::string::npos);
    CHECK(model.error().where.starts_with("m.safetensors: "));
    CHECK(model.error().where.ends_with(wrong.where));
    CHECK_FALSE(model.error().hint.empty());
  }
}

TEST_CASE("dense: a safetensors file without a layer list says how to make one", "[dense]") {
  std::string file(8, '\0');
  file[0] = 2;
  const auto model = load(file + "{}");
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().what == "the metadata has no 'tutti.layers'");
  CHECK(model.error().hint.find("dense_export.py") != std::string::npos);
}

TEST_CASE("dense: a layer list as deep as a file allows does not overflow the stack", "[dense]") {
  const auto model = load(dense_file({}, std::string(1'000'000, '[')));
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().what.find("nested deeper") != std::string::npos);
}
