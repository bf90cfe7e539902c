#include "worker/preprocess.hpp"

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/catch.hpp"
#include "worker/tree_model.hpp"
#include "worker/wide_tree.hpp"

namespace {

using namespace tutti;
using Kind = ColumnStep::Kind;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Chance {
  std::mt19937 generator;
  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(generator()) % end; }
  /// Any bits but those of a NaN.
  float any_float() {
    while (true) {
      const auto x = std::bit_cast<float>(static_cast<std::uint32_t>(generator()));
      if (!std::isnan(x)) return x;
    }
  }
  float number() { return static_cast<float>(below(4001)) / 512.0F - 3.9F; }
};

TEST_CASE("preprocess: every step rounds to float32 by itself, and only some change NaN", "[preprocess]") {
  const auto run = [](Kind kind, double number, float x) {
    const ColumnStep step{.kind = kind, .number = number};
    return run_steps(std::span(&step, 1), x);
  };
  CHECK(run(Kind::subtract, 0.1, 1.0F) == static_cast<float>(1.0 - 0.1));
  CHECK(run(Kind::add, 0.1, 1.0F) == static_cast<float>(1.0 + 0.1));
  CHECK(run(Kind::divide, 3.0, 1.0F) == static_cast<float>(1.0 / 3.0));
  CHECK(run(Kind::multiply, 0.1, 3.0F) == static_cast<float>(0.1 * 3.0));
  CHECK(run(Kind::at_least, 0.5, -2.0F) == 0.5F);
  CHECK(run(Kind::at_most, 0.5, 2.0F) == 0.5F);
  CHECK(run(Kind::at_most, 0.5, 0.25F) == 0.25F);
  CHECK(run(Kind::fill_missing, 0.5, kNan) == 0.5F);
  CHECK(run(Kind::fill_missing, 0.5, 2.0F) == 2.0F);
  CHECK(run(Kind::equals, 2.0, 2.0F) == 1.0F);
  CHECK(run(Kind::equals, 2.0, kNan) == 0.0F);
  CHECK(run(Kind::equals, std::numeric_limits<double>::quiet_NaN(), kNan) == 1.0F);
  CHECK(std::isnan(run(Kind::tiny_is_missing, 1e-30, -1e-31F)));
  CHECK(run(Kind::tiny_is_missing, 1e-30, 1e-29F) == 1e-29F);
  for (const Kind kind :
       {Kind::subtract, Kind::divide, Kind::multiply, Kind::add, Kind::at_least, Kind::at_most})
    CHECK(std::isnan(run(kind, 0.5, kNan)));
}

TEST_CASE("preprocess: a folded threshold decides as the chain and the threshold do", "[preprocess]") {
  // Method: random chains and thresholds, asked of the folded threshold's neighbours, of any bits at all and
  // of the ends of float32.
  Chance chance{std::mt19937(20261123)};
  std::uint32_t folded_count = 0;
  for (std::uint32_t round = 0; round < 3000; ++round) {
    std::vector<ColumnStep> steps;
    for (std::uint32_t count = 1 + chance.below(4); count > 0; --count) {
      const auto kind = static_cast<Kind>(chance.below(7));
      double number = double{chance.number()} + 1e-9 * chance.below(1000);
      if (kind == Kind::divide || kind == Kind::multiply) number = std::abs(number) + 1e-3;
      steps.push_back({.kind = kind, .number = number});
    }
    REQUIRE(can_fold(steps));
    const float threshold = chance.below(4) == 0 ? chance.any_float() : chance.number();
    const std::optional<float> folded = fold(steps, threshold);
    std::vector<float> asked{0.0F, -0.0F, kInfinity, -kInfinity, std::numeric_limits<float>::max()};
    for (int index = 0; index < 20; ++index) asked.push_back(chance.any_float());
    if (folded) {
      ++folded_count;
      for (const float x : {*folded, std::nextafter(*folded, kInfinity), std::nextafter(*folded, -kInfinity)})
        asked.push_back(x);
    }
    for (const float x : asked) {
      INFO("round " << round << ", x " << x << ", threshold " << threshold);
      CHECK((run_steps(steps, x) < threshold) == (folded ? x < *folded : true));
    }
  }
  CHECK(folded_count > 2000);
}

TEST_CASE("preprocess: what falls, or makes NaN of a number, is not folded", "[preprocess]") {
  const auto foldable = [](Kind kind, double number) {
    const ColumnStep step{.kind = kind, .number = number};
    return can_fold(std::span(&step, 1));
  };
  CHECK(foldable(Kind::multiply, 2.0));
  CHECK_FALSE(foldable(Kind::multiply, -2.0));
  CHECK_FALSE(foldable(Kind::multiply, 0.0));
  CHECK_FALSE(foldable(Kind::divide, -1.0));
  CHECK_FALSE(foldable(Kind::subtract, std::numeric_limits<double>::infinity()));
  CHECK_FALSE(foldable(Kind::equals, 1.0));
  CHECK_FALSE(foldable(Kind::tiny_is_missing, 1.0));
}

TEST_CASE("preprocess: a double's threshold becomes the float32 that decides alike", "[preprocess]") {
  Chance chance{std::mt19937(7)};
  const double special[] = {0.0,
                            -0.0,
                            1e-60,
                            -1e-60,
                            1e300,
                            -1e300,
                            1e-40,
                            double{std::numeric_limits<float>::max()},
                            -double{std::numeric_limits<float>::max()}};
  for (std::uint32_t round = 0; round < 3000; ++round) {
    double t = round < std::size(special) ? special[round] : double{chance.any_float()};
    if (round >= std::size(special) && round % 2 == 0) t *= 1.0 + 1e-12;
    if (std::isinf(t)) continue;
    const float threshold = strict_threshold(t);
    for (const float x :
         {threshold, std::nextafter(threshold, -kInfinity), std::nextafter(threshold, kInfinity), kInfinity,
          -kInfinity, chance.any_float(), 0.0F}) {
      INFO("x " << x << ", t " << t);
      CHECK((double{x} <= t) == (x < threshold));
    }
  }
}

TEST_CASE("preprocess: a model behind columns is asked about them, in any number of rows", "[preprocess]") {
  // One tree: column 2 < 0.5 answers 1, else 2. Column 2 says whether feature 0 is 3.
  Forest forest;
  forest.features = 3;
  forest.wide = true;
  forest.wide_base_margins = {0.0};
  const std::vector<WideNode> nodes{
      {.leaf = false, .threshold = 0.5F, .feature = 2, .children = {1, 2}}, {.value = 1.0}, {.value = 2.0}};
  REQUIRE(append_wide_tree(nodes, {}, 0, forest).has_value());
  Preprocess preprocess{.features = 2,
                        .columns = {{.from = 1}, {.from = 0}, {.from = 0, .first_step = 0, .step_count = 1}},
                        .steps = {{.kind = Kind::equals, .number = 3.0}}};
  const auto model = with_preprocess(std::move(preprocess), make_tree_model(std::move(forest)));
  REQUIRE(model->shape().features == 2);
  std::vector<float> x;
  for (std::uint32_t row = 0; row < 700; ++row) x.insert(x.end(), {static_cast<float>(row % 5), kNan});
  std::vector<float> out(700, kNan);
  REQUIRE(model->predict({x.data(), 700, 2}, {out.data(), 700, 1}).has_value());
  for (std::uint32_t row = 0; row < 700; ++row) CHECK(out[row] == (row % 5 == 3 ? 2.0F : 1.0F));
}

}  // namespace
