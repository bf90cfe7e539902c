// Profiles, the environment and --set: what wins, and how their mistakes are told.
#include "tests/catch.hpp"
#include "tests/unit/config_fixture.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

const std::string kSmall(kSmallConfig);
const std::string kProfiles = kSmall +
                              "[answer]\n"
                              "deadline = \"10ms\"\n"
                              "grace = \"2s\"\n"
                              "[profile.dev.answer]\n"
                              "deadline = \"20ms\"\n"
                              "[profile.dev.member.linear]\n"
                              "weight = 3\n"
                              "[profile.production.limits]\n"
                              "rows = 64\n";

ConfigSource layered(std::string profile, std::vector<std::pair<std::string, std::string>> environment,
                     std::vector<std::string> settings) {
  ConfigSource source = small_source();
  source.profile = std::move(profile);
  source.environment = std::move(environment);
  source.settings = std::move(settings);
  return source;
}

TEST_CASE("overlay: a profile wins over the file, the environment over it, --set over all", "[config]") {
  const auto deadline = [](const ConfigSource& source) {
    return parse_config(kProfiles, source)->answer.deadline;
  };
  CHECK(deadline(layered("", {}, {})) == 10ms);
  CHECK(deadline(layered("dev", {}, {})) == 20ms);
  CHECK(deadline(layered("dev", {{"TUTTI_ANSWER__DEADLINE", "30ms"}}, {})) == 30ms);
  CHECK(deadline(layered("dev", {{"TUTTI_ANSWER__DEADLINE", "30ms"}}, {"answer.deadline=40ms"})) == 40ms);
  CHECK(deadline(layered("", {}, {"answer.deadline=40ms", "answer.deadline=50ms"})) == 50ms);
  // What a layer does not speak of stands as it was.
  CHECK(parse_config(kProfiles, layered("dev", {}, {}))->answer.grace == 2s);
  CHECK(parse_config(kProfiles, layered("dev", {}, {}))->limits.rows == kRowsDefault);
}

TEST_CASE("overlay: a member is found by its name", "[config]") {
  const auto profile = parse_config(kProfiles, layered("dev", {}, {}));
  REQUIRE(profile.has_value());
  CHECK(profile->members[0].weight == 1);
  CHECK(profile->members[1].weight == 3);

  const std::string named = with(with(kSmall, "\"boosted\"", "\"xgb-v1.2\""), "\"linear\"", "\"a__b\"");
  const auto config = parse_config(
      named, layered("", {{"TUTTI_MEMBER__XGB_V1_2__WEIGHT", "4"}, {"tutti_member__A__B__instances", "2"}},
                     {"member.xgb-v1.2.model=other.json", "member.a__b.weight=0.5"}));
  REQUIRE(config.has_value());
  CHECK(config->members[0].weight == 4);
  CHECK(config->members[0].model == "/configs/other.json");
  CHECK(config->members[1].instances == 2);
  CHECK(config->members[1].weight == 0.5);
}

TEST_CASE("overlay: a text from outside is a TOML value if it is one, and else itself", "[config]") {
  const auto config = parse_config(
      kSmall, layered("", {},
                      {"ensemble.classes=['a', \"b\"]", "ensemble.name=2024", "answer.quorum=1",
                       "answer.last_resort=linear", "answer.grace=\"3s\"", "limits.spin=0",
                       "ensemble.features=[\"x\"]", "combine.rule=max", "member.linear.model=a b#c.json"}));
  REQUIRE(config.has_value());
  CHECK(config->classes == std::vector<std::string>{"a", "b"});
  CHECK(config->name == "2024");
  CHECK(config->answer.quorum == Quorum{.kind = Quorum::Kind::count, .count = 1});
  CHECK(config->answer.last_resort == "linear");
  CHECK(config->answer.grace == 3s);
  CHECK_FALSE(config->spin.automatic);
  CHECK(config->feature_names == std::vector<std::string>{"x"});
  CHECK(config->features == 1);
  CHECK(config->combine.rule == CombineRule::maximum);
  CHECK(config->members[1].model == "/configs/a b#c.json");
  // An empty text takes a setting back.
  const auto back = parse_config(kSmall + "[answer]\nlast_resort = \"linear\"\n",
                                 layered("", {{"TUTTI_ANSWER__LAST_RESORT", ""}}, {}));
  REQUIRE(back.has_value());
  CHECK(back->answer.last_resort.empty());
}

TEST_CASE("overlay: one text gives one setting", "[config]") {
  // Goal: a value cannot smuggle in a second key. Method: a line break and a table's head within the value.
  CHECK(problems_in(kSmall, layered("", {{"TUTTI_MEMBER__LINEAR__WEIGHT", "1\nweight2 = 3"}}, {})) ==
        "environment TUTTI_MEMBER__LINEAR__WEIGHT: error: weight is \"1\\u000aweight2 = 3\", not a number; "
        "write a "
        "number from 0 to 1000000000\n");
}

TEST_CASE("overlay: variables that are no settings are left alone", "[config]") {
  CHECK(problems_in(kSmall, layered("",
                                    {{"TUTTI_WORKER", "/usr/bin/x"},
                                     {"TUTTI_LOG_LEVEL", "?"},
                                     {"PATH", "a__b"},
                                     {"TUTTIANSWER__X", "1"},
                                     {"", ""}},
                                    {})) == "");
}

TEST_CASE("overlay: TUTTI_JIT and TUTTI_JIT_THRESHOLD are short for the settings of [jit]", "[config]") {
  const auto jit = [](std::vector<std::pair<std::string, std::string>> environment) {
    const auto config = parse_config(kSmall, layered("", std::move(environment), {}));
    REQUIRE(config.has_value());
    return config->jit;
  };
  CHECK(jit({{"TUTTI_JIT", "off"}}).mode == JitMode::off);
  CHECK(jit({{"TUTTI_JIT", "tier1"}, {"TUTTI_JIT_THRESHOLD", "20"}}).mode == JitMode::tier1);
  CHECK(jit({{"TUTTI_JIT_THRESHOLD", "20"}}).threshold == 20);
  // Whatever the order, the long name goes before the short one.
  CHECK(jit({{"TUTTI_JIT", "off"}, {"TUTTI_JIT__MODE", "full"}}).mode == JitMode::full);
  CHECK(jit({{"TUTTI_JIT__MODE", "full"}, {"TUTTI_JIT", "off"}}).mode == JitMode::full);

  CHECK(problems_in(kSmall, layered("", {{"TUTTI_JIT", "on"}, {"TUTTI_JIT_THRESHOLD", "-1"}}, {})) ==
        "environment TUTTI_JIT: error: mode is \"on\", which is unknown; write one of: off, tier1, full\n"
        "environment TUTTI_JIT_THRESHOLD: error: threshold is -1, below 0; write a whole number from 0 to "
        "1000000000\n");
}

TEST_CASE("overlay: mistakes from outside are told by their origin, after those of the file", "[config]") {
  const ConfigSource source =
      layered("",
              {{"TUTTI_ANSWER__DEADLINE", "soon"},
               {"TUTTI_ANSWR__DEADLINE", "1s"},
               {"TUTTI_MEMBER__LINER__WEIGHT", "1"}},
              {"answer.dedline=5ms", "deadline=5ms", "answer.deadline", "member.linear.name=x",
               "member.weight=3", "member.liner.weight=3", "answer.quorum=3"});
  CHECK(
      problems_in(kSmall + "weight = -1\n", source) ==
      "/configs/small.toml:12:10: error: weight is -1, below 0; write a number from 0 to 1000000000\n"
      "  weight = -1\n"
      "           ^\n"
      "environment TUTTI_ANSWER__DEADLINE: error: deadline is \"soon\", not a duration; write a number and a "
      "unit in "
      "quotes, such as \"20ms\", \"1.5s\" or \"2m\"\n"
      "environment TUTTI_ANSWR__DEADLINE: error: unknown table \"answr\"; did you mean 'answer'?\n"
      "environment TUTTI_MEMBER__LINER__WEIGHT: error: no member is named \"liner\"; did you mean 'linear'?\n"
      "--set answer.dedline: error: unknown key \"dedline\" in answer; did you mean 'deadline'?\n"
      "--set deadline: error: \"deadline=5ms\" is not TABLE.KEY=VALUE; write --set answer.deadline=20ms, or "
      "--set "
      "member.NAME.weight=2\n"
      "--set answer.deadline: error: \"answer.deadline\" is not TABLE.KEY=VALUE; write --set "
      "answer.deadline=20ms, or "
      "--set member.NAME.weight=2\n"
      "--set member.linear.name: error: a member's name cannot be overlaid; it tells which member is meant; "
      "change it "
      "in its [[member]]\n"
      "--set member.weight: error: no member is named \"\"; the members are: boosted, linear\n"
      "--set member.liner.weight: error: no member is named \"liner\"; did you mean 'linear'?\n"
      "--set answer.quorum: error: quorum is 3 of 2 members: it can never be met; write a number from 1 to "
      "2, "
      "\"majority\" or \"all\"\n");
}

TEST_CASE("overlay: two members whose names the environment cannot tell apart are not guessed at",
          "[config]") {
  const std::string text = with(with(kSmall, "\"boosted\"", "\"a-b\""), "\"linear\"", "\"a.b\"");
  CHECK(problems_in(text, layered("", {{"TUTTI_MEMBER__A_B__WEIGHT", "2"}}, {})) ==
        "environment TUTTI_MEMBER__A_B__WEIGHT: error: more than one member's name is spelled \"a_b\" here; "
        "write --set "
        "member.NAME.KEY=VALUE instead\n");
}

TEST_CASE("overlay: a profile that is not there is told with those that are", "[config]") {
  CHECK(problems_in(kProfiles, layered("prod", {}, {})) ==
        "--profile prod: error: no profile is named \"prod\"; the file's profiles are: dev, production\n");
  CHECK(problems_in(kProfiles, layered("Dev", {}, {})) ==
        "--profile Dev: error: no profile is named \"Dev\"; did you mean 'dev'?\n");
  CHECK(problems_in(kSmall, layered("dev", {}, {})) ==
        "--profile dev: error: no profile is named \"dev\"; the file has no profiles; add "
        "[profile.NAME.answer], for "
        "one\n");
}

TEST_CASE("overlay: a profile that was not chosen is checked all the same", "[config]") {
  // Goal: a mistake in [profile.production] shows on the developer's machine, each kind of it once.
  const std::string text = kSmall +
                           "[profile.production.answer]\n"
                           "deadline = 10\n"
                           "quorum = 3\n"
                           "[profile.production.answr]\n"
                           "[profile.production.member.liner]\n"
                           "weight = 1\n"
                           "[profile.production.member.linear]\n"
                           "name = \"x\"\n"
                           "[[profile.test.member]]\n"
                           "name = \"x\"\n"
                           "[profile.\"a b\".answer]\n";
  const std::string wanted =
      "/configs/small.toml:13:12: error: deadline is 10 (an integer), not a duration; write a number and a "
      "unit in "
      "quotes, such as \"20ms\", \"1.5s\" or \"2m\"\n"
      "  deadline = 10\n"
      "             ^\n"
      "/configs/small.toml:14:10: error: quorum is 3 of 2 members: it can never be met; write a number from "
      "1 to 2, "
      "\"majority\" or \"all\"\n"
      "  quorum = 3\n"
      "           ^\n"
      "/configs/small.toml:15:21: error: unknown table \"answr\" in a profile; did you mean 'answer'?\n"
      "  [profile.production.answr]\n"
      "                      ^\n"
      "/configs/small.toml:16:28: error: no member is named \"liner\"; did you mean 'linear'?\n"
      "  [profile.production.member.liner]\n"
      "                             ^\n"
      "/configs/small.toml:19:1: error: a member's name cannot be overlaid; it tells which member is meant; "
      "change it in "
      "its [[member]]\n"
      "  name = \"x\"\n"
      "  ^\n"
      "/configs/small.toml:20:1: error: profile.test.member is a list, not a table; write "
      "[profile.test.member.NAME] "
      "with its keys beneath\n"
      "  [[profile.test.member]]\n"
      "  ^\n"
      "/configs/small.toml:22:10: error: profile \"a b\" has a character that names may not have; a name has "
      "at most 64 "
      "letters a-z A-Z, digits, '.', '_' and '-', and begins with a letter or digit\n"
      "  [profile.\"a b\".answer]\n"
      "           ^\n";
  CHECK(problems_in(text, layered("", {}, {})) == wanted);
  CHECK(problems_in(text, layered("production", {}, {})) == wanted);
}

TEST_CASE("overlay: a profile may change the rule and leave the other rule's keys behind", "[config]") {
  const std::string text = kSmall +
                           "[combine]\nrule = \"stacking\"\ncoefficients = [[1, 2, 3, 4], [1, 2, 3, 4]]\n"
                           "[profile.dev.combine]\nrule = \"mean\"\n";
  const auto config = parse_config(text, layered("dev", {}, {}));
  REQUIRE(config.has_value());
  CHECK(config->combine.rule == CombineRule::mean);
}

TEST_CASE("overlay: what is missing from the file may come from a layer", "[config]") {
  const std::string text = with(kSmall, "features = 3\n", "");
  CHECK_FALSE(parse_config(text, layered("", {}, {})).has_value());
  const auto config = parse_config(text, layered("", {{"TUTTI_ENSEMBLE__FEATURES", "7"}}, {}));
  REQUIRE(config.has_value());
  CHECK(config->features == 7);
}

}  // namespace
}  // namespace tutti
