// What a valid config says, setting by setting.
#include "tests/catch.hpp"
#include "tests/unit/config_fixture.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kFull = R"toml([ensemble]
name = "breast-cancer"
task = "classification"
classes = ["malignant", "benign"]
features = ["radius", "área (mm²)", "texture"]
log_level = "debug"
[combine]
rule = "trimmed_mean"
trim = 0.25
[answer]
quorum = 2
deadline = "50ms"
grace = "2s"
last_resort = "linear"
hedge = false
breaker = false
band = 0.5
[restart]
backoff_min = "10ms"
backoff_max = "1m"
budget = 7
window = "1.5m"
start_timeout = "5s"
rate = 9
violations = 3
[limits]
in_flight = 16
rows = 512
spin = "30us"
[[member]]
name = "boosted"
model = "models/../models/boosted.json"
kind = "xgboost"
weight = 2
instances = 3
[[member]]
name = "linear"
model = "/elsewhere/linear.safetensors"
)toml";

TEST_CASE("config: every key is read to where it belongs", "[config]") {
  const auto config = parse_config(kFull, small_source());
  REQUIRE(config.has_value());
  EnsembleConfig wanted;
  wanted.name = "breast-cancer";
  wanted.path = "/configs/small.toml";
  wanted.task = Task::classification;
  wanted.classes = {"malignant", "benign"};
  wanted.features = 3;
  wanted.feature_names = {"radius", "área (mm²)", "texture"};
  wanted.log_level = LogLevel::debug;
  wanted.combine.rule = CombineRule::trimmed_mean;
  wanted.combine.trim = 0.25;
  wanted.answer = {.quorum = {.kind = Quorum::Kind::count, .count = 2},
                   .deadline = 50ms,
                   .grace = 2s,
                   .last_resort = "linear",
                   .hedge = false,
                   .breaker = false,
                   .band = 0.5};
  wanted.restart = {.backoff_min = 10ms,
                    .backoff_max = 1min,
                    .budget = 7,
                    .window = 90s,
                    .start_timeout = 5s,
                    .rate = 9,
                    .violations = 3};
  wanted.limits = {.in_flight = 16, .rows = 512};
  wanted.spin = {.automatic = false, .duration = 30us};
  wanted.members = {{.name = "boosted",
                     .model = "/configs/models/boosted.json",
                     .kind = "xgboost",
                     .weight = 2,
                     .instances = 3,
                     .where = "/configs/small.toml:30:1"},
                    {.name = "linear",
                     .model = "/elsewhere/linear.safetensors",
                     .kind = "",
                     .weight = 1,
                     .instances = 1,
                     .where = "/configs/small.toml:36:1"}};
  CHECK(*config == wanted);
}

TEST_CASE("config: what is left out has its default, and the rule fits the task", "[config]") {
  const auto classification = parse_config(kSmallConfig, small_source());
  REQUIRE(classification.has_value());
  CHECK(classification->combine.rule == CombineRule::soft_vote);
  CHECK(classification->answer == AnswerConfig{});
  CHECK(classification->restart == RestartConfig{});
  CHECK(classification->limits == LimitsConfig{});
  CHECK(classification->spin == SpinConfig{});
  CHECK(classification->log_level == LogLevel::warning);
  CHECK(classification->features == 3);
  CHECK(classification->feature_names.empty());
  CHECK(classification->outputs() == 2);

  const std::string text = with(with(std::string(kSmallConfig), "classification", "regression"),
                                "classes = [\"no\", \"yes\"]\n", "");
  const auto regression = parse_config(text, small_source());
  REQUIRE(regression.has_value());
  CHECK(regression->combine.rule == CombineRule::mean);
  CHECK(regression->outputs() == 1);
}

TEST_CASE("config: every rule is known by its name, and min and max by theirs", "[config]") {
  const std::vector<std::pair<std::string, CombineRule>> rules{
      {"mean", CombineRule::mean},
      {"weighted_mean", CombineRule::weighted_mean},
      {"median", CombineRule::median},
      {"trimmed_mean", CombineRule::trimmed_mean},
      {"minimum", CombineRule::minimum},
      {"min", CombineRule::minimum},
      {"maximum", CombineRule::maximum},
      {"max", CombineRule::maximum},
      {"geometric_mean", CombineRule::geometric_mean},
      {"soft_vote", CombineRule::soft_vote},
      {"hard_vote", CombineRule::hard_vote},
      {"rank_mean", CombineRule::rank_mean}};
  for (const auto& [word, rule] : rules) {
    INFO(word);
    const auto config =
        parse_config("combine.rule = \"" + word + "\"\n" + std::string(kSmallConfig), small_source());
    REQUIRE(config.has_value());
    CHECK(config->combine.rule == rule);
  }
}

TEST_CASE("config: stacking takes coefficients of the right shape, or a model", "[config]") {
  const auto linear =
      parse_config(std::string(kSmallConfig) +
                       "[combine]\nrule = \"stacking\"\n"
                       "coefficients = [[1, 2, 3, 4], [0.5, -1, 0, 1e-3]]\nintercept = [0, 1]\n",
                   small_source());
  REQUIRE(linear.has_value());
  CHECK(linear->combine.coefficients == std::vector<std::vector<double>>{{1, 2, 3, 4}, {0.5, -1, 0, 1e-3}});
  CHECK(linear->combine.intercept == std::vector<double>{0, 1});
  const auto model =
      parse_config(std::string(kSmallConfig) +
                       "[combine]\nrule = \"stacking\"\nmodel = \"stack.json\"\nkind = \"xgboost\"\n",
                   small_source());
  REQUIRE(model.has_value());
  CHECK(model->combine.model == "/configs/stack.json");
  CHECK(model->combine.model_kind == "xgboost");
}

TEST_CASE("config: spin is auto, a duration or 0", "[config]") {
  const auto spin = [](const std::string& value) {
    return parse_config(std::string(kSmallConfig) + "[limits]\nspin = " + value + "\n", small_source())->spin;
  };
  CHECK(spin("\"auto\"").automatic);
  CHECK(spin("0") == SpinConfig{.automatic = false, .duration = 0ns});
  CHECK(spin("\"0s\"") == SpinConfig{.automatic = false, .duration = 0ns});
  CHECK(spin("\"50us\"") == SpinConfig{.automatic = false, .duration = 50us});
}

TEST_CASE("config: a member's jit goes before the ensemble's, which goes before the default", "[config]") {
  const auto silent = parse_config(kSmallConfig, small_source());
  REQUIRE(silent.has_value());
  CHECK(jit_of(silent->jit, silent->members[0]) ==
        JitConfig{.mode = JitMode::full, .threshold = {}, .compile = JitCompile::automatic});

  ConfigSource source = small_source();
  source.environment = {{"TUTTI_JIT__THRESHOLD", "7"}};
  const auto config =
      parse_config(std::string(kSmallConfig) + "jit = \"full\"\njit_threshold = 0\njit_compile = \"load\"\n" +
                       "[jit]\nmode = \"off\"\nthreshold = 20\n",
                   source);
  REQUIRE(config.has_value());
  CHECK(jit_of(config->jit, config->members[0]) ==
        JitConfig{.mode = JitMode::off, .threshold = 7, .compile = JitCompile::automatic});
  CHECK(jit_of(config->jit, config->members[1]) ==
        JitConfig{.mode = JitMode::full, .threshold = 0, .compile = JitCompile::load});
  CHECK(problems_in(std::string(kSmallConfig) + "[jit]\nmode = \"of\"\n")
            .starts_with("/configs/small.toml:13:8: error: mode is \"of\""));
}

TEST_CASE("config: a byte order mark and CRLF change nothing", "[config]") {
  std::string text = "\xef\xbb\xbf";
  for (const char letter : kSmallConfig)
    text += letter == '\n' ? std::string("\r\n") : std::string(1, letter);
  const auto plain = parse_config(kSmallConfig, small_source());
  const auto dressed = parse_config(text, small_source());
  REQUIRE(plain.has_value());
  REQUIRE(dressed.has_value());
  CHECK(*plain == *dressed);
}

TEST_CASE("config: a quorum of words is counted when the members are known", "[config]") {
  CHECK(Quorum{.kind = Quorum::Kind::majority}.of(3) == 2);
  CHECK(Quorum{.kind = Quorum::Kind::majority}.of(4) == 3);
  CHECK(Quorum{.kind = Quorum::Kind::all}.of(5) == 5);
  CHECK(Quorum{.kind = Quorum::Kind::count, .count = 2}.of(5) == 2);
}

}  // namespace
}  // namespace tutti
