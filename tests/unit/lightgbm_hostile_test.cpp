// LightGBM files that are wrong: each becomes an error that says what and in which line.
#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "worker/lightgbm.hpp"

namespace {

using namespace tutti;

// Three features, a tree of two leaves and one of three, the second with a set of categories and linear
// leaves.
constexpr std::string_view kModel =
    "tree\n"                        // 1
    "version=v4\n"                  // 2
    "num_class=1\n"                 // 3
    "num_tree_per_iteration=1\n"    // 4
    "label_index=0\n"               // 5
    "max_feature_idx=2\n"           // 6
    "objective=binary sigmoid:1\n"  // 7
    "feature_names=a b c\n"         // 8
    "tree_sizes=1 2\n"              // 9
    "\n"                            // 10
    "Tree=0\n"                      // 11
    "num_leaves=2\n"                // 12
    "num_cat=0\n"                   // 13
    "split_feature=2\n"             // 14
    "threshold=0.5\n"               // 15
    "decision_type=2\n"             // 16
    "left_child=-1\n"               // 17
    "right_child=-2\n"              // 18
    "leaf_value=1 -2\n"             // 19
    "is_linear=0\n"                 // 20
    "\n"                            // 21
    "Tree=1\n"                      // 22
    "num_leaves=3\n"                // 23
    "num_cat=1\n"                   // 24
    "split_feature=0 1\n"           // 25
    "threshold=1.5 0\n"             // 26
    "decision_type=8 1\n"           // 27
    "left_child=-1 -2\n"            // 28
    "right_child=1 -3\n"            // 29
    "leaf_value=1 2 3\n"            // 30
    "cat_boundaries=0 2\n"          // 31
    "cat_threshold=6 1\n"           // 32
    "is_linear=1\n"                 // 33
    "leaf_const=1 2 3\n"            // 34
    "num_features=0 2 1\n"          // 35
    "leaf_features= 0 1  2 \n"      // 36
    "leaf_coeff= 0.5 0.25  3 \n"    // 37
    "\n"                            // 38
    "end of trees\n";               // 39

Result<std::unique_ptr<Model>> parse(std::string_view text) {
  return parse_lightgbm(std::as_bytes(std::span(text)), "model.txt");
}

/// One line put in the place of another, and what the error must say of which line.
struct Damage {
  std::string line;
  std::string instead;
  std::size_t where;
  std::string what;
};

TEST_CASE("lightgbm: what is wrong is told by line", "[lightgbm]") {
  REQUIRE(parse(kModel).has_value());
  for (const Damage& damage : std::vector<Damage>{
           {"tree", "forest", 1, "first line"},
           {"version=v4", "version=v2", 2, "\"v2\""},
           {"version=v4", "other=1", 11, "no version"},
           {"num_class=1", "num_class=0", 3, "\"0\""},
           {"num_class=1", "num_class=2", 4, "1 trees an iteration for 2 classes"},
           {"num_class=1", "num_class=1\nnum_class=1", 4, "a second num_class"},
           {"max_feature_idx=2", "max_feature_idx=-1", 6, "\"-1\""},
           {"max_feature_idx=2", "max_feature_idx=99999999999999999999", 6, "not a whole number"},
           {"max_feature_idx=2", "max_feature_idx=1", 14, "split_feature[0] is \"2\""},
           {"objective=binary sigmoid:1", "objective=survival", 7, "\"survival\""},
           {"objective=binary sigmoid:1", "objective=binary sigmoid:0", 7, "\"0\""},
           {"objective=binary sigmoid:1", "objective=binary sigmoid:1e999", 7, "\"1e999\""},
           {"objective=binary sigmoid:1", "objective=multiclass num_class:1", 3, "does not go with"},
           {"tree_sizes=1 2", "tree_sizes=1 2 3", 39, "2 trees, but tree_sizes in line 9 has 3"},
           {"Tree=0", "Tree=1", 11, "\"Tree=1\""},
           {"num_leaves=2", "num_leaves=0", 12, "\"0\""},
           {"num_leaves=2", "num_leaves=4000000000", 12, "4000000000"},
           {"num_leaves=2", "num_leaves=8000000", 19, "leaf_value has 2 numbers, not 8000000"},
           {"num_leaves=2", "other=1", 11, "Tree=0 has no num_leaves"},
           {"split_feature=2", "split_feature=2 2", 14, "more than 1"},
           {"threshold=0.5", "threshold=nan", 15, "\"nan\""},
           {"threshold=0.5", "threshold=inf", 15, "\"inf\""},
           {"threshold=0.5", "other=1", 11, "no threshold"},
           {"decision_type=2", "decision_type=12", 16, "\"12\""},
           {"decision_type=2", "decision_type=1", 15, "not the number of one of 0 sets"},
           {"left_child=-1", "left_child=0", 17, "second time"},
           {"left_child=-1", "left_child=-3", 17, "\"-3\""},
           {"left_child=-1", "left_child=1", 17, "\"1\""},
           {"right_child=-2", "right_child=-1", 17, "second time"},
           {"leaf_value=1 -2", "leaf_value=1 -2x", 19, "\"-2x\""},
           {"leaf_value=1 -2", "leaf_value=1", 19, "has 1 numbers, not 2"},
           {"threshold=1.5 0", "threshold=1.5 1", 26, "threshold[1] is 1"},
           {"threshold=1.5 0", "threshold=1.5 -1", 26, "threshold[1] is -1"},
           {"cat_boundaries=0 2", "cat_boundaries=0 3", 32, "has 2 numbers, not 3"},
           {"cat_boundaries=0 2", "cat_boundaries=1 2", 31, "do not rise from 0"},
           {"cat_boundaries=0 2", "cat_boundaries=0 2147483647", 32, "not 2147483647"},
           {"cat_threshold=6 1", "cat_threshold=6 4294967296", 32, "\"4294967296\""},
           {"is_linear=1", "is_linear=2", 33, "\"2\""},
           {"leaf_const=1 2 3", "other=1", 22, "no leaf_const"},
           {"num_features=0 2 1", "num_features=0 2 1048576", 36, "has 3 numbers, not 1048578"},
           {"leaf_features= 0 1  2 ", "leaf_features= 0 1  3 ", 36, "leaf_features[2] is \"3\""},
           {"leaf_coeff= 0.5 0.25  3 ", "leaf_coeff= 0.5 0.25", 37, "has 2 numbers, not 3"},
           {"end of trees", "", 39, "ends after 2 trees"},
       }) {
    std::string text = "\n" + std::string(kModel);
    const std::size_t place = text.find("\n" + damage.line + "\n");
    REQUIRE(place != std::string::npos);
    text.replace(place + 1, damage.line.size(), damage.instead);
    text.erase(0, 1);
    INFO(damage.line << " becomes " << damage.instead);
    const auto model = parse(text);
    REQUIRE_FALSE(model.has_value());
    INFO(describe(model.error()));
    CHECK(model.error().code == Errc::bad_model);
    CHECK(model.error().where == fmt::format("model.txt:{}", damage.where));
    CHECK(model.error().what.find(damage.what) != std::string::npos);
    CHECK_FALSE(model.error().hint.empty());
  }
}

TEST_CASE("lightgbm: a file cut anywhere is an error", "[lightgbm]") {
  for (std::size_t size = 0; size + 1 < kModel.size(); ++size) {
    INFO(size << " bytes");
    const auto model = parse(kModel.substr(0, size));
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().where.starts_with("model.txt:"));
  }
}

TEST_CASE("lightgbm: lines may end as on Windows", "[lightgbm]") {
  std::string text;
  for (const char letter : kModel) text += letter == '\n' ? "\r\n" : std::string(1, letter);
  CHECK(parse(text).has_value());
}

}  // namespace
