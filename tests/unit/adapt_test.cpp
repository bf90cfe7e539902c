// From a model's outputs to the ensemble's, and from a path to a model.
#include "worker/adapt.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "shared/limits.hpp"
#include "tests/catch.hpp"
#include "tests/unit/xgboost_fixture.hpp"
#include "worker/file.hpp"
#include "worker/model.hpp"

namespace {

using namespace tutti;

/// Answers the same numbers whatever it is asked: row r gets numbers[r * outputs …].
class Fixed final : public Model {
 public:
  Fixed(ModelShape shape, std::vector<float> numbers) : shape_(shape), numbers_(std::move(numbers)) {}
  [[nodiscard]] ModelShape shape() const noexcept override { return shape_; }
  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    REQUIRE(out.columns == shape_.outputs);
    REQUIRE(out.rows == x.rows);
    if (numbers_.empty())
      return std::unexpected(Error{.code = Errc::model_failed, .what = "no", .where = {}, .hint = {}});
    std::copy_n(numbers_.begin(), out.size(), out.data);
    return {};
  }

 private:
  ModelShape shape_;
  std::vector<float> numbers_;
};

ModelSource ensemble(bool classification, std::uint32_t outputs, std::uint32_t features = 2) {
  ModelSource source;
  source.path = "/models/boosted.json";
  source.classification = classification;
  source.features = features;
  source.outputs = outputs;
  source.rows_max = 16;
  return source;
}

/// The adapted answer to `rows` rows, or the error of adapting or predicting.
Result<std::vector<float>> adapted(ModelShape shape, std::vector<float> numbers, const ModelSource& source,
                                   std::uint32_t rows) {
  const auto model = adapt(std::make_unique<Fixed>(shape, std::move(numbers)), source);
  if (!model) return std::unexpected(model.error());
  CHECK((*model)->shape().outputs == source.outputs);
  CHECK((*model)->shape().features == source.features);
  const std::vector<float> x(std::size_t{rows} * source.features);
  std::vector<float> out(std::size_t{rows} * source.outputs, -1.0F);
  const Result<void> done =
      (*model)->predict({x.data(), rows, source.features}, {out.data(), rows, source.outputs});
  if (!done) return std::unexpected(done.error());
  return out;
}

void check_mismatch(ModelShape shape, const ModelSource& source, const std::vector<std::string>& named) {
  const auto result = adapted(shape, {0.0F}, source, 1);
  REQUIRE_FALSE(result.has_value());
  INFO(describe(result.error()));
  CHECK(result.error().code == Errc::shape_mismatch);
  CHECK(result.error().where == "boosted.json");
  CHECK_FALSE(result.error().hint.empty());
  for (const std::string& part : named) CHECK(result.error().what.find(part) != std::string::npos);
}

TEST_CASE("adapt: one probability becomes two columns, the first 1 - p in float32", "[adapt]") {
  const auto out = adapted({.features = 2, .outputs = 1, .kind = OutputKind::probability},
                           {0.25F, 0.1F, 1.0F, 0.0F, 0.7F}, ensemble(true, 2), 5);
  REQUIRE(out.has_value());
  CHECK(*out ==
        std::vector<float>{0.75F, 0.25F, 1.0F - 0.1F, 0.1F, 0.0F, 1.0F, 1.0F, 0.0F, 1.0F - 0.7F, 0.7F});
}

TEST_CASE("adapt: a class index becomes a column of ones", "[adapt]") {
  const ModelShape shape{.features = 2, .outputs = 1, .kind = OutputKind::class_index, .classes = 3};
  const auto out = adapted(shape, {2.0F, 0.0F, 1.0F, 2.0F}, ensemble(true, 3), 4);
  REQUIRE(out.has_value());
  CHECK(*out == std::vector<float>{0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1});
  // One class only: the answer is as long as the model's own.
  const auto one = adapted({.features = 2, .outputs = 1, .kind = OutputKind::class_index}, {0.0F, 0.0F},
                           ensemble(true, 1), 2);
  REQUIRE(one.has_value());
  CHECK(*one == std::vector<float>{1, 1});
}

TEST_CASE("adapt: a class index that is no class fails the request and names the row", "[adapt]") {
  const ModelShape shape{.features = 2, .outputs = 1, .kind = OutputKind::class_index};
  for (const float index : {3.0F, -1.0F, 1.5F, 1e30F, std::numeric_limits<float>::quiet_NaN(),
                            std::numeric_limits<float>::infinity()}) {
    const auto out = adapted(shape, {0.0F, index, 1.0F}, ensemble(true, 3), 3);
    INFO(index);
    REQUIRE_FALSE(out.has_value());
    CHECK(out.error().code == Errc::model_failed);
    CHECK(out.error().where == "row 1");
    CHECK(out.error().what.find(fmt::format("{}", index)) != std::string::npos);
  }
}

TEST_CASE("adapt: what fits already is passed on, and a model's own failure too", "[adapt]") {
  const auto three = adapted({.features = 2, .outputs = 3, .kind = OutputKind::probabilities},
                             {0.5F, 0.25F, 0.25F}, ensemble(true, 3), 1);
  REQUIRE(three.has_value());
  CHECK(*three == std::vector<float>{0.5F, 0.25F, 0.25F});
  for (const OutputKind kind : {OutputKind::value, OutputKind::probability}) {
    const auto value = adapted({.features = 2, .outputs = 1, .kind = kind}, {0.75F}, ensemble(false, 1), 1);
    REQUIRE(value.has_value());
    CHECK(*value == std::vector<float>{0.75F});
  }
  const auto failed =
      adapted({.features = 2, .outputs = 1, .kind = OutputKind::probability}, {}, ensemble(true, 2), 1);
  REQUIRE_FALSE(failed.has_value());
  CHECK(failed.error().what == "no");
}

TEST_CASE("adapt: a model of another ensemble is refused, both sides named", "[adapt]") {
  check_mismatch({.features = 30, .outputs = 1}, ensemble(false, 1, 31), {"30 features", "ensemble has 31"});
  check_mismatch({.features = 2, .outputs = 3, .kind = OutputKind::probabilities}, ensemble(true, 4),
                 {"3", "4"});
  check_mismatch({.features = 2, .outputs = 1, .kind = OutputKind::probability}, ensemble(true, 3),
                 {"2", "3"});
  check_mismatch({.features = 2, .outputs = 1, .kind = OutputKind::class_index, .classes = 3},
                 ensemble(true, 5), {"3", "5"});
  check_mismatch({.features = 2, .outputs = 4, .kind = OutputKind::probability}, ensemble(true, 4), {"4"});
  check_mismatch({.features = 2, .outputs = 1, .kind = OutputKind::value}, ensemble(true, 2),
                 {"value", "2 classes"});
  check_mismatch({.features = 2, .outputs = 3, .kind = OutputKind::value}, ensemble(false, 1),
                 {"3 values", "needs 1"});
  check_mismatch({.features = 2, .outputs = 3, .kind = OutputKind::probabilities}, ensemble(false, 1),
                 {"3 classes"});
  check_mismatch({.features = 2, .outputs = 1, .kind = OutputKind::class_index}, ensemble(false, 1),
                 {"a class"});
}

/// A folder of its own, gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tutti-adapt-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string at(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, std::string_view bytes) const {
    std::ofstream(at(name), std::ios::binary) << bytes;
    return at(name);
  }

 private:
  std::filesystem::path path_;
};

Error load_error(const std::string& path, const std::string& kind = "") {
  ModelSource source = ensemble(false, 1);
  source.path = path;
  source.kind = kind;
  const auto model = load_model(source);
  REQUIRE_FALSE(model.has_value());
  INFO(describe(model.error()));
  CHECK_FALSE(model.error().what.empty());
  CHECK(model.error().where.starts_with(path.substr(path.find_last_of('/') + 1)));
  CHECK_FALSE(model.error().hint.empty());
  return model.error();
}

TEST_CASE("load: an XGBoost model is recognised in both encodings and fitted to the ensemble", "[load]") {
  for (const std::string file : {"multi_softmax.json", "multi_softmax.ubj", "binary_logistic.ubj"}) {
    const bool binary = file.starts_with("binary");
    ModelSource source = ensemble(true, binary ? 2 : 3, 6);
    source.path = fixture::xgboost_path(file);
    for (const std::string kind : {"", "xgboost"}) {
      source.kind = kind;
      const auto model = load_model(source);
      if (!model) FAIL(describe(model.error()));
      CHECK((*model)->shape().outputs == source.outputs);
      CHECK((*model)->shape().kind == OutputKind::probabilities);
    }
  }
}

TEST_CASE("load: a file of no known kind is refused with its first bytes and the kinds there are", "[load]") {
  const Folder folder;
  const Error unknown = load_error(folder.write("notes.txt", "hello"));
  CHECK(unknown.code == Errc::bad_model);
  CHECK(unknown.what.find("68 65 6c 6c 6f") != std::string::npos);
  for (const char* kind : {"xgboost", "lightgbm", "scikit", "dense", "onnx", "plugin"})
    CHECK(unknown.hint.find(kind) != std::string::npos);

  CHECK(load_error(folder.write("model.pkl", "\x80\x04\x95")).what.find("pickle") != std::string::npos);
  CHECK(load_error(folder.write("model.txt", "tree\nversion=v4")).where == "model.txt:2");
  CHECK(load_error(folder.write("model.bin", "binf....")).hint.find("save_model") != std::string::npos);
  CHECK(load_error(folder.write("rows.json", "{\"rows\": []}")).what.find("not an XGBoost model") !=
        std::string::npos);
  CHECK(load_error(folder.write("spaced.json", " \n{ \"rows\": []}")).what.find("not an XGBoost") !=
        std::string::npos);
  CHECK(load_error(folder.write("cut.json", "{")).where.starts_with("cut.json: byte"));
  CHECK(load_error(folder.write("any.bin", "{}"), "magic").what.find("\"magic\"") != std::string::npos);
}

TEST_CASE("load: a path that is no readable regular file is refused without waiting", "[load]") {
  const Folder folder;
  CHECK(load_error(folder.write("empty.json", "")).what == "is empty");
  std::filesystem::create_directory(folder.at("folder"));
  CHECK(load_error(folder.at("folder")).what == "is a directory");
  // Opening a FIFO for reading waits for a writer, unless asked not to.
  REQUIRE(mkfifo(folder.at("fifo").c_str(), 0600) == 0);
  CHECK(load_error(folder.at("fifo")).what == "is not a regular file");
  CHECK(load_error("/dev/zero").what == "is not a regular file");
  const Error missing = load_error(folder.at("missing.json"));
  CHECK(missing.code == Errc::system);
  CHECK(missing.what.find("No such file") != std::string::npos);
}

TEST_CASE("load: a file larger than the limit is refused before any of it is read", "[load]") {
  const Folder folder;
  const std::string path = folder.write("huge.json", "{");
  REQUIRE(truncate(path.c_str(), static_cast<off_t>(kModelBytesMax) + 1) == 0);  // a hole: it takes no space
  CHECK(load_error(path).what.find("more than 4294967296") != std::string::npos);
}

TEST_CASE("load: symbolic links are followed", "[load]") {
  const Folder folder;
  std::filesystem::create_symlink(fixture::xgboost_path("reg_gamma.json"), folder.at("current"));
  ModelSource source = ensemble(false, 1, 6);
  source.path = folder.at("current");
  CHECK(load_model(source).has_value());
}

}  // namespace
