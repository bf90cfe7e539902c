// Launching, asking and ending ensembles of the committed examples.
#include <cmath>
#include <future>

#include "supervisor/data/table.hpp"
#include "tests/end_to_end/world.hpp"
#include "tests/unit/npy_fixture.hpp"

namespace tutti::test {
namespace {

const std::string kExamples = TUTTI_EXAMPLES;
const std::string kExpected = std::string(TUTTI_TEST_DATA) + "/expected";

EnsembleConfig example(const std::string& name) {
  auto config = load_config({.path = kExamples + "/" + name + ".toml"});
  REQUIRE(config);
  config->log_level = LogLevel::off;
  config->answer.deadline = 20s;  // these tests are about answers, not about time
  return *config;
}

// All rows of a file.
TableChunk rows_of(const EnsembleConfig& config, const std::string& file) {
  auto table = open_table({.path = kExamples + "/data/" + file,
                           .features = config.features,
                           .feature_names = config.feature_names,
                           .target = "target",
                           .classes = config.classes});
  REQUIRE(table);
  TableChunk chunk;
  REQUIRE((*table)->read(100'000, chunk));
  return chunk;
}

// The answers to all rows, asked for in requests of at most `rows`.
std::vector<float> answers_of(Ensemble& ensemble, const TableChunk& chunk, std::uint32_t rows) {
  const std::uint32_t features = ensemble.config().features;
  std::vector<float> answers;
  Prediction prediction;
  for (std::uint32_t first = 0; first < chunk.rows; first += rows) {
    const std::uint32_t count = std::min(rows, chunk.rows - first);
    REQUIRE(ensemble.predict({chunk.features.data() + std::size_t{first} * features, count, features},
                             prediction));
    REQUIRE_FALSE(prediction.degraded());
    answers.insert(answers.end(), prediction.answer().begin(), prediction.answer().end());
  }
  return answers;
}

Ensemble launch(EnsembleConfig config, LaunchOptions options = {}) {
  if (options.worker.empty()) options.worker = kBin + "/tutti-worker";
  auto ensemble = Ensemble::launch(std::move(config), std::move(options));
  if (!ensemble) FAIL(describe(ensemble.error()));
  return std::move(*ensemble);
}

}  // namespace

TEST_CASE("launch: every example answers as the training libraries and an independent combination do",
          "[launch]") {
  // Method: tests/data/expected was computed by numpy from the libraries' own outputs.
  const std::string name =
      GENERATE(as<std::string>{}, "breast_cancer", "wine", "digits", "diabetes", "diabetes_stacking");
  CAPTURE(name);
  const EnsembleConfig config = example(name);
  const std::string data = name == "diabetes_stacking" ? "diabetes" : name;
  const TableChunk chunk = rows_of(config, data + "_test.csv");
  const auto expected = fixture::read_npy<double>(kExpected + "/" + name + ".npy");
  Ensemble ensemble = launch(config);
  const std::vector<float> answer = answers_of(ensemble, chunk, config.limits.rows);
  REQUIRE(answer.size() == expected.values.size());
  for (std::size_t i = 0; i < answer.size(); ++i) {
    if (answer[i] != Approx(expected.values[i]).epsilon(1e-5).margin(1e-6)) {
      FAIL("element " << i << " is " << answer[i] << ", expected " << expected.values[i]);
    }
  }
}

TEST_CASE("launch: the answer does not depend on how rows are grouped into requests", "[launch]") {
  const EnsembleConfig config = example("breast_cancer");
  const TableChunk chunk = rows_of(config, "breast_cancer_test.csv");
  Ensemble ensemble = launch(config);
  const std::vector<float> whole = answers_of(ensemble, chunk, config.limits.rows);
  for (const std::uint32_t rows : {1U, 7U, 64U}) CHECK(answers_of(ensemble, chunk, rows) == whole);
}

TEST_CASE("launch: asynchronous requests are answered once each, whoever drives", "[launch]") {
  EnsembleConfig config = hostile_config(3);
  config.answer.deadline = 20s;
  Ensemble ensemble = launch(config);
  const std::vector<float> x{0, 0};
  std::atomic<int> answered{0};
  std::atomic<int> refused{0};
  constexpr int kEach = 200;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      Prediction prediction;
      for (int i = 0; i < kEach; ++i) {
        for (;;) {
          const auto accepted =
              caller == 0 ? ensemble.predict({x.data(), 1, 2}, prediction)
                          : ensemble.predict_async({x.data(), 1, 2}, [&](Result<void> outcome, Prediction) {
                              if (outcome) ++answered;
                            });
          if (accepted) break;
          if (accepted.error().code != Errc::overloaded) ++refused;
          std::this_thread::yield();
        }
        if (caller == 0) ++answered;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (int i = 0; i < 4000 && answered < 3 * kEach; ++i) std::this_thread::sleep_for(5ms);
  CHECK(answered == 3 * kEach);
  CHECK(refused == 0);
}

TEST_CASE("launch: a stacking model answers from the members' votes, in an isolate of its own", "[launch]") {
  EnsembleConfig config = hostile_config(2);
  config.combine = {.rule = CombineRule::stacking, .model = kBin + "/test_plugins/steady.so"};
  // Outlives the ensemble, whose end waits for the callback: set_value() is still at work when the future is
  // ready.
  std::promise<std::pair<Result<void>, Prediction>> answered;
  Ensemble ensemble = launch(config);
  CHECK(Footprint::now().children == 3 * 2);  // a template and an isolate each
  const std::vector<float> x{0, 0};
  const auto check = [](const Prediction& prediction) {
    CHECK(prediction.voted == 2);
    CHECK(prediction.part(0).data[1] == HOSTILE_PROBABILITY);
    CHECK(prediction.answer()[1] == 0.5F);  // what the stacking model says, not what the members say
    CHECK(prediction.disagreement[0] ==
          1.0F);  // the members' top class is "yes", the answer's the first of equals
  };
  const auto prediction = ensemble.predict({x.data(), 1, 2});
  REQUIRE(prediction);
  check(*prediction);
  REQUIRE(ensemble.predict_async({x.data(), 1, 2}, [&](Result<void> outcome, Prediction later) {
    answered.set_value({std::move(outcome), std::move(later)});
  }));
  const auto [outcome, later] = answered.get_future().get();
  REQUIRE(outcome);
  check(later);
}

TEST_CASE("launch: a stacking model that cannot start is named, and the ensemble is not ready", "[launch]") {
  EnsembleConfig config = hostile_config(2);
  config.combine = {.rule = CombineRule::stacking, .model = kBin + "/test_plugins/fail_at_open.so"};
  const auto ensemble = Ensemble::launch(config, {.worker = kBin + "/tutti-worker"});
  REQUIRE_FALSE(ensemble);
  CHECK(ensemble.error().code == Errc::not_ready);
  CHECK(ensemble.error().what.find("stacking: ") != std::string::npos);
}

TEST_CASE(
    "launch: callbacks that keep asking do not nest, and predict() is refused where it would wait for itself",
    "[launch]") {
  EnsembleConfig config = hostile_config(1);
  config.answer.deadline = 20s;
  static const std::vector<float> x{0, 0};
  static thread_local int depth = 0;
  struct Chain {
    std::atomic<int> left{3000};
    std::atomic<int> deepest{0};
    std::atomic<int> predicted{0};
    std::promise<void> done;
    Ensemble ensemble;  // ends first, and waits for the callback, which is in set_value() when done is ready
    void next() {
      const auto accepted =
          ensemble.predict_async({x.data(), 1, 2}, [this](const Result<void>&, const Prediction&) {
            deepest = std::max(deepest.load(), ++depth);
            if (left % 1000 == 0 && ensemble.predict({x.data(), 1, 2}).has_value()) ++predicted;
            if (--left == 0) {
              done.set_value();
            } else {
              next();
            }
            --depth;
          });
      if (!accepted) done.set_value();
    }
  } chain{.ensemble = launch(config)};
  chain.next();
  REQUIRE(chain.done.get_future().wait_for(60s) == std::future_status::ready);
  CHECK(chain.left == 0);
  CHECK(chain.deepest == 1);
}

TEST_CASE("launch: an ensemble can be replaced by another one, with and without a stacking model",
          "[launch]") {
  EnsembleConfig stacked = hostile_config(1);
  stacked.combine = {.rule = CombineRule::stacking, .model = kBin + "/test_plugins/steady.so"};
  const std::vector<float> x{0, 0};
  Ensemble ensemble = launch(stacked);
  REQUIRE(ensemble.predict_async({x.data(), 1, 2}, [](const Result<void>&, const Prediction&) {}));
  ensemble = launch(hostile_config(1));
  REQUIRE(ensemble.predict({x.data(), 1, 2}));
  ensemble = launch(stacked);
  REQUIRE(ensemble.predict({x.data(), 1, 2}));
  CHECK(Footprint::now().children == 2 * 2);  // a template and an isolate each
}

TEST_CASE("launch: a deadline beyond every clock is the longest one, not one in the past", "[launch]") {
  Ensemble ensemble = launch(hostile_config(1));
  const std::vector<float> x{0, 0};
  Prediction prediction;
  REQUIRE(ensemble.predict({x.data(), 1, 2}, prediction, Duration::max()));
  CHECK(prediction.voted == 1);
}

TEST_CASE("launch: rows of the wrong shape are refused with the right one", "[launch]") {
  Ensemble ensemble = launch(hostile_config(1));
  const std::vector<float> x(64);
  for (const auto& [rows, columns] : {std::pair{0U, 2U}, {1U, 3U}, {17U, 2U}}) {
    const auto refused = ensemble.predict({x.data(), rows, columns});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::shape_mismatch);
    CHECK(refused.error().hint.find("1 to 16 rows (limits.rows) of 2 features") != std::string::npos);
  }
}

TEST_CASE("launch: a member that cannot start is told with its reason, and the others make the ensemble",
          "[launch]") {
  const auto [file, reason] = GENERATE(table<std::string, std::string>({
      {"no_symbol", "tutti_plugin_v1"},
      {"wrong_abi", "99"},
      {"crash_at_open", "SIGSEGV"},
      {"fail_at_open", HOSTILE_MESSAGE},
      {"wrong_shape", "3 features"},
      {"hang_at_open", "start timeout"},
  }));
  CAPTURE(file);
  EnsembleConfig config = hostile_config(2);
  config.members[0].model = kBin + "/test_plugins/" + file + ".so";
  config.restart.start_timeout = file == "hang_at_open" ? Duration(300ms) : Duration(20s);
  Ensemble ensemble = launch(config);
  const EnsembleStatus status = ensemble.status();
  CHECK(status.readiness == Readiness::degraded);
  INFO(status.members[0].last_error);
  CHECK(status.members[0].last_error.find(reason) != std::string::npos);
  const std::vector<float> x{0, 0};
  const auto prediction = ensemble.predict({x.data(), 1, 2});
  REQUIRE(prediction);
  CHECK(prediction->voted == 1);
  CHECK_FALSE(prediction->votes[0].voted());
}

TEST_CASE("launch: below quorum the launch fails and names every cause", "[launch]") {
  EnsembleConfig config = hostile_config(2);
  config.answer.quorum = {.kind = Quorum::Kind::all};
  config.members[0].model = kBin + "/test_plugins/fail_at_open.so";
  const Footprint before = Footprint::now();
  const auto ensemble = Ensemble::launch(config, {.worker = kBin + "/tutti-worker"});
  REQUIRE_FALSE(ensemble);
  CHECK(ensemble.error().code == Errc::not_ready);
  CHECK(ensemble.error().what.find(HOSTILE_MESSAGE) != std::string::npos);
  CHECK(Footprint::now() == before);
}

TEST_CASE("launch: a worker program that cannot be started is an error, not a crash", "[launch]") {
  for (const char* worker : {"/nonexistent", "/etc/passwd", "/bin/true"}) {
    EnsembleConfig config = hostile_config(1);
    config.restart.start_timeout = 500ms;
    const auto ensemble = Ensemble::launch(config, {.worker = worker});
    REQUIRE_FALSE(ensemble);
    CHECK(ensemble.error().code == Errc::not_ready);
  }
}

TEST_CASE("launch: what was launched leaves nothing behind", "[launch]") {
  const Footprint before = Footprint::now();
  for (int i = 0; i < 5; ++i) {
    Ensemble ensemble = launch(hostile_config(2, 2));
    const std::vector<float> x{0, 0};
    REQUIRE(ensemble.predict({x.data(), 1, 2}));
    CHECK(Footprint::now().children == 2 * (1 + 2));  // a template and two isolates each
  }
  CHECK(Footprint::now() == before);
}

}  // namespace tutti::test
