// What a user sees of a mistake: each in its own config, word by word, and many at once.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/config_fixture.hpp"

namespace tutti {
namespace {

const std::string kSmall(kSmallConfig);

TEST_CASE("problem: a value out of range is shown in its line, with a caret beneath", "[config]") {
  CHECK(problems_in(kSmall + "weight = -1\n") ==
        "/configs/small.toml:12:10: error: weight is -1, below 0; write a number from 0 to 1000000000\n"
        "  weight = -1\n"
        "           ^\n");
}

TEST_CASE("problem: a mistyped key is answered with the nearest one", "[config]") {
  CHECK(problems_in(kSmall + "[answer]\ndeadlin = \"5ms\"\n") ==
        "/configs/small.toml:13:1: error: unknown key \"deadlin\" in answer; did you mean 'deadline'?\n"
        "  deadlin = \"5ms\"\n"
        "  ^\n");
}

TEST_CASE("problem: a caret stands right after tabs and wide letters", "[config]") {
  // Goal: the caret is under the value whatever stands before it. Method: a tab, an accent made of two code
  // points, two letters two columns wide each.
  CHECK(problems_in(kSmall + "\tweight = -1\n") ==
        "/configs/small.toml:12:11: error: weight is -1, below 0; write a number from 0 to 1000000000\n"
        "  \tweight = -1\n"
        "  \t         ^\n");
  CHECK(problems_in(with(kSmall, "\"no\", \"yes\"", "\"日本\", \"e\u0301\", \"é\", \"é\"")) ==
        "/configs/small.toml:4:29: error: classes has \"é\" twice; it is element 3 already; give each a name "
        "of its "
        "own\n"
        "  classes = [\"日本\", \"e\u0301\", \"é\", \"é\"]\n"
        "                               ^\n");
}

TEST_CASE("problem: what is missing is told at the head of its table", "[config]") {
  CHECK(problems_in(with(kSmall, "features = 3\n", "")) ==
        "/configs/small.toml:1:1: error: [ensemble] has no features; add features = 30, or a list of column "
        "names\n"
        "  [ensemble]\n"
        "  ^\n");
  CHECK(problems_in(with(kSmall, "model = \"linear.json\"\n", "")) ==
        "/configs/small.toml:9:1: error: [[member]] has no model; add model = \"models/boosted.json\"\n"
        "  [[member]]\n"
        "  ^\n");
  CHECK(problems_in("") ==
        "/configs/small.toml:1:1: error: [ensemble] has no name; add name = \"my-ensemble\"\n"
        "/configs/small.toml:1:1: error: [ensemble] has no task; add task = \"classification\", or "
        "\"regression\"\n"
        "/configs/small.toml:1:1: error: [ensemble] has no features; add features = 30, or a list of column "
        "names\n"
        "/configs/small.toml:1:1: error: no member; add [[member]] with a name and a model\n");
}

TEST_CASE("problem: every mistake of a file is told, in the file's order", "[config]") {
  const std::string text =
      "[answer]\n"
      "quorum = \"most\"\n"
      "deadline = 50\n"
      "[ensemble]\n"
      "name = \"two words\"\n"
      "task = \"classificaton\"\n"
      "classes = [\"a\", 4, \"a\"]\n"
      "features = 0\n"
      "[[member]]\n"
      "name = \"boosted\"\n"
      "model = \"boosted.json\"\n"
      "wieght = 2\n";
  CHECK(problems_in(text) ==
        "/configs/small.toml:2:10: error: quorum is \"most\", not a number of members, \"majority\" or "
        "\"all\"; write a "
        "whole number from 1 to 64, \"majority\" or \"all\"\n"
        "  quorum = \"most\"\n"
        "           ^\n"
        "/configs/small.toml:3:12: error: deadline is 50 (an integer), not a duration; write a number and a "
        "unit in "
        "quotes, such as \"20ms\", \"1.5s\" or \"2m\"\n"
        "  deadline = 50\n"
        "             ^\n"
        "/configs/small.toml:5:8: error: name is \"two words\", which has a character that names may not "
        "have; a name "
        "has at most 64 letters a-z A-Z, digits, '.', '_' and '-', and begins with a letter or digit\n"
        "  name = \"two words\"\n"
        "         ^\n"
        "/configs/small.toml:6:8: error: task is \"classificaton\", which is unknown; did you mean "
        "'classification'? "
        "write one of: classification, regression\n"
        "  task = \"classificaton\"\n"
        "         ^\n"
        "/configs/small.toml:7:17: error: classes has 4 (an integer), not a text; write a list of texts, "
        "such as "
        "[\"no\", \"yes\"]\n"
        "  classes = [\"a\", 4, \"a\"]\n"
        "                  ^\n"
        "/configs/small.toml:7:20: error: classes has \"a\" twice; it is element 1 already; give each a name "
        "of its "
        "own\n"
        "  classes = [\"a\", 4, \"a\"]\n"
        "                     ^\n"
        "/configs/small.toml:8:12: error: features is 0, below 1; write a whole number from 1 to 1048576, or "
        "a list of "
        "names in quotes\n"
        "  features = 0\n"
        "             ^\n"
        "/configs/small.toml:12:1: error: unknown key \"wieght\" in member; did you mean 'weight'?\n"
        "  wieght = 2\n"
        "  ^\n");
}

struct Mistake {
  std::string text;
  std::string where;  // after the path
  std::string what;
};

TEST_CASE("problem: each mistake in a value is found at its place", "[config]") {
  const std::string regression =
      with(with(kSmall, "classification", "regression"), "classes = [\"no\", \"yes\"]\n", "");
  const std::vector<Mistake> mistakes{
      {with(kSmall, "\"small\"", "5"), "2:8", "name is 5 (an integer), not a text"},
      {with(kSmall, "\"small\"", "\"\""), "2:8", "name is \"\", which is empty"},
      {with(kSmall, "\"small\"", "\"" + std::string(65, 'a') + "\""), "2:8",
       "name is \"" + std::string(64, 'a') + "…\", which is 65 bytes long, more than 64"},
      {with(kSmall, "\"small\"", "\"-a\""), "2:8",
       "name is \"-a\", which does not begin with a letter or digit"},
      {with(kSmall, "[\"no\", \"yes\"]", "[\"no\"]"), "4:11",
       "classes has \"no\" alone; there is nothing to decide"},
      {with(kSmall, "classes = [\"no\", \"yes\"]\n", ""), "1:1", "[ensemble] has no classes"},
      {with(kSmall, "\"yes\"", "\"\""), "4:18", "classes has \"\", which is empty"},
      {with(kSmall, "\"yes\"", "\"y \""), "4:18", "classes has \"y \", which begins or ends with a space"},
      {with(kSmall, "\"yes\"", "\"y\\u001b[31m\""), "4:18",
       "classes has \"y\\u001b[31m\", which has a control character"},
      {with(kSmall, "classification", "regression"), "4:11", "regression with 2 classes"},
      {with(kSmall, "features = 3", "features = -1"), "5:12", "features is -1, below 1"},
      {with(kSmall, "features = 3", "features = 1048577"), "5:12", "features is 1048577, above 1048576"},
      {with(kSmall, "features = 3", "features = []"), "5:12", "features is 0, below 1"},
      {with(kSmall, "features = 3", "features = [\"a\", \"a\"]"), "5:18", "features has \"a\" twice"},
      {with(kSmall, "features = 3", "features = 3.5"), "5:12",
       "features is 3.5 (a float), not a number or a list of texts"},
      {with(kSmall, "features = 3", "features = 2024-01-01"), "5:12",
       "features is a date or time, not a number or a list of texts"},
      {with(kSmall, "\"linear\"", "\"boosted\""), "10:8", "a second member is named \"boosted\""},
      {with(kSmall, "\"linear.json\"", "\"\""), "11:9", "model is \"\", which is empty"},
      {with(kSmall, "\"linear.json\"", "\"a\\u0000b\""), "11:9",
       "model is \"a\\u0000b\", which has a control character"},
      {with(kSmall, "\"linear.json\"", "\"" + std::string(1020, 'a') + "\""), "11:9",
       "model is \"/configs/" + std::string(55, 'a') + "…\" in full, which is longer than 1024 bytes"},
      {kSmall + "kind = \"xgbost\"\n", "12:8", "kind is \"xgbost\", which is unknown"},
      {kSmall + "kind = 3\n", "12:8", "kind is 3 (an integer), not a text"},
      {kSmall + "weight = nan\n", "12:10", "weight is nan, not a finite number"},
      {kSmall + "weight = -inf\n", "12:10", "weight is -inf, not a finite number"},
      {kSmall + "weight = true\n", "12:10", "weight is true (a boolean), not a number"},
      {kSmall + "weight = \"heavy\"\n", "12:10", "weight is \"heavy\", not a number"},
      {kSmall + "instances = 0\n", "12:13", "instances is 0, below 1"},
      {kSmall + "instances = 65\n", "12:13", "instances is 65, above 64"},
      {kSmall + "instances = 9223372036854775807\n", "12:13", "instances is 9223372036854775807, above 64"},
      {with(kSmall, "name = \"linear\"\n", "name = \"linear\"\nweight = 0\n") + "[answer]\nquorum = 3\n",
       "14:10", "quorum is 3 of 2 members: it can never be met"},
      {kSmall + "[answer]\nquorum = 0\n", "13:10",
       "quorum is 0 (an integer), not a number of members, \"majority\" or \"all\""},
      {kSmall + "[answer]\ndeadline = \"0s\"\n", "13:12", "deadline is 0s, below 1us"},
      {kSmall + "[answer]\ndeadline = \"5 parsecs\"\n", "13:12", "deadline is \"5 parsecs\", not a duration"},
      {kSmall + "[answer]\ndeadline = \"25h\"\n", "13:12", "deadline is \"25h\", not a duration"},
      {kSmall + "[answer]\nlast_resort = \"liner\"\n", "13:15",
       "last_resort is \"liner\", which is no member"},
      {kSmall + "[restart]\nbackoff_min = \"2m\"\n", "13:15", "backoff_min is 2m, above backoff_max, 30s"},
      {kSmall + "[restart]\nbudget = -1\n", "13:10", "budget is -1, below 0"},
      {kSmall + "[limits]\nin_flight = 7\n", "13:13", "in_flight is 7, not a power of two"},
      {kSmall + "[limits]\nin_flight = 2048\n", "13:13", "in_flight is 2048, above 1024"},
      {kSmall + "[limits]\nrows = 5.0\n", "13:8", "rows is 5 (a float), not a whole number"},
      {kSmall + "[limits]\nspin = 3\n", "13:8", "spin is 3 (an integer), not \"auto\", a duration or 0"},
      {kSmall + "[limits]\nspin = \"2s\"\n", "13:8", "spin is 2s, above 1s"},
      {kSmall + "[combine]\nrule = \"meen\"\n", "13:8", "rule is \"meen\", which is unknown"},
      {kSmall + "[combine]\ntrim = 0.5\n", "13:8", "trim is 0.5, not below 0.5"},
      {regression + "[combine]\nrule = \"soft_vote\"\n", "12:8",
       "rule is \"soft_vote\", which is for classification"},
      {regression + "[combine]\nrule = \"hard_vote\"\n", "12:8",
       "rule is \"hard_vote\", which is for classification"},
      {regression + "[combine]\nrule = \"rank_mean\"\n", "12:8",
       "rule is \"rank_mean\", which is for classification"},
      {kSmall + "[combine]\nrule = \"stacking\"\n", "13:8",
       "rule is \"stacking\" without coefficients or a model"},
      {kSmall + "[combine]\nrule = \"stacking\"\nmodel = \"s.json\"\ncoefficients = [[1]]\n", "14:9",
       "stacking has both coefficients and a model"},
      {kSmall + "[combine]\nrule = \"stacking\"\ncoefficients = [[1, 2, 3, 4]]\n", "14:16",
       "coefficients has 1 rows for 2 outputs"},
      {kSmall + "[combine]\nrule = \"stacking\"\ncoefficients = [[1, 2, 3, 4],\n  [1, 2, 3]]\n", "15:3",
       "row 2 of coefficients has 3 numbers for 2 members of 2 outputs"},
      {kSmall +
           "[combine]\nrule = \"stacking\"\ncoefficients = [[1, 2, 3, 4], [1, 2, 3, 4]]\nintercept = [1]\n",
       "15:13", "intercept has 1 numbers for 2 outputs"},
      {kSmall + "[combine]\ncoefficients = [[1, inf]]\n", "13:21",
       "coefficients has inf, not a finite number"},
      {kSmall + "[combine]\ncoefficients = [[1, \"2\"]]\n", "13:21", "coefficients has \"2\", not a number"},
      {kSmall + "[combine]\ncoefficients = [1]\n", "13:17",
       "coefficients has 1 (an integer), not a list of numbers"},
      {kSmall + "[combine]\nintercept = [1e101]\n", "13:14", "intercept has 1e+101, above 1e+100"},
      {with(kSmall, "features = 3", "features = 1000000"), "5:12",
       "1024 rows of 1000000 features in 8 requests at 4 bytes each are 30.5 GiB, more than 4 GiB of shared "
       "memory"},
      {with(kSmall, "features = 3", "features = 10000") + "[limits]\nrows = 100000\n", "13:8",
       "100000 rows of 10000 features in 8 requests at 4 bytes each are 29.8 GiB, more than 4 GiB of shared "
       "memory"},
      {kSmall + "[anser]\n", "12:2", "unknown table \"anser\""},
      {"deadline = \"5ms\"\n" + kSmall, "1:1", "unknown key \"deadline\""},
      {"answer = 5\n" + kSmall, "1:10", "answer is 5 (an integer), not a table"},
      {kSmall + "[[answer]]\n", "12:1", "answer is a list, not a table"},
      {"member = [1]\n" + with(with(kSmall, "[[member]]", "[a]"), "[[member]]", "[b]"), "1:11",
       "member is 1 (an integer), not a table"},
      {with(kSmall, "[ensemble]\n", "[ensemble]\ndeadline = 1\n"), "2:1",
       "unknown key \"deadline\" in ensemble"},
  };
  for (const Mistake& mistake : mistakes) {
    INFO(mistake.text);
    const auto config = parse_config(mistake.text, small_source());
    REQUIRE_FALSE(config.has_value());
    const auto found = std::ranges::any_of(config.error(), [&](const ConfigProblem& problem) {
      return problem.error.what == mistake.what &&
             problem.error.where == "/configs/small.toml:" + mistake.where && !problem.error.hint.empty() &&
             problem.error.code == Errc::bad_config;
    });
    INFO(problems_in(mistake.text));
    CHECK(found);
  }
}

TEST_CASE("problem: a mistake is told once, and nothing that only follows from it", "[config]") {
  // Goal: no avalanche. Method: mistakes which other checks depend on; each must leave exactly one problem.
  const std::vector<std::string> texts{
      with(kSmall, "\"linear\"", "7") + "[answer]\nlast_resort = \"linear\"\n",  // that may be its name
      with(kSmall, "\"classification\"", "\"classy\""),                          // no rule fits no task
      with(kSmall, "[\"no\", \"yes\"]", "5") + "[combine]\nrule = \"stacking\"\ncoefficients = [[1]]\n",
      kSmall + "[combine]\nrule = \"stacking\"\ncoefficients = \"none\"\n",
      kSmall + "[profile.dev.member.linear]\nweight = -1\n",
  };
  for (const std::string& text : texts) {
    INFO(problems_in(text));
    const auto config = parse_config(text, small_source());
    REQUIRE_FALSE(config.has_value());
    CHECK(config.error().size() == 1);
  }
}

TEST_CASE("problem: weights that are all 0 leave nothing to weigh", "[config]") {
  const std::string zero =
      with(kSmall, "[[member]]\nname = \"linear\"", "weight = 0\n[[member]]\nname = \"linear\"");
  CHECK(problems_in(zero).empty());
  CHECK(problems_in(zero + "weight = 0.0\n") ==
        "/configs/small.toml:9:10: error: every member's weight is 0; give at least one member a weight "
        "above 0\n"
        "  weight = 0\n"
        "           ^\n");
}

TEST_CASE("problem: isolates and members are counted", "[config]") {
  std::string text =
      with(kSmall, "[[member]]\nname = \"linear\"", "instances = 64\n[[member]]\nname = \"linear\"") +
      "instances = 64\n";
  const auto add = [&](int index, int instances) {
    text += "[[member]]\nname = \"m" + std::to_string(index) +
            "\"\nmodel = \"m\"\ninstances = " + std::to_string(instances) + "\n";
  };
  add(0, 64);
  add(1, 64);
  CHECK(problems_in(text).empty());  // 256
  add(2, 1);
  CHECK(problems_in(text).find("the members have 257 isolates in all, more than 256") != std::string::npos);
  for (int index = 3; index < 300; ++index) add(index, 1);
  CHECK(problems_in(text).find("302 members, more than 64") != std::string::npos);
}

TEST_CASE("problem: TOML that is none is told where it breaks", "[config]") {
  // The words are toml++'s and change with it; the place and the hint do not.
  for (const auto& [text, where] : std::vector<std::pair<std::string, std::string>>{
           {"[ensemble]\nname = small\n", "/configs/small.toml:2:"},
           {"[ensemble]\nname = \"a\"\nname = \"b\"\n", "/configs/small.toml:3:"},
           {"[ensemble\n", "/configs/small.toml:1:"},
           {"[answer]\ndeadline = 50ms\n", "/configs/small.toml:2:"}}) {
    const auto config = parse_config(text, small_source());
    REQUIRE_FALSE(config.has_value());
    REQUIRE(config.error().size() == 1);
    const Error& error = config.error().front().error;
    CHECK(error.where.starts_with(where));
    CHECK(error.what.starts_with("not TOML: "));
    CHECK_FALSE(error.hint.empty());
  }
}

TEST_CASE("problem: colour marks the place, the word error and the caret", "[config]") {
  const auto config = parse_config(kSmall + "weight = -1\n", small_source());
  REQUIRE_FALSE(config.has_value());
  CHECK(describe(config.error().front(), true) ==
        "\x1b[1m/configs/small.toml:12:10:\x1b[0m \x1b[1;31merror:\x1b[0m weight is -1, below 0; write a "
        "number from 0 "
        "to 1000000000\n"
        "  weight = -1\n"
        "           \x1b[1;32m^\x1b[0m\n");
}

TEST_CASE("problem: a long line is cut around its column", "[config]") {
  const std::string spaces(300, ' ');
  const auto config =
      parse_config(kSmall + "weight =" + spaces + "-1 #" + std::string(300, 'x') + "\n", small_source());
  REQUIRE_FALSE(config.has_value());
  const ConfigProblem& problem = config.error().front();
  CHECK(problem.error.where == "/configs/small.toml:12:309");
  CHECK(problem.source_line == "…" + std::string(60, ' ') + "-1 #" + std::string(56, 'x') + "…");
  CHECK(problem.column == 62);
}

TEST_CASE("problem: a file with a thousand mistakes is told of the first two hundred", "[config]") {
  // Goal: bounded text whatever the file. Method: one line with 1000 unknown keys, where each excerpt could
  // be all of it.
  std::string text = kSmall + "[answer]\nx = {";
  for (int index = 0; index < 1000; ++index)
    text += (index > 0 ? ", k" : "k") + std::to_string(index) + " = 1";
  text = with(kSmall, "[ensemble]\n", text.substr(text.find("x = {") + 4) + "}\n[ensemble]\n");
  text = "answer = " + text;
  const auto config = parse_config(text, small_source());
  REQUIRE_FALSE(config.has_value());
  REQUIRE(config.error().size() == 201);
  CHECK(config.error().back().error.what == "800 more problems are not shown");
}

TEST_CASE("problem: a config built in C++ is held to the same rules", "[config]") {
  EnsembleConfig config;
  config.name = "built";
  config.classes = {"no", "yes"};
  config.features = 2;
  config.combine.rule = CombineRule::soft_vote;
  config.members = {{.name = "one", .model = "/dev/null/none", .kind = "", .where = ""},
                    {.name = "one", .model = "", .kind = "magic", .weight = -1, .instances = 0, .where = ""}};
  config.answer.quorum = {.kind = Quorum::Kind::count, .count = 9};
  config.answer.deadline = std::chrono::hours(25);
  config.combine.trim = std::numeric_limits<double>::quiet_NaN();
  std::string all;
  for (const Error& error : check_config(config)) all += describe(error) + "\n";
  CHECK(all ==
        "combine.trim: error: trim is nan, not a finite number; write a number from 0 to below 0.5\n"
        "answer.deadline: error: deadline is 25h, above 24h; write a duration from 1us to 24h\n"
        "member[1].model: error: model is \"\", which is empty; write the file's path in quotes, relative to "
        "the config "
        "file\n"
        "member[1].kind: error: kind is \"magic\", which is unknown; write one of: xgboost, lightgbm, "
        "scikit, dense, onnx, plugin\n"
        "member[1].weight: error: weight is -1, below 0; write a number from 0 to 1000000000\n"
        "member[1].instances: error: instances is 0, below 1; write a whole number from 1 to 64\n"
        "member[1].name: error: a second member is named \"one\"; give each member a name of its own\n"
        "answer.quorum: error: quorum is 9 of 2 members: it can never be met; write a number from 1 to 2, "
        "\"majority\" "
        "or \"all\"\n"
        "member[0].model: error: model \"/dev/null/none\" cannot be used: Not a directory; a model is a "
        "readable file, "
        "its path relative to the config file\n");
}

}  // namespace
}  // namespace tutti
