// EnsembleBuilder: the config that calls give is the one that a file gives, and every mistake is told at
// once. No worker is started here.
#include <filesystem>
#include <fstream>
#include <string>

#include "supervisor/tutti.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

const std::string kModels = TUTTI_EXAMPLES "/models/breast_cancer/";

/// Valid; a test adds one thing to it.
EnsembleBuilder small() {
  EnsembleBuilder builder;
  builder.name("small").classes({"no", "yes"}).features(30).member("boosted", kModels + "boosted.json");
  return builder;
}

/// What a file beside the examples would give, but for its path and its lines.
EnsembleConfig from_file(std::string_view text) {
  auto config = parse_config(text, {.path = TUTTI_EXAMPLES "/here.toml"});
  if (!config) {
    std::string problems;
    for (const ConfigProblem& problem : config.error()) problems += describe(problem, false);
    FAIL(problems);
  }
  config->path.clear();
  for (MemberConfig& member : config->members) member.where.clear();
  return *std::move(config);
}

EnsembleConfig built(const EnsembleBuilder& builder) {
  auto config = builder.build();
  if (!config) FAIL(describe(config.error()));
  return *std::move(config);
}

/// Why build() refuses.
Error refused(const EnsembleBuilder& builder) {
  auto config = builder.build();
  REQUIRE_FALSE(config.has_value());
  CHECK(config.error().code == Errc::bad_config);
  CHECK_FALSE(config.error().hint.empty());
  return config.error();
}

bool has(const std::string& text, std::string_view part) {
  INFO(text);
  INFO("should have: " << part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

/// The current directory is another one for as long as this lives.
class CurrentDirectory {
 public:
  explicit CurrentDirectory(const fs::path& path) : before_(fs::current_path()) { fs::current_path(path); }
  CurrentDirectory(const CurrentDirectory&) = delete;
  CurrentDirectory& operator=(const CurrentDirectory&) = delete;
  ~CurrentDirectory() { fs::current_path(before_); }

 private:
  fs::path before_;
};

}  // namespace

TEST_CASE("builder: calls and a file that say the same give the same config", "[builder]") {
  // Goal: a program moves from one to the other without a change in its answers. Method: everything the
  // builder can say, each value another than its default.
  const EnsembleConfig wanted = from_file(R"(
    [ensemble]
    name = "everything"
    task = "classification"
    classes = ["malignant", "benign"]
    features = ["a", "b", "c"]
    [combine]
    rule = "trimmed_mean"
    trim = 0.25
    [answer]
    quorum = 2
    deadline = "20ms"
    [restart]
    backoff_min = "10ms"
    backoff_max = "1m"
    budget = 7
    window = "90s"
    start_timeout = "5s"
    [limits]
    in_flight = 16
    rows = 512
    spin = "30us"
    [[member]]
    name = "boosted"
    model = "models/breast_cancer/boosted.json"
    kind = "xgboost"
    weight = 2.5
    instances = 3
    [[member]]
    name = "network"
    model = "models/../models/breast_cancer/network.safetensors"
  )");
  EnsembleBuilder builder;
  builder.name("everything")
      .classes({"malignant", "benign"})
      .features({"a", "b", "c"})
      .member("boosted", kModels + "boosted.json")
      .kind("xgboost")
      .weight(2.5)
      .instances(3)
      .member("network", kModels + "../breast_cancer/network.safetensors")
      .combine(trimmed_mean(0.25))
      .quorum(2)
      .deadline(20ms)
      .restart({.backoff_min = 10ms, .backoff_max = 1min, .budget = 7, .window = 90s, .start_timeout = 5s})
      .limits({.in_flight = 16, .rows = 512})
      .spin({.automatic = false, .duration = 30us});
  CHECK(to_toml(built(builder)) == to_toml(wanted));  // shows the difference, if there is one
  CHECK(built(builder) == wanted);
}

TEST_CASE("builder: what is not said is as in a file that does not say it", "[builder]") {
  const std::string member =
      "[[member]]\nname = \"boosted\"\nmodel = \"models/breast_cancer/boosted.json\"\n";
  SECTION("classification") {
    const EnsembleConfig config = built(small());
    CHECK(config.combine.rule == CombineRule::soft_vote);
    CHECK(config == from_file("[ensemble]\nname = \"small\"\ntask = \"classification\"\n"
                              "classes = [\"no\", \"yes\"]\nfeatures = 30\n" +
                              member));
  }
  SECTION("regression") {
    EnsembleBuilder builder;
    builder.name("small").regression().features(30).member("boosted", kModels + "boosted.json");
    const EnsembleConfig config = built(builder);
    CHECK(config.combine.rule == CombineRule::mean);
    CHECK(config ==
          from_file("[ensemble]\nname = \"small\"\ntask = \"regression\"\nfeatures = 30\n" + member));
  }
}

TEST_CASE("builder: each rule's helper gives the rule of its name", "[builder]") {
  const std::pair<CombineConfig, CombineRule> rules[] = {
      {mean(), CombineRule::mean},
      {weighted_mean(), CombineRule::weighted_mean},
      {median(), CombineRule::median},
      {trimmed_mean(0.1), CombineRule::trimmed_mean},
      {minimum(), CombineRule::minimum},
      {maximum(), CombineRule::maximum},
      {geometric_mean(), CombineRule::geometric_mean},
      {soft_vote(), CombineRule::soft_vote},
      {hard_vote(), CombineRule::hard_vote},
      {rank_mean(), CombineRule::rank_mean},
      {stacking({{1, 0}, {0, 1}}, {0.5, -0.5}), CombineRule::stacking}};
  for (const auto& [config, rule] : rules) {
    CHECK(config.rule == rule);
    CHECK(built(small().combine(config)).combine == config);
  }
  CHECK(trimmed_mean(0.1).trim == 0.1);
  CHECK(stacking({{1, 0}, {0, 1}}, {0.5, -0.5}).coefficients ==
        std::vector<std::vector<double>>{{1, 0}, {0, 1}});
  CHECK(stacking({{1, 0}, {0, 1}}, {0.5, -0.5}).intercept == std::vector<double>{0.5, -0.5});
}

TEST_CASE("builder: a rule that was chosen is kept, though it is the default of the other task",
          "[builder]") {
  CHECK(built(small().combine(mean())).combine.rule == CombineRule::mean);
}

TEST_CASE("builder: quorum takes a number, a majority or all", "[builder]") {
  CHECK(built(small()).answer.quorum == Quorum{});
  CHECK(built(small().quorum(1)).answer.quorum == Quorum{.kind = Quorum::Kind::count, .count = 1});
  CHECK(built(small().quorum(Quorum{.kind = Quorum::Kind::all})).answer.quorum.of(3) == 3);
}

TEST_CASE("builder: the last word on features counts", "[builder]") {
  CHECK(built(small().features({"a", "b"})).features == 2);
  const EnsembleConfig config = built(small().features({"a", "b"}).features(30));
  CHECK(config.features == 30);
  CHECK(config.feature_names.empty());
}

TEST_CASE("builder: a relative model is looked for in the current directory", "[builder]") {
  const CurrentDirectory here(TUTTI_EXAMPLES);
  EnsembleBuilder builder = small().member("network", "models/./breast_cancer/network.safetensors");
  CHECK(built(builder).members[1].model == fs::current_path() / "models/breast_cancer/network.safetensors");

  const CurrentDirectory elsewhere("/");
  has(refused(builder).what, "/models/breast_cancer/network.safetensors");
}

TEST_CASE("builder: a stacking model's path is made absolute too", "[builder]") {
  const CurrentDirectory here(TUTTI_EXAMPLES);
  const std::string relative = "models/breast_cancer/boosted.json";
  const EnsembleConfig config = built(small().combine({.rule = CombineRule::stacking, .model = relative}));
  CHECK(config.combine.model == fs::current_path() / relative);
}

TEST_CASE("builder: what speaks of a member before there is one is told, each by its name", "[builder]") {
  EnsembleBuilder builder;
  builder.weight(2).kind("xgboost").instances(3);
  builder.name("small").classes({"no", "yes"}).features(30).member("boosted", kModels + "boosted.json");
  const Error error = refused(builder);
  for (const std::string setting : {"weight()", "kind()", "instances()"}) {
    has(error.what, setting + " was called before any member()");
  }
  has(error.what, "3 problems");
  has(error.where, "small");
}

TEST_CASE("builder: the member that was added last is the one spoken of", "[builder]") {
  const EnsembleConfig config =
      built(small().weight(2).member("network", kModels + "network.safetensors").weight(3));
  CHECK(config.members[0].weight == 2);
  CHECK(config.members[1].weight == 3);
}

TEST_CASE("builder: every problem is told at once, a line each", "[builder]") {
  EnsembleBuilder builder;
  builder.instances(2)
      .name("not a name")
      .classes({"yes", "yes"})
      .features(0)
      .member("boosted", "/nowhere/boosted.json")
      .weight(-1)
      .member("boosted", kModels + "boosted.json")
      .quorum(9)
      .deadline(-1ms)
      .limits({.in_flight = 3});
  const Error error = refused(builder);
  for (const std::string_view part :
       {"EnsembleBuilder::instances()", "ensemble.name", "ensemble.classes[1]", "ensemble.features",
        "member[0].weight", "member[1].name", "/nowhere/boosted.json", "answer.quorum", "answer.deadline",
        "limits.in_flight"}) {
    has(error.what, part);
  }
  CHECK(std::ranges::count(error.what, '\n') == 10);
  has(error.what, "10 problems\n");
}

TEST_CASE("builder: one problem alone is told as it is", "[builder]") {
  const Error error = refused(small().weight(-1));
  CHECK(error.where == "member[0].weight");
  has(error.what, "-1");
}

TEST_CASE("builder: what nobody called is told in the program's words, once", "[builder]") {
  const Error error = refused(EnsembleBuilder{});
  for (const std::string_view part : {"call name(", "neither classes() nor regression() was called",
                                      "or regression()", "call features(", "call member("}) {
    has(error.what, part);
  }
  CHECK(std::ranges::count(error.what, '\n') == 4);
}

TEST_CASE("builder: without classes and without regression() the hint names both", "[builder]") {
  EnsembleBuilder builder;
  builder.name("small").features(30).member("boosted", kModels + "boosted.json");
  const Error error = refused(builder);
  CHECK(error.where == "ensemble.classes");
  has(error.hint, "classes(");
  has(error.hint, "regression()");
}

TEST_CASE("builder: classes and regression do not go together, in whichever order", "[builder]") {
  for (const bool classes_first : {true, false}) {
    EnsembleBuilder builder;
    builder.name("small").features(30).member("boosted", kModels + "boosted.json");
    if (classes_first) {
      builder.classes({"no", "yes"}).regression();
    } else {
      builder.regression().classes({"no", "yes"});
    }
    has(refused(builder).what, "both classes() and regression()");
  }
}

TEST_CASE("builder: build changes nothing, so a mistake can be put right", "[builder]") {
  EnsembleBuilder builder = small().quorum(2);
  has(refused(builder).what, "quorum is 2 of 1");
  builder.member("network", kModels + "network.safetensors");
  CHECK(built(builder) == built(builder));
  CHECK(built(builder).answer.quorum.count == 2);
}

TEST_CASE("builder: launch refuses what build refuses, and starts nothing", "[builder]") {
  const auto ensemble = small().quorum(9).launch({.worker = "/nowhere/tutti-worker"});
  REQUIRE_FALSE(ensemble.has_value());
  CHECK(ensemble.error().where == "answer.quorum");
}

}  // namespace tutti
