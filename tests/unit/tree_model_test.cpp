// A tree model's way from the interpreter to tier 1, as those see it who ask it and those who watch it.
#include "worker/tree_model.hpp"

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/random_forest.hpp"
#include "worker/jit/compiler.hpp"

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
using fixture::ForestMaker;
using fixture::Shape;

constexpr Shape kShape{.features = 5, .trees = 400, .depth = 6, .leaf_percent = 5};

std::vector<std::uint32_t> answer_of(Model& model, const std::vector<float>& x) {
  const auto rows = static_cast<std::uint32_t>(x.size() / kShape.features);
  std::vector<float> out(rows);
  REQUIRE(model.predict({x.data(), rows, kShape.features}, {out.data(), rows, 1}).has_value());
  std::vector<std::uint32_t> bits;
  for (const float number : out) bits.push_back(std::bit_cast<std::uint32_t>(number));
  return bits;
}

TEST_CASE("tree model: it changes tiers between calls, and no answer changes", "[tree_model]") {
  ForestMaker maker(1);
  const Forest forest = maker.forest(kShape);
  const std::vector<float> x = maker.rows(kShape, 37, 10);
  const auto interpreted = make_tree_model(forest, {.mode = JitSettings::Mode::off});
  const std::vector<std::uint32_t> wanted = answer_of(*interpreted, x);
  CHECK(interpreted->tiers()->tier == 0);
  CHECK(interpreted->tiers()->why_not == "jit is off");

  const auto model = make_tree_model(forest, {.threshold = 3});
  std::uint32_t calls = 0;
  for (; model->tiers()->tier == 0 && calls < 1000; ++calls) CHECK(answer_of(*model, x) == wanted);
  // More than one slice: the forest is larger than what one call builds.
  CHECK(calls > 4);
  CHECK(calls < 1000);
  CHECK(answer_of(*model, x) == wanted);

  const TierReport& report = *model->tiers();
  CHECK(report.why_not.empty());
  CHECK(report.tiers[0].calls == calls);
  CHECK(report.tiers[1].calls == 1);
  CHECK(report.tiers[1].rows == 37);
  CHECK(report.tiers[1].batches[5] == 1);
  CHECK(report.bytes > 0);
  CHECK_FALSE(std::string(report.kernels).empty());
}

TEST_CASE("tree model: predicting allocates nothing", "[tree_model]") {
  // Method: batches that every way of answering takes, shallow trees and deep ones, with missing numbers.
  ForestMaker maker(4);
  for (const std::uint32_t depth : {6U, 12U}) {
    Shape shape = kShape;
    shape.depth = depth;
    const std::size_t at_start = allocations;
    const auto model = make_tree_model(maker.forest(shape), {.threshold = 0});
    REQUIRE(allocations > at_start + 10);  // the counter counts
    const std::vector<float> x = maker.rows(shape, 300, 10);
    std::vector<float> out(300);
    for (const std::uint32_t rows : {1U, 7U, 33U, 300U}) {
      const std::size_t before = allocations;
      const bool answered =
          model->predict({x.data(), rows, shape.features}, {out.data(), rows, 1}).has_value();
      const std::size_t after = allocations;
      REQUIRE(answered);
      REQUIRE(after == before);
    }
  }
}

TEST_CASE("tree model: a small forest begins in tier 1, and threshold 0 means so for any", "[tree_model]") {
  ForestMaker maker(2);
  CHECK(make_tree_model(maker.forest(kShape))->tiers()->tier == 1);
  CHECK(make_tree_model(maker.forest(kShape), {.threshold = 0})->tiers()->tier == 1);
  CHECK(make_tree_model(maker.forest(kShape), {.threshold = 1})->tiers()->tier == 0);
}

TEST_CASE("tree model: what tier 1 does not suit is answered by the interpreter, and says so",
          "[tree_model]") {
  ForestMaker maker(3);
  Forest forest = maker.forest(kShape);
  forest.category_splits.push_back({});
  const auto model = make_tree_model(forest, {.threshold = 0});
  CHECK(model->tiers()->tier == 0);
  CHECK(model->tiers()->why_not == "it has categorical splits");
}

TEST_CASE("tree model: compiled when it is loaded it answers the same, and each tier counts what it answers",
          "[tree_model][jit]") {
  jit::open_compiler();
  ForestMaker maker(6);
  Shape shape = kShape;
  shape.depth = 12;
  const Forest forest = maker.forest(shape);
  const auto interpreted = make_tree_model(forest, {.mode = JitSettings::Mode::off});
  const auto model = make_tree_model(forest, {.compile = true});
  const TierReport& report = *model->tiers();
  // Which tier is faster is measured, and not for a test to know.
  CHECK((report.tier == 2) == report.why_not.empty());
  CHECK((report.tier == 2) == (report.code_bytes > 0));
  CHECK(report.compile_ns > 0);
  for (const std::uint32_t rows : {1U, 5U, 300U}) {
    const std::vector<float> x = maker.rows(shape, rows, 10);
    std::vector<float> wanted(rows);
    std::vector<float> out(rows);
    REQUIRE(interpreted->predict({x.data(), rows, shape.features}, {wanted.data(), rows, 1}).has_value());
    REQUIRE(model->predict({x.data(), rows, shape.features}, {out.data(), rows, 1}).has_value());
    CHECK(out == wanted);
  }
  CHECK(report.tiers[0].calls == 0);
  CHECK(report.tiers[1].calls + report.tiers[2].calls == 3);
}

}  // namespace
