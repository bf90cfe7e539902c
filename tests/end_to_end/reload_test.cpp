// Replacing all members while requests go on: each answer is wholly of one config, and a bad config changes
// nothing.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
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

Ensemble launch(EnsembleConfig config, LaunchOptions options = {}) {
  options.worker = kBin + "/tutti-worker";
  auto launched = Ensemble::launch(std::move(config), std::move(options));
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

TEST_CASE("reload: the end of the old members is told as no death and no outage", "[reload]") {
  // Goal: nobody is called for a service that never stopped. Method: all events, to the end of the ensemble.
  using Kind = Event::Kind;
  std::mutex mutex;
  std::vector<Kind> kinds;
  LaunchOptions options;
  options.on_event = [&](const Event& event) {
    const std::scoped_lock lock(mutex);
    kinds.push_back(event.kind);
  };
  {
    Ensemble ensemble = launch(named("old-", kSteady), options);
    REQUIRE(ensemble.reload(named("new-", kHostile)));
  }
  CHECK(std::ranges::count(kinds, Kind::ready) == 4);
  for (const Kind kind : {Kind::kill_sent, Kind::died, Kind::quorum_lost}) {
    CAPTURE(name_of(kind));
    CHECK(std::ranges::count(kinds, kind) == 0);
  }
}

TEST_CASE("reload: the event log that the launch was given is that of every config to come", "[reload]") {
  const auto path =
      std::filesystem::temp_directory_path() / ("tutti-reload-" + std::to_string(::getpid()) + ".jsonl");
  {
    LaunchOptions options;
    options.events = path.string();
    Ensemble ensemble = launch(named("old-", kSteady), options);
    REQUIRE(ensemble.reload(named("new-", kHostile)));
    REQUIRE(ensemble.kill_worker("new-m0"));
    for (int i = 0; i < 4000 && ensemble.status().members[0].restarts == 0; ++i)
      std::this_thread::sleep_for(5ms);
    wait_until_healed(ensemble);
  }
  std::ifstream file(path);
  int deaths = 0;
  int restarts = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.find(R"("isolate":"new-m0/0")") == std::string::npos) continue;
    deaths += line.starts_with(R"({"event":"died")") ? 1 : 0;
    restarts +=
        line.starts_with(R"({"event":"ready")") && line.find(R"("generation":2)") != std::string::npos;
  }
  std::filesystem::remove(path);
  CHECK(deaths == 1);
  CHECK(restarts == 1);
}

TEST_CASE("reload: what is counted goes on, and so does the uptime", "[reload]") {
  // Method: one asks, one looks all the time, and no look may find less than the one before.
  Ensemble ensemble = launch(named("old-", kSteady));
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> backwards{0};
  std::thread load([&] {
    const std::vector<float> x{0, 0};
    while (!stop) answered += ensemble.predict({x.data(), 1, 2}) ? 1U : 0U;
  });
  std::thread looks([&] {
    EnsembleStatus before = ensemble.status();
    while (!stop) {
      EnsembleStatus now = ensemble.status();
      const bool less = now.counters.answered < before.counters.answered || now.uptime < before.uptime ||
                        now.counters.starts < before.counters.starts ||
                        now.decisions.voted < before.decisions.voted;
      backwards += less ? 1U : 0U;
      before = std::move(now);
    }
  });
  constexpr std::uint64_t kReloads = 5;
  for (std::uint64_t round = 0; round < kReloads; ++round) {
    const auto reloaded = ensemble.reload(named("new-", kSteady));
    if (!reloaded) FAIL_CHECK(describe(reloaded.error()));
  }
  stop = true;
  load.join();
  looks.join();
  CHECK(backwards == 0);
  // Each reload's golden request is an answer too.
  CHECK(ensemble.status().counters.answered == answered + kReloads);
  CHECK(ensemble.status().counters.starts == 2 * (1 + kReloads));
}

}  // namespace tutti::test
