// How far models of real workers leave their interpreter, as status() tells it.
#include <unistd.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/end_to_end/world.hpp"

namespace tutti::test {
namespace {

const std::string kModels = TUTTI_EXAMPLES "/models/breast_cancer/";
constexpr std::uint32_t kFeatures = 30;

EnsembleConfig cancer_config() {
  EnsembleConfig config = hostile_config(0);
  config.name = "cancer";
  config.features = kFeatures;
  config.limits.rows = 64;
  config.members = {{.name = "boosted", .model = kModels + "boosted.json"},
                    {.name = "logistic", .model = kModels + "logistic.safetensors"}};
  return config;
}

Ensemble launch(const EnsembleConfig& config) {
  auto launched = Ensemble::launch(config, {.worker = kBin + "/tutti-worker"});
  if (!launched) FAIL(describe(launched.error()));
  return std::move(*launched);
}

void ask(Ensemble& ensemble, std::uint32_t rows, int times = 1) {
  const std::vector<float> x(std::size_t{rows} * kFeatures, 1.0F);
  for (int i = 0; i < times; ++i) {
    const auto prediction = ensemble.predict({x.data(), rows, kFeatures});
    REQUIRE(prediction);
    REQUIRE(prediction->voted == 2);
  }
}

/// The first member's tiers once it was asked so many rows in all: an isolate tells when it has nothing to
/// do.
TierStatus tiers_after(const Ensemble& ensemble, std::uint64_t rows) {
  TierStatus tiers;
  for (int i = 0; i < 2000; ++i) {
    tiers = ensemble.status().members[0].tiers;
    std::uint64_t seen = 0;
    for (const TierUse& use : tiers.tiers) seen += use.rows;
    if (seen >= rows) break;
    std::this_thread::sleep_for(5ms);
  }
  return tiers;
}

/// Asks until an event of that ensemble says what became of compiling it. Returns whether one came.
template <class Came>
bool ask_until(Ensemble& ensemble, Came came) {
  const auto until = std::chrono::steady_clock::now() + 30s;
  const std::vector<float> x(std::size_t{64} * kFeatures, 1.0F);
  std::uint64_t lost = 0;
  while (!came() && std::chrono::steady_clock::now() < until) {
    const auto prediction = ensemble.predict({x.data(), 64, kFeatures});
    lost += prediction && prediction->voted == 2 ? 0U : 1U;
  }
  CHECK(lost == 0);
  return came();
}

struct Heard {
  std::mutex mutex;
  std::vector<std::pair<Event::Kind, std::string>> promotions;

  LaunchOptions options() {
    LaunchOptions options{.worker = kBin + "/tutti-worker"};
    options.compile_guess = 1ms;  // so that a test need not wait for what is worth half a second
    options.on_event = [this](const Event& event) {
      if (event.kind != Event::Kind::promoted && event.kind != Event::Kind::not_promoted) return;
      const std::scoped_lock lock(mutex);
      promotions.emplace_back(event.kind, event.note);
    };
    return options;
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex);
    return promotions.size();
  }
};

}  // namespace

TEST_CASE("jit: an ensemble says which tier answered how many calls of which size", "[jit]") {
  EnsembleConfig config = cancer_config();
  config.jit.threshold = 0;
  Ensemble ensemble = launch(config);
  // Nothing was asked, so nothing is counted: the warm-up is no request.
  TierStatus tiers = ensemble.status().members[0].tiers;
  CHECK(tiers.presence == TierPresence::present);
  CHECK(tiers.tier == 1);
  CHECK(tiers.tiers[1] == TierUse{});
  CHECK(!tiers.kernels.empty());
  CHECK(tiers.build > Duration::zero());
  CHECK(tiers.bytes > 0);

  ask(ensemble, 1, 100);
  ask(ensemble, 40, 20);
  tiers = tiers_after(ensemble, 900);
  CHECK(tiers.tiers[1].calls == 120);
  CHECK(tiers.tiers[1].rows == 900);
  CHECK(tiers.tiers[1].batches[0] == 100);
  CHECK(tiers.tiers[1].batches[5] == 20);
  CHECK(ns_per_row(tiers.tiers[1]).value_or(0) > 0);
  const TierStatus dense = ensemble.status().members[1].tiers;  // has no way to go
  CHECK(dense.presence == TierPresence::present);
  CHECK(dense.tier == 1);
  CHECK(dense.why_not == "products of layers gain nothing by being compiled");
  CHECK(!dense.forecast);
}

TEST_CASE("jit: a threshold is a number of calls, and off is off", "[jit]") {
  EnsembleConfig config = cancer_config();
  SECTION("threshold") {
    config.members[0].jit.threshold = 20;
    Ensemble ensemble = launch(config);
    ask(ensemble, 1, 10);
    const TierStatus before = tiers_after(ensemble, 10);
    CHECK(before.tier == 0);
    CHECK(before.tiers[0].calls == 10);
    CHECK(before.why_not.empty());
    ask(ensemble, 1, 90);
    const TierStatus after = tiers_after(ensemble, 100);
    CHECK(after.tier >= 1);
    CHECK(after.tiers[0].calls >= 19);  // the warm-up was one
    CHECK(after.tiers[0].calls + after.tiers[1].calls == 100);
  }
  SECTION("off") {
    config.jit.mode = JitMode::off;
    Ensemble ensemble = launch(config);
    ask(ensemble, 1, 200);
    const TierStatus tiers = tiers_after(ensemble, 200);
    CHECK(tiers.tier == 0);
    CHECK(tiers.why_not == "jit is off");
  }
}

TEST_CASE("jit: what a worker had said before it died is kept", "[jit]") {
  EnsembleConfig config = cancer_config();
  config.jit.threshold = 0;
  config.members[0].instances = 2;
  Ensemble ensemble = launch(config);
  ask(ensemble, 4, 50);
  REQUIRE(tiers_after(ensemble, 200).tiers[1].rows == 200);
  REQUIRE(ensemble.kill_worker("boosted"));
  for (int i = 0; i < 4000 && ensemble.status().members[0].restarts == 0; ++i)
    std::this_thread::sleep_for(5ms);
  wait_until_healed(ensemble);
  CHECK(ensemble.status().members[0].tiers.tiers[1].rows == 200);
  ask(ensemble, 4, 50);
  CHECK(tiers_after(ensemble, 400).tiers[1].rows == 400);
}

TEST_CASE("jit: a model that is asked enough is compiled, once, without an answer lost", "[jit]") {
  // Where the worker has no compiler the member stays in tier 1 and says why; nobody tries again.
  const Footprint before = Footprint::now();
  {
    Heard heard;
    auto launched = Ensemble::launch(cancer_config(), heard.options());
    REQUIRE(launched);
    Ensemble ensemble = std::move(*launched);
    REQUIRE(ask_until(ensemble, [&] { return heard.count() > 0; }));
    const EnsembleStatus status = ensemble.status();
    const TierStatus tiers = status.members[0].tiers;
    CHECK(heard.promotions[0].second.find("tier 2: boosted ") == 0);
    if (tiers.tier == 2) {
      CHECK(heard.promotions[0].first == Event::Kind::promoted);
      CHECK(tiers.compile > Duration::zero());
      CHECK(tiers.code_bytes > 0);
      CHECK(tiers.why_not.empty());
    } else {
      CHECK(heard.promotions[0].first == Event::Kind::not_promoted);
      CHECK(!tiers.why_not.empty());
    }
    CHECK(!tiers.forecast);
    CHECK(tiers.tiers[1].rows > 0);        // what it did before is not forgotten
    CHECK(status.config_generation == 1);  // it is no reload
    CHECK(status.reloads_failed == 0);
    std::this_thread::sleep_for(1500ms);  // longer than a look of the promoter's
    ask(ensemble, 64, 100);
    CHECK(heard.count() == 1);
    // A config of the user's is another matter: what was noted of the old one is forgotten.
    REQUIRE(ensemble.reload(cancer_config()));
    CHECK(ensemble.status().config_generation == 2);
    CHECK(ensemble.status().members[0].tiers.tiers[1].rows <= 1);  // the golden request
  }
  CHECK(Footprint::now() == before);
}

TEST_CASE("jit: a model whose file has changed is not promoted to another one, and that is told once",
          "[jit]") {
  const auto model =
      std::filesystem::temp_directory_path() / ("tutti-jit-" + std::to_string(::getpid()) + ".json");
  std::filesystem::copy_file(kModels + "boosted.json", model,
                             std::filesystem::copy_options::overwrite_existing);
  EnsembleConfig config = cancer_config();
  config.members[0].model = model.string();
  Heard heard;
  auto launched = Ensemble::launch(config, heard.options());
  REQUIRE(launched);
  Ensemble ensemble = std::move(*launched);
  // A sound model, but not the one that answers: taking it is for a reload.
  std::filesystem::copy_file(kModels + "forest.ubj", model,
                             std::filesystem::copy_options::overwrite_existing);
  const bool told = ask_until(ensemble, [&] { return heard.count() > 0; });
  std::filesystem::remove(model);
  REQUIRE(told);
  CHECK(heard.promotions[0].first == Event::Kind::not_promoted);
  const EnsembleStatus status = ensemble.status();
  CHECK(status.members[0].tiers.tier == 1);
  CHECK(status.members[0].tiers.why_not.find("its model has changed since it was loaded") !=
        std::string::npos);
  CHECK(status.reloads_failed == 0);
  CHECK(status.members[0].ready == 1);
  std::this_thread::sleep_for(1500ms);
  ask(ensemble, 64, 100);
  CHECK(heard.count() == 1);
}

TEST_CASE("jit: nobody is promoted where the launch says so, nor after an ensemble took another's place",
          "[jit]") {
  Heard heard;
  LaunchOptions options = heard.options();
  options.promotes = false;
  auto launched = Ensemble::launch(cancer_config(), options);
  REQUIRE(launched);
  ask(*launched, 64, 100);
  const TierStatus tiers = tiers_after(*launched, 6400);
  CHECK(tiers.tier == 1);
  CHECK(!tiers.forecast);

  // The one that is replaced may be looking at its members right now: it must stop before they go.
  auto other = Ensemble::launch(cancer_config(), heard.options());
  REQUIRE(other);
  CHECK(other->status().members[0].tiers.forecast);
  *other = std::move(*launched);
  ask(*other, 64, 10);
  CHECK(!other->status().members[0].tiers.forecast);
  CHECK(heard.count() == 0);
}

}  // namespace tutti::test
