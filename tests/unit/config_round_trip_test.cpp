// to_toml() and parse_config() are each other's inverse.
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>

#include "tests/catch.hpp"
#include "tests/unit/config_fixture.hpp"

namespace tutti {
namespace {

/// Random valid configs, every setting of them; the seed decides all.
class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(seed) {}

  EnsembleConfig config() {
    EnsembleConfig config;
    config.name = name(0);
    config.path = small_source().path;
    config.task = chance() ? Task::classification : Task::regression;
    if (config.task == Task::classification) config.classes = labels(2 + below(4));
    config.features = 1 + below(1000);
    if (chance()) {
      config.feature_names = labels(1 + below(8));
      config.features = static_cast<std::uint32_t>(config.feature_names.size());
    }
    const std::uint32_t members = 1 + below(6);
    for (std::uint32_t index = 0; index < members; ++index) {
      config.members.push_back(
          {.name = name(index),
           .model = "/models/" + labels(1).front(),
           .kind = pick<std::string>({"", "xgboost", "lightgbm", "scikit", "dense", "onnx", "plugin"}),
           .weight = number() + 1e-3,
           .instances = 1 + below(8),
           .isolation = chance() ? isolation() : IsolationConfig{},
           .jit = chance() ? jit() : JitConfig{},
           .where = ""});
    }
    choose_rule(config);
    choose_answer(config);
    config.restart = {.backoff_min = duration(1'000'000, 1'000'000'000),
                      .backoff_max = duration(1'000'000'000, 86'400'000'000'000),
                      .budget = below(1001),
                      .window = duration(1'000'000, 86'400'000'000'000),
                      .start_timeout = duration(1'000'000, 86'400'000'000'000),
                      .rate = 1 + below(100'000),
                      .violations = 1 + below(100'000)};
    config.answer.hedge = chance();
    config.answer.breaker = chance();
    if (chance()) config.answer.band = number();
    config.limits = {.in_flight = 2U << below(6), .rows = 1 + below(4096)};
    if (chance()) config.spin = {.automatic = false, .duration = duration(0, 1'000'000'000)};
    config.log_level = static_cast<LogLevel>(below(6));
    if (chance()) config.isolation = isolation();
    if (chance()) config.jit = jit();
    if (chance()) config.events = "/var/log/events.jsonl";
    return config;
  }

 private:
  IsolationConfig isolation() {
    return {
        .require =
            pick({IsolationRequirement::full, IsolationRequirement::best_effort, IsolationRequirement::none}),
        .memory = (1ULL << 20) + random_() % (1ULL << 40),
        .cpu_cores = 0.01 + number(),
        .cpu_share = 0.01 + number(),
        .nice = static_cast<std::int32_t>(below(20)),
        .processes = 1 + below(1000),
        .descriptors = 16 + below(1000),
        .file_size = random_() % (1ULL << 40),
        .read = chance() ? std::vector<std::string>{"/usr/share", "/etc/a b"} : std::vector<std::string>{}};
  }
  JitConfig jit() {
    JitConfig jit{.mode = pick({JitMode::off, JitMode::tier1, JitMode::full}),
                  .threshold = {},
                  .compile = pick({JitCompile::automatic, JitCompile::load})};
    if (chance()) jit.threshold = below(1'000'000'000);
    return jit;
  }
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random_() % limit); }
  bool chance() { return below(2) == 0; }
  // Any double between 0 and 1: the shortest decimals of most have 16 or 17 digits.
  double number() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  template <class Item>
  Item pick(std::initializer_list<Item> items) {
    return *(items.begin() + below(static_cast<std::uint32_t>(items.size())));
  }
  Duration duration(std::uint64_t least_ns, std::uint64_t most_ns) {
    return Duration(static_cast<std::int64_t>(least_ns + random_() % (most_ns - least_ns + 1)));
  }
  std::string name(std::uint32_t index) {
    return pick<std::string>({"a", "B-", "7_", "x.y"}) + std::to_string(index);
  }
  std::vector<std::string> labels(std::size_t count) {
    std::vector<std::string> labels;
    for (std::size_t index = 0; index < count; ++index) {
      std::string label = std::to_string(index);
      for (std::uint32_t piece = below(5); piece > 0; --piece) {
        label +=
            pick<std::string>({"\"", "\\", "#", "é", "日本", " x", "=", "[", "'''", "😀", "\\u0041", "a"});
      }
      labels.push_back(label);
    }
    return labels;
  }
  void choose_rule(EnsembleConfig& config) {
    const bool regression = config.task == Task::regression;
    config.combine.rule = regression ? pick({CombineRule::mean, CombineRule::median, CombineRule::stacking})
                                     : static_cast<CombineRule>(below(11));
    config.combine.trim = number() / 2;
    if (config.combine.rule != CombineRule::stacking) return;
    if (chance()) {
      config.combine.model = "/stack";
      config.combine.model_kind = "xgboost";
      return;
    }
    for (std::uint32_t row = 0; row < config.outputs(); ++row) {
      config.combine.coefficients.emplace_back();
      for (std::size_t input = 0; input < config.members.size() * config.outputs(); ++input) {
        config.combine.coefficients.back().push_back((number() - 0.5) * pick({1.0, 1e90, 1e-300, 0.0, 1e16}));
      }
      if (row == 0 || !config.combine.intercept.empty()) config.combine.intercept.push_back(number());
    }
  }
  void choose_answer(EnsembleConfig& config) {
    const auto members = static_cast<std::uint32_t>(config.members.size());
    config.answer.quorum = pick({Quorum{.kind = Quorum::Kind::majority}, Quorum{.kind = Quorum::Kind::all},
                                 Quorum{.kind = Quorum::Kind::count, .count = 1 + below(members)}});
    config.answer.deadline = duration(1'000, 86'400'000'000'000);
    config.answer.grace = duration(1'000'000, 86'400'000'000'000);
    if (chance()) config.answer.last_resort = config.members[below(members)].name;
  }

  std::mt19937_64 random_;
};

EnsembleConfig without_places(EnsembleConfig config) {
  for (MemberConfig& member : config.members) member.where.clear();
  return config;
}

TEST_CASE("round trip: a config written as TOML reads back to the same value", "[config]") {
  // Method: random configs that use every setting; the one that fails is shown with its seed.
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const EnsembleConfig config = Generator(seed).config();
    const std::string text = to_toml(config);
    INFO("seed " << seed << "\n" << text << "\n" << problems_in(text));
    const auto back = parse_config(text, small_source());
    REQUIRE(back.has_value());
    REQUIRE(without_places(*back) == config);
    REQUIRE(to_toml(*back) == text);
  }
}

TEST_CASE("round trip: every example is a config, and reads back to itself", "[config]") {
  std::size_t examples = 0;
  for (const auto& entry : std::filesystem::directory_iterator(TUTTI_EXAMPLES)) {
    if (entry.path().extension() != ".toml") continue;
    ++examples;
    std::ostringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    ConfigSource source = small_source();
    source.path = entry.path().string();
    INFO(source.path << "\n" << problems_in(text.str(), source));
    const auto config = parse_config(text.str(), source);
    REQUIRE(config.has_value());
    const auto back = parse_config(to_toml(*config), source);
    REQUIRE(back.has_value());
    CHECK(without_places(*back) == without_places(*config));
  }
  CHECK(examples >= 4);
}

}  // namespace
}  // namespace tutti
