// XGBoost files that are right: every answer has the bits that XGBoost gave.
#include "worker/xgboost.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/xgboost_fixture.hpp"

namespace {

using namespace tutti;
using fixture::Npy;
using nlohmann::json;

/// How many numbers differ in any bit.
std::size_t different(const std::vector<float>& left, std::span<const float> right) {
  std::size_t count = 0;
  for (std::size_t index = 0; index < right.size(); ++index) {
    if (std::bit_cast<std::uint32_t>(left[index]) != std::bit_cast<std::uint32_t>(right[index])) ++count;
  }
  return count;
}

/// The model at `file` answers the first rows of `rows` as `expected` has them, in batches of any size.
void check_bits(const std::string& file, const std::string& rows, const std::string& expected) {
  INFO(file);
  const Npy<float> x = fixture::read_npy<float>(fixture::xgboost_path(rows));
  const Npy<float> wanted = fixture::read_npy<float>(fixture::xgboost_path(expected));
  const auto model = fixture::load(file);
  if (!model) FAIL(describe(model.error()));
  REQUIRE((*model)->shape().features == x.columns);
  REQUIRE((*model)->shape().outputs == wanted.columns);
  REQUIRE(wanted.rows == x.rows);
  for (const std::uint32_t batch : {x.rows, 1U, 7U, 64U}) {
    INFO("batches of " << batch);
    CHECK(different(fixture::answers(**model, x, batch), wanted.values) == 0);
  }
}

struct Known {
  const char* name;
  OutputKind kind;
};
constexpr Known kModels[] = {
    {"reg_squarederror", OutputKind::value},
    {"reg_pseudohubererror", OutputKind::value},
    {"reg_absoluteerror", OutputKind::value},
    {"reg_squaredlogerror", OutputKind::value},
    {"reg_gamma", OutputKind::value},
    {"reg_tweedie", OutputKind::value},
    {"count_poisson", OutputKind::value},
    {"survival_cox", OutputKind::value},
    {"survival_aft", OutputKind::value},
    {"reg_logistic", OutputKind::probability},
    {"binary_logistic", OutputKind::probability},
    {"binary_logitraw", OutputKind::value},
    {"binary_hinge", OutputKind::class_index},
    {"multi_softprob", OutputKind::probabilities},
    {"multi_softmax", OutputKind::class_index},
    {"rank_pairwise", OutputKind::value},
    {"forest", OutputKind::value},
    {"dart_softprob", OutputKind::probabilities},
    {"linear_softprob", OutputKind::probabilities},
    {"linear_poisson", OutputKind::value},
    {"no_trees", OutputKind::value},
};

TEST_CASE("xgboost: every objective answers with XGBoost's own bits, missing values among the rows",
          "[xgboost]") {
  // Goal: a model that moves here from XGBoost 1.7.4 changes no bit of any answer.
  // Method: models and answers that XGBoost wrote (make_models.py), from JSON and from UBJSON; one row in
  // seven numbers is missing, and both zeros occur.
  for (const Known& known : kModels) {
    for (const char* ending : {".json", ".ubj"}) {
      check_bits(std::string(known.name) + ending, "rows.npy", std::string(known.name) + ".npy");
    }
  }
}

TEST_CASE("xgboost: what an objective's numbers mean is known", "[xgboost]") {
  for (const Known& known : kModels) {
    INFO(known.name);
    const auto model = fixture::load(std::string(known.name) + ".json");
    REQUIRE(model.has_value());
    CHECK((*model)->shape().kind == known.kind);
    const bool index = known.kind == OutputKind::class_index;
    CHECK((*model)->shape().classes == (!index ? 0U : std::string(known.name) == "binary_hinge" ? 2U : 3U));
  }
}

TEST_CASE("xgboost: categorical splits answer with XGBoost's own bits, also for values that are no category",
          "[xgboost]") {
  // The rows hold fractions, categories nobody trained with, and numbers around 2^24. The JSON file holds the
  // literal NaN, which is not JSON but what XGBoost writes as the threshold of such a split.
  CHECK(fixture::read_bytes(fixture::xgboost_path("category_sets.json")).find("NaN") != std::string::npos);
  for (const std::string name : {"category_sets", "category_onehot"}) {
    for (const char* ending : {".json", ".ubj"})
      check_bits(name + ending, "rows_category.npy", name + ".npy");
  }
}

TEST_CASE("xgboost: a category that is negative goes left", "[xgboost]") {
  // XGBoost refuses such a row when it is asked through a DMatrix, so no expectation of its own exists; its
  // decision function sends it left.
  json model = fixture::small_model();
  json& tree = model["learner"]["gradient_booster"]["model"]["trees"][0];
  tree["split_type"] = {1, 0, 0};
  tree["categories"] = {0, 3};
  tree["categories_nodes"] = {0};
  tree["categories_segments"] = {0};
  tree["categories_sizes"] = {2};
  const auto parsed = fixture::parse(model.dump());
  if (!parsed) FAIL(describe(parsed.error()));
  const Npy<float> x{{-1, 0, -0.5F, 0, 0, 0, 3.9F, 0, 2, 0}, 5, 2};
  // 0.5 + (left -1.25, right 2.5) + 0.125 of the second tree.
  CHECK(fixture::answers(**parsed, x, 5) == std::vector<float>{-0.625F, -0.625F, 3.125F, 3.125F, -0.625F});
}

TEST_CASE("xgboost: models of the two versions that write other layouts keep their bits", "[xgboost]") {
  // 3.4.1: base_score as a list, dart's weights inside the model. 1.7.4: dart's trees one level deeper.
  check_bits("xgb_diabetes_dart.json", "diabetes_X.npy", "xgb_diabetes_dart_expected.npy");
  check_bits("xgb_diabetes_dart.xgb341.json", "diabetes_X.npy", "xgb_diabetes_dart_expected.npy");
  check_bits("xgb_diabetes_gblinear.xgb341.json", "diabetes_X.npy", "xgb_diabetes_gblinear_expected.npy");
  check_bits("xgb_diabetes_reg_gamma.json", "diabetes_X.npy", "xgb_diabetes_reg_gamma_expected.npy");
  check_bits("xgb_wine_softmax.json", "wine_X.npy", "xgb_wine_softmax_expected.npy");
  check_bits("xgb_bc_200.xgb341.json", "bc_X.npy", "xgb_bc_200_expected.npy");
}

TEST_CASE("xgboost: the margin before the link has XGBoost's own bits", "[xgboost]") {
  // Goal: the sum itself is right; a link function could hide a last bit.
  // Method: the same trees under logitraw, which has no link and takes base_score as the margin.
  json document = json::parse(fixture::read_bytes(fixture::xgboost_path("xgb_bc_200.xgb341.json")));
  REQUIRE(document["learner"]["objective"]["name"] == "binary:logistic");
  REQUIRE(document["learner"]["learner_model_param"]["base_score"] == "[6.3E-1]");
  document["learner"]["objective"]["name"] = "binary:logitraw";
  const float margin_of_base = -std::log(1.0F / 0.63F - 1.0F);
  document["learner"]["learner_model_param"]["base_score"] = fmt::format("[{:.9E}]", margin_of_base);
  const auto model = fixture::parse(document.dump());
  REQUIRE(model.has_value());
  const auto x = fixture::read_npy<float>(fixture::xgboost_path("bc_X.npy"));
  const auto margin = fixture::read_npy<float>(fixture::xgboost_path("xgb_bc_200_expected_margin.npy"));
  CHECK(different(fixture::answers(**model, x, x.rows), margin.values) == 0);
}

TEST_CASE("xgboost: base_score may be a number or a list, one for each output", "[xgboost]") {
  json model = fixture::small_model();
  json& param = model["learner"]["learner_model_param"];
  model["learner"]["objective"]["name"] = "multi:softprob";
  param["num_class"] = "3";
  model["learner"]["gradient_booster"]["model"]["tree_info"] = {0, 2};
  const Npy<float> x{{0.0F, 0.0F}, 1, 2};

  param["base_score"] = "[5E-1]";
  const auto one = fixture::parse(model.dump());
  param["base_score"] = "5E-1";
  const auto plain = fixture::parse(model.dump());
  // Leaves -1.25 and 0.125: these bases make all three margins equal, and the probabilities with them.
  param["base_score"] = "[1.25E0,0E0,-1.25E-1]";
  const auto three = fixture::parse(model.dump());
  REQUIRE((one && plain && three));
  CHECK(fixture::answers(**one, x, 1) == fixture::answers(**plain, x, 1));
  const float third = 1.0F / 3.0F;
  CHECK(fixture::answers(**three, x, 1) == std::vector<float>{third, third, third});
}

TEST_CASE("xgboost: pruned nodes that no parent points to may hold anything", "[xgboost]") {
  // XGBoost leaves deleted nodes in its arrays, marked with an impossible feature.
  json model = fixture::small_model();
  json& tree = model["learner"]["gradient_booster"]["model"]["trees"][0];
  tree["tree_param"]["num_nodes"] = "4";
  for (const char* array :
       {"left_children", "right_children", "default_left", "split_type", "split_conditions"}) {
    tree[array].push_back(-1);
  }
  tree["split_indices"].push_back(2147483647);
  const auto parsed = fixture::parse(model.dump());
  if (!parsed) FAIL(describe(parsed.error()));
  const Npy<float> x{{0.0F, 0.0F, 1.0F, 1.0F}, 2, 2};
  CHECK(fixture::answers(**parsed, x, 2) == std::vector<float>{-0.625F, -0.5F});
}

}  // namespace
