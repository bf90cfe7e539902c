// XGBoost files that are wrong: each becomes an error that says what and where, in JSON and in UBJSON.
#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "shared/limits.hpp"
#include "tests/catch.hpp"
#include "tests/unit/xgboost_fixture.hpp"
#include "worker/xgboost.hpp"

namespace {

using namespace tutti;
using nlohmann::json;

const std::string kModelPlace = "learner.gradient_booster.model";

/// A JSON document as UBJSON, with the counts and types that XGBoost writes.
std::string to_ubjson(const json& document) {
  std::string bytes;
  json::to_ubjson(document, bytes, true, true);
  return bytes;
}

/// One way to break the small model, and what the error must name.
struct Damage {
  std::string path;  // JSON pointer below the root, of what is replaced
  json value;
  std::string where;  // the error's place after "boosted.json: "
  std::string what;   // part of the error's text: the value seen
};

void check_damage(const Damage& damage) {
  json document = fixture::small_model();
  document[json::json_pointer(damage.path)] = damage.value;
  for (const bool text : {true, false}) {
    INFO(damage.path << " = " << damage.value << (text ? " in JSON" : " in UBJSON"));
    const auto model = fixture::parse(text ? document.dump() : to_ubjson(document));
    REQUIRE_FALSE(model.has_value());
    INFO(describe(model.error()));
    CHECK(model.error().code == Errc::bad_model);
    CHECK(model.error().where == "boosted.json: " + damage.where);
    CHECK(model.error().what.find(damage.what) != std::string::npos);
    CHECK_FALSE(model.error().hint.empty());
  }
}

/// Damage to the second tree.
Damage in_tree(const std::string& path, json value, const std::string& where, const std::string& what) {
  return {"/learner/gradient_booster/model/trees/1/" + path, std::move(value),
          kModelPlace + ".trees[1]" + where, what};
}

TEST_CASE("xgboost: a tree that is none is refused at the node that is wrong", "[xgboost]") {
  for (const Damage& damage : {
           // cycles, two parents, children that do not exist
           in_tree("left_children/2", 2, ".left_children[2]", "node 2 is reached a second time"),
           in_tree("left_children/2", 1, ".left_children[2]", "node 1 is reached a second time"),
           in_tree("right_children/2", 3, ".right_children[2]", "node 3 is reached a second time"),
           in_tree("left_children/0", 0, ".left_children[0]", "0 is not a child's number"),
           in_tree("right_children/0", 5, ".right_children[0]", "5 is not a child's number: not in [1, 5)"),
           in_tree("left_children/2", -2, ".left_children[2]", "-2"),
           in_tree("left_children/2", -1, ".left_children[2]", "-1"),
           in_tree("right_children/2", -1, ".right_children[2]", "-1"),
           in_tree("left_children/2", std::int64_t{1} << 40, ".left_children[2]", "1099511627776"),
           in_tree("left_children/2", std::numeric_limits<std::int64_t>::min(), ".left_children[2]",
                   "-92233720368"),
           // features
           in_tree("split_indices/2", -1, ".split_indices[2]", "feature -1"),
           in_tree("split_indices/2", 2, ".split_indices[2]", "feature 2 is not in [0, 2)"),
           in_tree("split_indices/2", 1 << 20, ".split_indices[2]", "feature 1048576"),
           // numbers no float32 holds
           in_tree("split_conditions/2", 1e300, ".split_conditions[2]", "inf"),
           in_tree("split_conditions/4", -1e39, ".split_conditions[4]", "-inf"),
           // flags
           in_tree("default_left/0", 2, ".default_left[0]", "2"),
           in_tree("split_type/0", 2, ".split_type[0]", "2"),
           in_tree("split_type/0", 1, ".split_type[0]", "without categories"),
           // sizes
           in_tree("tree_param/num_nodes", "4", ".left_children",
                   "has 5 elements, but tree_param.num_nodes is 4"),
           in_tree("tree_param/num_nodes", "0", ".tree_param.num_nodes", "\"0\""),
           in_tree("tree_param/num_nodes", "16777217", ".tree_param.num_nodes", "\"16777217\""),
           in_tree("tree_param/num_nodes", "5x", ".tree_param.num_nodes", "\"5x\""),
           in_tree("tree_param/num_nodes", "-5", ".tree_param.num_nodes", "\"-5\""),
           in_tree("tree_param/num_nodes", "18446744073709551621", ".tree_param.num_nodes", "\"184467"),
           in_tree("tree_param/size_leaf_vector", "3", ".tree_param.size_leaf_vector", "vector in each leaf"),
           in_tree("right_children", {2, -1, 4, -1}, ".right_children", "has 4 elements"),
           in_tree("split_conditions", json::array(), ".split_conditions", "has 0 elements"),
           in_tree("split_type", {0}, ".split_type", "has 1 elements"),
           in_tree("id", 5, "", "tree 1 has the id 5"),
           // categories
           in_tree("categories_sizes", {1}, ".categories_segments", "has 0 elements"),
       }) {
    check_damage(damage);
  }
}

TEST_CASE("xgboost: categories that overlap, run out or are none are refused", "[xgboost]") {
  const auto broken = [](const std::string& array, json value) {
    json document = fixture::small_model();
    json& tree = document["learner"]["gradient_booster"]["model"]["trees"][1];
    tree["split_type"] = {1, 0, 1, 0, 0};
    tree["categories"] = {1, 2, 3};
    tree["categories_nodes"] = {0, 2};
    tree["categories_segments"] = {0, 2};
    tree["categories_sizes"] = {2, 1};
    REQUIRE(fixture::parse(document.dump()).has_value());
    tree[array] = std::move(value);
    const auto model = fixture::parse(document.dump());
    REQUIRE_FALSE(model.has_value());
    return model.error().where;
  };
  const std::string tree = "boosted.json: " + kModelPlace + ".trees[1]";
  CHECK(broken("categories", {1, -2, 3}) == tree + ".categories[1]");
  CHECK(broken("categories", {1, 2, 16777216}) == tree + ".categories[2]");
  CHECK(broken("categories_nodes", {0, 0}) == tree + ".categories_nodes[1]");
  CHECK(broken("categories_nodes", {2, 0}) == tree + ".categories_nodes[1]");
  CHECK(broken("categories_nodes", {0, 1}) == tree + ".split_type[2]");
  CHECK(broken("categories_segments", {0, 0}) == tree + ".categories_segments[1]");
  CHECK(broken("categories_segments", {-1, 2}) == tree + ".categories_segments[0]");
  CHECK(broken("categories_sizes", {2, 2}) == tree + ".categories_segments[1]");
  CHECK(broken("categories_sizes", {-1, 1}) == tree + ".categories_segments[0]");
  CHECK(broken("categories_sizes", {2, std::numeric_limits<std::int64_t>::max()}) ==
        tree + ".categories_segments[1]");
}

TEST_CASE("xgboost: what stands round the trees must fit them", "[xgboost]") {
  const std::string param = "learner.learner_model_param.";
  const std::string model = "/learner/gradient_booster/model";
  for (const Damage& damage : std::vector<Damage>{
           {"/learner/objective/name", "reg:magic", "learner.objective.name",
            "\"reg:magic\" is not supported"},
           {"/learner/gradient_booster/name", "gbforest", "learner.gradient_booster.name", "\"gbforest\""},
           {"/learner/gradient_booster/name", "dart", "learner.gradient_booster.weight_drop", "missing"},
           {"/learner/gradient_booster/name", "gblinear", kModelPlace + ".weights", "has 0 numbers"},
           {"/learner/learner_model_param/num_feature", "1", kModelPlace + ".trees[1].split_indices[0]",
            "feature 1 is not in [0, 1)"},
           {"/learner/learner_model_param/num_feature", "0", param + "num_feature", "\"0\""},
           {"/learner/learner_model_param/num_feature", "4294967298", param + "num_feature",
            "\"4294967298\""},
           {"/learner/learner_model_param/num_feature", " 2", param + "num_feature", "\" 2\""},
           {"/learner/learner_model_param/num_class", "3", param + "num_class", "3"},
           {"/learner/learner_model_param/num_class", "65537", param + "num_class", "\"65537\""},
           {"/learner/learner_model_param/num_target", "999999999", param + "num_target", "\"999999999\""},
           {"/learner/learner_model_param/base_score", "", param + "base_score", "\"\""},
           {"/learner/learner_model_param/base_score", "5E-1x", param + "base_score", "\"5E-1x\""},
           {"/learner/learner_model_param/base_score", "nan", param + "base_score", "\"nan\""},
           {"/learner/learner_model_param/base_score", "1E99", param + "base_score", "\"1E99\""},
           {"/learner/learner_model_param/base_score", "[]", param + "base_score", "\"[]\""},
           {"/learner/learner_model_param/base_score", "[1,]", param + "base_score", "\"[1,]\""},
           {"/learner/learner_model_param/base_score", "[1,2]", param + "base_score",
            "2 numbers for 1 outputs"},
           {model + "/gbtree_model_param/num_trees", "3", kModelPlace + ".trees",
            "has 2 trees, but num_trees is 3"},
           {model + "/gbtree_model_param", json::object(), kModelPlace + ".gbtree_model_param.num_trees",
            "missing"},
           {model + "/tree_info", {0}, kModelPlace + ".tree_info", "has 1 elements for 2 trees"},
           {model + "/tree_info/1", 1, kModelPlace + ".tree_info[1]", "1 is not in [0, 1)"},
           {model + "/tree_info/1", -1, kModelPlace + ".tree_info[1]", "-1"},
           {model + "/weight_drop",
            {1.0},
            "learner.gradient_booster.weight_drop",
            "has 1 elements for 2 trees"},
           {model + "/weight_drop", {1.0, 1e200}, "learner.gradient_booster.weight_drop[1]", "inf"},
           {model + "/trees", json::array(), kModelPlace + ".trees", "has 0 trees"},
       }) {
    check_damage(damage);
  }
}

TEST_CASE("xgboost: a value of the wrong type is refused where it stands", "[xgboost]") {
  const std::string trees = kModelPlace + ".trees";
  for (const Damage& damage : std::vector<Damage>{
           in_tree("left_children/1", "one", ".left_children[1]", "a text stands where"),
           in_tree("left_children/1", 1.5, ".left_children[1]", "a number with a fraction"),
           in_tree("left_children/1", nullptr, ".left_children[1]", "null"),
           in_tree("left_children/1", {1}, ".left_children[1]", "an array"),
           in_tree("left_children", 7, ".left_children", "a whole number"),
           in_tree("left_children", json::object(), ".left_children", "an object"),
           in_tree("split_conditions/0", "0.5", ".split_conditions[0]", "a text"),
           in_tree("tree_param/num_nodes", 5, ".tree_param.num_nodes", "a whole number"),
           in_tree("tree_param", json::array(), ".tree_param", "an array"),
           {"/learner/gradient_booster/model/trees/1", 3, trees + "[1]", "a whole number"},
           {"/learner/gradient_booster/model/trees/1", {3}, trees + "[1]", "an array"},
           {"/learner/gradient_booster/model/trees", json::object(), trees, "an object"},
           {"/learner/objective/name", {{"a", 1}}, "learner.objective.name", "an object"},
           {"/learner", 1, "learner", "a whole number"},
       }) {
    check_damage(damage);
  }
}

TEST_CASE("xgboost: a base score without a logarithm is refused, one outside of logistic's range is clamped",
          "[xgboost]") {
  json document = fixture::small_model();
  document["learner"]["objective"]["name"] = "reg:gamma";
  document["learner"]["learner_model_param"]["base_score"] = "0E0";
  const auto gamma = fixture::parse(document.dump());
  REQUIRE_FALSE(gamma.has_value());
  CHECK(gamma.error().where == "boosted.json: learner.learner_model_param.base_score");
  document["learner"]["objective"]["name"] = "binary:logistic";
  CHECK(fixture::parse(document.dump()).has_value());
}

TEST_CASE("xgboost: what occurs twice is refused", "[xgboost]") {
  // nlohmann's own writer cannot write a key twice: the text is made by hand.
  const auto doubled = [](const std::string& before, const std::string& extra) {
    std::string text = fixture::small_model().dump();
    const std::size_t at = text.find(before);
    REQUIRE(at != std::string::npos);
    const auto model = fixture::parse(text.insert(at, extra));
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().what == "occurs twice");
    return model.error().where;
  };
  CHECK(doubled("\"learner\"", R"("learner":{},)") == "boosted.json: learner");
  CHECK(doubled("\"tree_info\"", R"("tree_info":[0,0],)") == "boosted.json: " + kModelPlace + ".tree_info");
  CHECK(doubled("\"left_children\"", R"("left_children":[],)") ==
        "boosted.json: " + kModelPlace + ".trees[0].left_children");
  // dart's older layout and the newer one at once: two sets of trees
  CHECK(doubled("\"model\"", R"("gbtree":{"model":{"trees":[]}},)") ==
        "boosted.json: learner.gradient_booster.model");
}

TEST_CASE("xgboost: JSON that is no XGBoost model is called so", "[xgboost]") {
  for (const std::string text :
       {"{}", R"({"model": {"layers": []}})", R"({"learners": 1})", "[1, 2]", "3", "\"x\""}) {
    INFO(text);
    const auto model = fixture::parse(text);
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().code == Errc::bad_model);
    CHECK(model.error().where == "boosted.json");
  }
  const auto model = fixture::parse("{}");
  CHECK(model.error().what.find("not an XGBoost model") != std::string::npos);
}

TEST_CASE("xgboost: a syntax error names the byte and the place", "[xgboost]") {
  std::string text = fixture::small_model().dump();
  const std::size_t at = text.find("\"right_children\"");
  text[at - 2] = '}';
  const auto model = fixture::parse(text);
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().where ==
        fmt::format("boosted.json: byte {}, in {}.trees[0].left_children[2]", at - 1, kModelPlace));
  // A text with bytes that are not UTF-8 and with an escape sequence of a terminal: neither reaches the
  // error.
  const auto utf8 = fixture::parse("{\"learner\": \"\xff\x1b[31m\"}");
  REQUIRE_FALSE(utf8.has_value());
  CHECK(utf8.error().where == "boosted.json: byte 14, in learner");
  for (const char byte : utf8.error().what) CHECK((byte >= ' ' && byte <= '~'));
}

TEST_CASE("xgboost: nesting deeper than the limit is refused before the stack is used up", "[xgboost]") {
  // Goal: nlohmann's UBJSON reader recurses; a megabyte of brackets must not end the process.
  const std::size_t depth = 1'000'000;
  const std::string open(depth, '[');
  for (const std::string& bomb :
       {"{\"a\":" + open, std::string("{i\x01") + "a" + open, "{\"learner\":" + open}) {
    const auto model = fixture::parse(bomb);
    REQUIRE_FALSE(model.has_value());
    INFO(describe(model.error()));
    CHECK(model.error().code == Errc::bad_model);
  }
  std::string objects = "{";
  for (std::size_t index = 0; index < depth; ++index)
    objects +=
        "i\x01"
        "a{";
  const auto model = fixture::parse(objects);
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().what == fmt::format("nested deeper than {}", kJsonDepthMax));
}

TEST_CASE("xgboost: a UBJSON count that no bytes stand behind is refused", "[xgboost]") {
  // Goal: no loop and no allocation follows a number that the file merely claims.
  // Method: arrays of null and true, which have no bytes of their own, 2^62 of them; and counts of real
  // elements.
  const std::string huge = std::string("L\x40") + std::string(7, '\0');
  const std::string key = std::string("{i\x01") + "a";
  for (const std::string& bytes :
       {key + "[$Z#" + huge, key + "[$T#" + huge, key + "[#" + huge, key + "[$N#" + huge, key + "[$d#" + huge,
        key + "[$U#" + huge, "{#" + huge, "{$Z#" + huge, key + "S" + huge, key + "H" + huge, "{" + huge,
        key + "[$[#" + huge + std::string(1000, ']')}) {
    const auto model = fixture::parse(bytes);
    REQUIRE_FALSE(model.has_value());
    INFO(describe(model.error()));
    CHECK(model.error().code == Errc::bad_model);
    CHECK_FALSE(model.error().what.empty());
  }
  // The same inside an array that is read.
  std::string model = to_ubjson(fixture::small_model());
  const std::size_t at = model.find("tree_info") + 9;
  REQUIRE(model[at] == '[');
  const auto claimed = fixture::parse(model.substr(0, at) + "[$T#" + huge);
  REQUIRE_FALSE(claimed.has_value());
  CHECK(claimed.error().what.find("more elements than its bytes") != std::string::npos);
}

TEST_CASE("xgboost: a file cut anywhere is an error that says where", "[xgboost]") {
  for (const std::string& whole : {fixture::small_model().dump(), to_ubjson(fixture::small_model())}) {
    REQUIRE(fixture::parse(whole).has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto model = fixture::parse(std::string_view(whole).substr(0, size));
      REQUIRE_FALSE(model.has_value());
      CHECK(model.error().where.starts_with("boosted.json: byte "));
    }
  }
}

TEST_CASE("xgboost: a mutated file is a model or an error, never a crash", "[xgboost]") {
  // Method: bytes flipped, overwritten, removed, doubled and cut, from a fixed seed. What still loads must
  // predict.
  std::mt19937_64 random(20261122);
  const fixture::Npy<float> x = fixture::read_npy<float>(fixture::xgboost_path("rows.npy"));
  std::size_t loaded = 0;
  std::size_t refused = 0;
  for (const std::string file : {"multi_softmax.json", "multi_softmax.ubj", "category_sets.ubj",
                                 "dart_softprob.ubj", "linear_poisson.json", "binary_hinge.ubj"}) {
    const std::string whole = fixture::read_bytes(fixture::xgboost_path(file));
    for (int round = 0; round < 1500; ++round) {
      const std::string bytes = fixture::mutated(whole, 4, random);
      const auto model = fixture::parse(bytes);
      if (!model) {
        ++refused;
        REQUIRE_FALSE(model.error().what.empty());
        REQUIRE(model.error().where.starts_with("boosted.json"));
        REQUIRE_FALSE(model.error().hint.empty());
        continue;
      }
      ++loaded;
      const ModelShape shape = (*model)->shape();
      if (shape.features > 1000) continue;  // a mutated num_feature; the rows for it would only cost time
      fixture::Npy<float> rows{std::vector<float>(std::size_t{9} * shape.features), 9, shape.features};
      for (std::size_t index = 0; index < rows.values.size(); ++index) {
        rows.values[index] = x.values[index % x.values.size()];
      }
      fixture::answers(**model, rows, 9);
    }
  }
  // The mutations are of both sorts, or this test shows nothing.
  CHECK(loaded > 100);
  CHECK(refused > 1000);
}

}  // namespace
