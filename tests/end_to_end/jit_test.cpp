// How far models of real workers leave their interpreter, as status() tells it.
#include <string>
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

}  // namespace tutti::test
