// When compiling a member's model pays: the policy, as numbers in and numbers out.
#include "supervisor/promotion.hpp"

#include <limits>

#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

const JitConfig kFull{.mode = JitMode::full, .threshold = {}, .compile = JitCompile::automatic};

/// In tier 1, and asked so many rows that took so long each.
TierStatus in_tier_1(std::uint64_t rows, std::uint64_t ns) {
  TierStatus tiers{.presence = TierPresence::present, .tier = 1};
  tiers.tiers[1] = {.calls = rows, .rows = rows, .timed_rows = 16, .timed_ns = 16 * ns};
  return tiers;
}

}  // namespace

TEST_CASE("promotion: it pays once a tenth of tier 1's time has come to what compiling costs",
          "[promotion]") {
  // 10 us a row: 0.5 s of gain are lost after 5 s in tier 1.
  const auto due = [](std::uint64_t rows) {
    const auto forecast = forecast_of(kFull, in_tier_1(rows, 10'000), 500ms);
    REQUIRE(forecast.has_value());
    CHECK(forecast->cost == 500ms);
    return forecast->forgone >= forecast->cost;
  };
  CHECK(!due(0));
  CHECK(!due(499'999));
  CHECK(due(500'000));
  // Rows of other tiers, and rows that nobody timed, say nothing.
  TierStatus interpreted = in_tier_1(0, 0);
  interpreted.tiers[0] = {.calls = 1'000'000, .rows = 1'000'000, .timed_rows = 1, .timed_ns = 1'000'000};
  CHECK(forecast_of(kFull, interpreted, 500ms)->forgone == 0ns);
  TierStatus untimed = in_tier_1(1'000'000, 0);
  untimed.tiers[1].timed_rows = 0;
  CHECK(forecast_of(kFull, untimed, 500ms)->forgone == 0ns);
}

TEST_CASE("promotion: only who is in tier 1, may be compiled and waits for it is looked at", "[promotion]") {
  const TierStatus busy = in_tier_1(1'000'000, 10'000);
  CHECK(forecast_of(kFull, busy, 500ms));
  CHECK(forecast_of({}, busy, 500ms));  // what is not said is full and auto
  for (const JitMode mode : {JitMode::off, JitMode::tier1}) {
    CHECK(!forecast_of({.mode = mode, .threshold = {}, .compile = {}}, busy, 500ms));
    CHECK(!may_be_promoted({.mode = mode, .threshold = {}, .compile = {}}, busy));
  }
  const JitConfig at_load{.mode = JitMode::full, .threshold = {}, .compile = JitCompile::load};
  CHECK(!forecast_of(at_load, busy, 500ms));
  CHECK(!may_be_promoted(at_load, busy));
  for (const std::uint32_t tier : {0U, 2U}) {
    TierStatus other = busy;
    other.tier = tier;
    CHECK(!forecast_of(kFull, other, 500ms));
    CHECK(may_be_promoted(kFull, other) == (tier == 0));
  }
  TierStatus stuck = busy;
  stuck.why_not = "no compiler in this build";
  CHECK(!forecast_of(kFull, stuck, 500ms));
  CHECK(!may_be_promoted(kFull, stuck));
  CHECK(may_be_promoted(kFull, {}));  // nothing was said yet
  CHECK(!may_be_promoted(kFull, {.presence = TierPresence::none}));
  CHECK(!forecast_of(kFull, {.presence = TierPresence::none}, 500ms));
}

TEST_CASE("promotion: a compilation that was seen goes before the guess", "[promotion]") {
  EnsembleStatus status;
  status.members.resize(2);
  CHECK(compile_cost_of(status, 500ms) == 500ms);
  status.members[0].tiers.compile = 30ms;
  status.members[1].tiers.compile = 80ms;
  CHECK(compile_cost_of(status, 500ms) == 80ms);
  status.members[1].tiers.compile = 24h;
  CHECK(compile_cost_of(status, 500ms) == 2s);  // a liar's word counts as four guesses
}

TEST_CASE("promotion: numbers beyond reason are a gain, and no overflow", "[promotion]") {
  constexpr std::uint64_t kMany = 1ULL << 53U;
  TierStatus liar = in_tier_1(kMany, 1);
  liar.tiers[1].timed_rows = 1;
  liar.tiers[1].timed_ns = kMany;
  const auto forecast = forecast_of(kFull, liar, 500ms);
  REQUIRE(forecast);
  CHECK(forecast->forgone > 500ms);
  CHECK(forecast->forgone.count() <= 1'000'000'000'000'000'000);
}

}  // namespace tutti
