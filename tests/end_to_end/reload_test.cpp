// Replacing all members while requests go on: each answer is wholly of one config, and a bad config changes
// nothing.
#include <atomic>
#include <thread>

#include "tests/end_to_end/world.hpp"

namespace tutti::test {
namespace {

const std::string kSteady = kBin + "/test_plugins/steady.so";

// One member gives 0.5 (steady), the other HOSTILE_PROBABILITY.
EnsembleConfig named(const std::string& name, const std::string& model) {
  EnsembleConfig config = hostile_config(2);
  for (MemberConfig& member : config.members) {
    member.name = name + member.name;
    member.model = model;
  }
  config.limits.in_flight = 16;
  return config;
}

Ensemble launch(EnsembleConfig config) {
  auto launched = Ensemble::launch(std::move(config), {.worker = kBin + "/tutti-worker"});
  if (!launched) FAIL(describe(launched.error()));
  return std::move(*launched);
}

}  // namespace

TEST_CASE("reload: under load no request is lost, and each answer is of one config alone", "[reload]") {
  // Goal: no mixture. Method: two configs whose members have other names and other answers, swapped under
  // callers that check that names and answer fit each other.
  const Footprint before = Footprint::now();
  {
    Ensemble ensemble = launch(named("old-", kSteady));
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0};
    std::atomic<std::uint64_t> asked{0};
    const auto fits = [](const Prediction& prediction) {
      const float answer = std::get<Classification>(prediction.value).probabilities[1];
      const bool old = prediction.votes[0].member.starts_with("old-");
      return prediction.votes[1].member.starts_with("old-") == old && prediction.voted == 2 &&
             answer == (old ? 0.5F : HOSTILE_PROBABILITY);
    };
    const auto load = [&] {
      Prediction prediction;
      const std::vector<float> x{0, 0};
      while (!stop) {
        const auto done = ensemble.predict({x.data(), 1, 2}, prediction);
        if (!done || !fits(prediction)) ++wrong;
        ++asked;
      }
    };
    std::thread first(load);
    std::thread second(load);
    for (int round = 0; round < 10; ++round) {
      const bool to_new = round % 2 == 0;
      const auto reloaded = ensemble.reload(to_new ? named("new-", kHostile) : named("old-", kSteady));
      if (!reloaded) FAIL_CHECK(describe(reloaded.error()));
      CHECK(ensemble.config().members[0].name == (to_new ? "new-m0" : "old-m0"));
    }
    const std::uint64_t so_far = asked;
    while (asked < so_far + 10) std::this_thread::yield();
    stop = true;
    first.join();
    second.join();
    CHECK(wrong == 0);
    CHECK(ensemble.status().config_generation == 11);
  }
  CHECK(Footprint::now() == before);
}

TEST_CASE("reload: what was asked before is answered by the old members", "[reload]") {
  EnsembleConfig config = named("old-", kHostile);
  config.answer.deadline = 20s;
  Ensemble ensemble = launch(config);
  const std::vector<float> slow{HOSTILE_SLOW, 300};
  std::atomic<int> of_old{0};
  REQUIRE(ensemble.predict_async({slow.data(), 1, 2},
                                 [&](const Result<void>& outcome, const Prediction& prediction) {
                                   if (outcome && prediction.votes[0].member == "old-m0") ++of_old;
                                 }));
  REQUIRE(ensemble.reload(named("new-", kSteady)));
  CHECK(of_old == 1);  // reload() waits for it
}

TEST_CASE("reload: a config whose member fails changes nothing", "[reload]") {
  const std::string file = GENERATE("fail_at_open", "crash_at_open", "no_symbol", "nothing_there");
  CAPTURE(file);
  Ensemble ensemble = launch(named("old-", kSteady));
  const Footprint before = Footprint::now();
  EnsembleConfig bad = named("new-", kSteady);
  bad.members[1].model = kBin + "/test_plugins/" + file + ".so";
  const auto reloaded = ensemble.reload(bad);
  REQUIRE_FALSE(reloaded);
  CHECK(reloaded.error().code == Errc::not_ready);
  CHECK(reloaded.error().what.find("new-m1") != std::string::npos);
  const std::vector<float> x{0, 0};
  const auto prediction = ensemble.predict({x.data(), 1, 2});
  REQUIRE(prediction);
  CHECK(prediction->voted == 2);
  CHECK(prediction->votes[0].member == "old-m0");
  CHECK(ensemble.status().config_generation == 1);
  CHECK(Footprint::now() == before);
}

TEST_CASE("reload: a member that does not answer the golden request changes nothing", "[reload]") {
  Ensemble ensemble = launch(named("old-", kSteady));
  // The row that is asked last is the golden one: the old members take it, the new ones refuse it.
  const std::vector<float> x{HOSTILE_ERROR, 0};
  REQUIRE(ensemble.predict({x.data(), 1, 2}));
  const auto reloaded = ensemble.reload(named("new-", kHostile));
  REQUIRE_FALSE(reloaded);
  CHECK(reloaded.error().what.find("golden request") != std::string::npos);
  CHECK(ensemble.predict({x.data(), 1, 2})->voted == 2);
}

TEST_CASE("reload: callers have agreed on classes and features, so these cannot change", "[reload]") {
  Ensemble ensemble = launch(named("old-", kSteady));
  EnsembleConfig other = named("new-", kSteady);
  SECTION("features") { other.features = 3; }
  SECTION("classes") { other.classes = {"no", "maybe"}; }
  SECTION("task") {
    other.task = Task::regression;
    other.classes.clear();
  }
  const auto reloaded = ensemble.reload(other);
  REQUIRE_FALSE(reloaded);
  CHECK(reloaded.error().code == Errc::bad_config);
}

}  // namespace tutti::test
