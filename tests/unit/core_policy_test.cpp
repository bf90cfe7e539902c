// What the core does about members that keep failing, are slow, lie, or die of an input.
#include <sys/syscall.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "supervisor/core/core.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

const Time kStart{1000s};
constexpr VoteFate kSegv{.state = VoteState::crashed, .detail = 11};
constexpr Fingerprint kPoison{.low = 1, .high = 2};
constexpr Fingerprint kInnocent{.low = 3, .high = 4};

EnsembleConfig config_of(std::uint32_t members, std::uint32_t instances) {
  EnsembleConfig config;
  config.name = "policy";
  config.classes = {"a", "b"};
  config.features = 1;
  config.limits = {.in_flight = 8, .rows = 8};
  config.answer.deadline = 50ms;
  config.answer.grace = 200ms;
  for (std::uint32_t i = 0; i < members; ++i) {
    config.members.push_back({.name = std::string(1, static_cast<char>('a' + i)), .instances = instances});
  }
  return config;
}

// A core with workers that do what the test says. Every input has the fingerprint that the test gives it.
struct World {
  explicit World(const EnsembleConfig& config) : core(config, 42) {
    core.tick(now);
    collect();
    for (std::uint32_t i = 0; i < core.isolates(); ++i) core.hello(i, now);
  }
  void collect() {
    asked.clear();
    for (const Action& action : core.take_actions()) {
      if (action.kind == Action::Kind::publish) asked.push_back(action.isolate);
      if (action.kind == Action::Kind::spawn) spawned.push_back({action.isolate, now});
      if (action.kind == Action::Kind::kill) killed.push_back(action.isolate);
      if (action.kind != Action::Kind::finish) continue;
      last = core.pending(action.slot);
      ++finished;
      core.release(action.slot);
    }
  }
  std::uint32_t submit(Fingerprint input = kInnocent, Duration deadline = 50ms) {
    const auto slot = core.submit(now, now + deadline, 1, input);
    REQUIRE(slot);
    collect();
    return *slot;
  }
  void answer(std::uint32_t isolate, VoteState state = VoteState::voted) {
    core.answered(isolate, {.state = state}, now);
    collect();
  }
  void die(std::uint32_t isolate, VoteFate cause = kSegv) {
    core.gone(isolate, cause, now);
    collect();
  }
  void tick(Duration step) {
    // In steps that are no stall.
    for (; step > 100ms; step -= 100ms) tick_once(100ms);
    tick_once(step);
  }
  void tick_once(Duration step) {
    now += step;
    core.tick(now);
    collect();
  }
  void heal() {
    for (int i = 0; i < 200; ++i) {
      tick(100ms);
      for (std::uint32_t isolate = 0; isolate < core.isolates(); ++isolate) core.hello(isolate, now);
      collect();
      bool healed = true;
      for (std::uint32_t i2 = 0; i2 < core.isolates(); ++i2) healed = healed && core.life(i2).ready();
      if (healed) return;
    }
    FAIL("it did not heal in 20 s");
  }

  struct Spawn {
    std::uint32_t isolate;
    Time at;
  };
  Core core;
  Time now = kStart;
  std::vector<std::uint32_t> asked;  // by the last event
  std::vector<std::uint32_t> killed;
  std::vector<Spawn> spawned;
  Pending last;
  std::uint32_t finished = 0;
};

// Enough answers of 2 ms for the percentile to be known; leaves the budget of extras full.
void settle_in(World& world) {
  for (int i = 0; i < 200; ++i) {
    world.submit();
    const std::uint32_t isolate = world.asked.at(0);
    world.tick(2ms);
    world.answer(isolate);
  }
}

}  // namespace

// ---- breaker ----

TEST_CASE("breaker: after five failures in a row the member is left alone, then asked once", "[core]") {
  World world(config_of(1, 1));
  for (int i = 0; i < 5; ++i) {
    world.submit();
    world.answer(0, VoteState::rejected);
  }
  CHECK(world.core.ejected(0));
  world.submit();
  CHECK(world.asked.empty());
  CHECK(world.last.votes[0].fate.state == VoteState::ejected);
  world.tick(1s);
  world.submit();
  CHECK(world.asked.size() == 1);
  world.submit();  // while the one is out, no other
  CHECK(world.asked.empty());
  SECTION("which closes it when it is answered") {
    world.answer(0);
    CHECK_FALSE(world.core.ejected(0));
    world.submit();
    CHECK(world.asked.size() == 1);
  }
  SECTION("which leaves it open for twice as long when it fails") {
    world.answer(0, VoteState::rejected);
    world.tick(1900ms);
    world.submit();
    CHECK(world.asked.empty());
    world.tick(100ms);
    world.submit();
    CHECK(world.asked.size() == 1);
  }
  CHECK(world.core.counters().breaker_opened == 1);
}

TEST_CASE("breaker: half of at least twenty in ten seconds opens it, a refusal of the model does not",
          "[core]") {
  World world(config_of(1, 1));
  SECTION("half") {
    for (int i = 0; i < 19; ++i) {
      world.submit();
      world.answer(0, i % 2 == 0 ? VoteState::rejected : VoteState::voted);
      CHECK_FALSE(world.core.ejected(0));
    }
    world.submit();
    world.answer(0, VoteState::rejected);
    CHECK(world.core.ejected(0));
  }
  SECTION("refusals") {
    for (int i = 0; i < 100; ++i) {
      world.submit();
      world.answer(0, VoteState::failed);
    }
    CHECK_FALSE(world.core.ejected(0));
  }
  SECTION("failures that are long past") {
    for (int i = 0; i < 100; ++i) {
      world.submit();
      world.answer(0, i % 4 == 0 ? VoteState::rejected : VoteState::voted);
      world.tick(1s);
    }
    CHECK_FALSE(world.core.ejected(0));
  }
}

TEST_CASE("breaker: it never stays open for more than a minute", "[core]") {
  World world(config_of(1, 1));
  Duration longest{};
  for (int probe = 0; probe < 12; ++probe) {
    while (!world.core.ejected(0)) {
      world.submit();
      world.answer(0, VoteState::rejected);
    }
    const Time opened = world.now;
    for (world.submit(); world.asked.empty(); world.submit()) world.tick(1s);
    longest = std::max(longest, world.now - opened);
    world.answer(0, VoteState::rejected);
  }
  CHECK(longest == 60s);
}

TEST_CASE("breaker: a death with many requests in flight is one failure", "[core]") {
  World world(config_of(1, 1));
  for (int i = 0; i < 6; ++i) world.submit();
  world.die(0);
  CHECK_FALSE(world.core.ejected(0));
}

TEST_CASE("band: a member outside the others' band for ten seconds is ejected, and again if it stays outside",
          "[core]") {
  World world(config_of(1, 1));
  const auto vote = [&](bool outside) {
    world.submit();
    if (!world.asked.empty()) world.answer(0);
    world.core.judged(0, outside, world.now);
    world.tick(500ms);
  };
  for (int i = 0; i < 20; ++i) vote(true);
  CHECK_FALSE(world.core.ejected(0));
  vote(true);
  CHECK(world.core.ejected(0));
  world.tick(1s);
  vote(true);  // the one request asked: answered, but outside
  CHECK(world.core.ejected(0));
  world.tick(2s);
  vote(false);
  for (int i = 0; i < 19; ++i) vote(true);
  CHECK_FALSE(world.core.ejected(0));
  CHECK(world.core.counters().band_ejections == 2);
}

// ---- hedging ----

TEST_CASE("hedge: a vote slower than usual is asked of a second instance, and the first answer counts",
          "[core]") {
  World world(config_of(1, 2));
  settle_in(world);
  world.submit();
  const std::uint32_t first = world.asked.at(0);
  CHECK(world.core.wake_at() < world.now + 5ms);
  world.tick(4ms);
  REQUIRE(world.asked.size() == 1);
  const std::uint32_t second = world.asked[0];
  CHECK(second != first);
  const std::uint32_t finished = world.finished;
  SECTION("the second's") {
    world.answer(second);
    CHECK(world.finished == finished + 1);
    CHECK(world.core.counters().hedges_won == 1);
    world.answer(first);
  }
  SECTION("the first's") {
    world.answer(first);
    CHECK(world.finished == finished + 1);
    world.answer(second);
    CHECK(world.core.counters().hedges_won == 0);
  }
  SECTION("the second's, when the first cannot be used") {
    world.answer(first, VoteState::rejected);
    CHECK(world.finished == finished);
    world.answer(second);
    CHECK(world.last.votes[0].fate.state == VoteState::voted);
    return;
  }
  SECTION("the second's, when the first dies") {
    world.die(first);
    CHECK(world.finished == finished);
    world.answer(second);
    CHECK(world.last.votes[0].fate.state == VoteState::voted);
    return;
  }
  CHECK(world.finished == finished + 1);
  CHECK(world.core.counters().dropped == 1);
  CHECK(world.core.owed() == 0);
}

TEST_CASE("hedge: none for one instance, none when told not to, none when half of the places are taken",
          "[core]") {
  EnsembleConfig config = config_of(1, 2);
  std::uint32_t others = 0;
  SECTION("one instance") { config = config_of(1, 1); }
  SECTION("off") { config.answer.hedge = false; }
  SECTION("busy") { others = 4; }
  World world(config);
  settle_in(world);
  for (std::uint32_t i = 0; i < others; ++i) world.submit(kInnocent, 10s);
  world.submit();
  for (int ms = 0; ms < 40; ++ms) world.tick(1ms);
  CHECK(world.core.counters().hedged == 0);
}

TEST_CASE("hedge: at most one request in twenty gets a second attempt, once ten have", "[core]") {
  World world(config_of(1, 2));
  settle_in(world);
  for (int i = 0; i < 400; ++i) {
    world.submit();
    const std::uint32_t first = world.asked.at(0);
    for (int ms = 0; ms < 20; ++ms) world.tick(1ms);
    world.answer(first);
    while (world.core.outstanding(0) > 0) world.answer(0);
    while (world.core.outstanding(1) > 0) world.answer(1);
  }
  CHECK(world.core.counters().hedged <= 10 + 600 / 20);
  CHECK(world.core.counters().hedged >= 10);
}

// ---- poison ----

TEST_CASE("poison: an input that kills twice is quarantined for that member, and for ten minutes", "[core]") {
  World world(config_of(2, 1));
  for (int kill = 0; kill < 2; ++kill) {
    world.submit(kPoison);
    world.answer(1);
    CHECK(world.core.blamed(0, kSegv).has_value());
    world.die(0);
    CHECK(world.last.votes[0].fate.state == (kill == 0 ? VoteState::crashed : VoteState::quarantined));
    world.heal();
  }
  world.submit(kPoison);
  CHECK(world.asked == std::vector<std::uint32_t>{1});
  world.answer(1);
  CHECK(world.last.votes[0].fate.state == VoteState::quarantined);
  CHECK(world.last.votes[1].fate.state == VoteState::voted);
  world.submit(kInnocent);
  CHECK(world.asked.size() == 2);
  world.answer(0);
  world.answer(1);
  CHECK(world.core.wants_fingerprints(world.now));
  world.tick(10min);
  CHECK_FALSE(world.core.wants_fingerprints(world.now));
  world.submit(kPoison);
  CHECK(world.asked.size() == 2);
}

TEST_CASE("poison: only what was worked on is blamed, and what survives is absolved", "[core]") {
  World world(config_of(1, 1));
  world.submit(kPoison);
  world.submit(kInnocent);  // stands behind it
  world.die(0);
  world.heal();
  world.submit(kInnocent);
  world.die(0);  // by chance
  world.heal();
  world.submit(kInnocent);
  world.answer(0);
  world.submit(kInnocent);
  world.die(0);
  world.heal();
  world.submit(kInnocent);
  CHECK(world.asked.size() == 1);  // three deaths stood near it, and it is still asked
}

TEST_CASE("poison: deaths that come from outside blame no input", "[core]") {
  World world(config_of(1, 1));
  world.submit(kPoison);
  CHECK_FALSE(world.core.blamed(0, {.state = VoteState::crashed, .detail = 9}));
  CHECK_FALSE(world.core.blamed(0, {.state = VoteState::hung}));
  CHECK(world.core.blamed(0, {.state = VoteState::exited, .detail = 0}));
  CHECK(world.core.blamed(0, {.state = VoteState::out_of_memory}));
  world.answer(0);
  CHECK_FALSE(world.core.blamed(0, kSegv));
}

TEST_CASE("poison: suspects are tried again one at a time, of one instance", "[core]") {
  World world(config_of(1, 3));
  std::vector<std::uint32_t> inputs;
  for (std::uint64_t i = 0; i < 7; ++i) world.submit({.low = i, .high = 9}, 1s);
  CHECK(world.core.outstanding(0) == 3);
  world.die(0);  // with three in flight
  CHECK(world.core.outstanding(1) + world.core.outstanding(2) == 5);
  CHECK(world.core.counters().retried == 3);
  const std::uint32_t canary = world.asked.at(0);
  while (world.core.outstanding(canary) > 1) world.answer(canary);
  CHECK(world.asked.empty());
  world.answer(canary);  // the first suspect survives: the second's turn
  CHECK(world.asked.size() == 1);
}

TEST_CASE("poison: the death that shows a poison is not charged to the isolate", "[core]") {
  EnsembleConfig config = config_of(1, 2);
  config.restart.backoff_min = 10s;
  config.restart.backoff_max = 10s;
  World world(config);
  world.submit(kPoison, 10s);
  const std::uint32_t first = world.asked.at(0);
  world.die(first);
  REQUIRE(world.asked.size() == 1);  // tried again on the other
  const std::uint32_t second = world.asked[0];
  world.die(second);
  CHECK(world.last.votes[0].fate.state == VoteState::quarantined);
  world.spawned.clear();
  world.tick(0ms);
  CHECK(std::ranges::any_of(world.spawned, [&](const auto& spawn) { return spawn.isolate == second; }));
  CHECK(world.core.counters().poisoned == 1);
}

// ---- restarts and verdicts ----

TEST_CASE("restart: after two lies an isolate is only probed slowly", "[core]") {
  World world(config_of(1, 1));
  for (int lie = 0; lie < 2; ++lie) {
    world.core.condemn(0, {.state = lie == 0 ? VoteState::protocol_violation : VoteState::escape_attempt});
    world.die(0);
    if (lie == 0) world.heal();
  }
  world.spawned.clear();
  world.tick(29s);
  CHECK(world.spawned.empty());
  world.tick(1s);
  CHECK(world.spawned.size() == 1);
  CHECK(world.core.counters().lied == 1);
}

TEST_CASE("restart: a start that failed is tried again later than a crash is", "[core]") {
  RestartConfig config;
  Random random(1);
  IsolateLife life(config);
  Duration sum{};
  for (int i = 0; i < 5; ++i) {
    Time now = kStart + i * 1000s;
    IsolateLife fresh(config);
    REQUIRE(fresh.tick(now) == IsolateWish::spawn);
    fresh.gone({.state = VoteState::exited, .detail = 1}, now, random);
    sum += std::get<Waiting>(fresh.state()).until - now;
  }
  CHECK(sum > Duration::zero());
  CHECK(sum <= 5 * 20 * config.backoff_min);
}

TEST_CASE("restart: many members restart at the ensemble's rate, and none is forgotten", "[core]") {
  EnsembleConfig config = config_of(20, 1);
  config.restart.rate = 4;
  World world(config);
  for (std::uint32_t i = 0; i < 20; ++i) world.die(i);
  world.spawned.clear();
  const Time died = world.now;
  while (world.spawned.size() < 20) {
    const Time wake = world.core.wake_at();
    REQUIRE(wake > world.now - 1ms);
    REQUIRE(wake < died + 10s);
    world.tick(std::max(Duration::zero(), wake - world.now));
  }
  std::set<std::uint32_t> isolates;
  for (const auto& spawn : world.spawned) isolates.insert(spawn.isolate);
  CHECK(isolates.size() == 20);
  CHECK(world.now - died >= 4s - 1ms);  // four at once, then one each quarter of a second
  CHECK(world.now - died <= 4s + 1ms);
}

TEST_CASE("stall: a supervisor that was away kills nobody for what it could not see", "[core]") {
  World world(config_of(1, 1));
  world.submit();
  SECTION("away") {
    world.tick_once(10s);
    CHECK(world.killed.empty());
    CHECK(world.finished == 1);  // the request was late all the same
    CHECK(world.core.counters().stalls == 1);
    world.answer(0);
    world.tick(1s);
    CHECK(world.killed.empty());
  }
  SECTION("not away") {
    world.tick(250ms);
    CHECK(world.killed == std::vector<std::uint32_t>{0});
    CHECK(world.core.counters().stalls == 0);
  }
}

TEST_CASE("stall: a start gets back the time that the supervisor was away", "[core]") {
  EnsembleConfig config = config_of(2, 1);
  config.restart.start_timeout = 1s;
  World world(config);
  world.die(0);
  world.tick(0ms);
  REQUIRE(world.spawned.back().isolate == 0);
  world.submit();
  world.tick_once(5s);
  CHECK(world.killed.empty());
  world.core.hello(0, world.now);
  CHECK(world.core.life(0).ready());
}

TEST_CASE("fingerprint: it is SipHash-2-4 with 128 bits, as published", "[core]") {
  // The reference implementation's test vectors: key 00..0f, messages 00, 00 01, …
  Fingerprint key{.low = 0x0706050403020100ULL, .high = 0x0f0e0d0c0b0a0908ULL};
  std::vector<std::byte> message;
  const auto is = [&](std::uint64_t low, std::uint64_t high) {
    return fingerprint_of(message, key) == Fingerprint{.low = low, .high = high};
  };
  CHECK(is(0xe6a825ba047f81a3ULL, 0x930255c71472f66dULL));
  message.push_back(std::byte{0});
  CHECK(is(0x44af996bd8c187daULL, 0x45fc229b11597634ULL));
  Fingerprint other = key;
  other.low ^= 1;
  CHECK(fingerprint_of(message, other) != fingerprint_of(message, key));
}

TEST_CASE("poison table: it is bounded, and forgets what was not seen for the longest time", "[core]") {
  PoisonTable table;
  for (std::uint64_t i = 0; i < PoisonTable::kEntriesMax + 10; ++i)
    table.blame(0, {.low = i, .high = 0}, false, kStart);
  CHECK(table.size() == PoisonTable::kEntriesMax);
  CHECK(table.kills(0, {.low = 9, .high = 0}, kStart) == 0);
  CHECK(table.kills(0, {.low = 10, .high = 0}, kStart) == 1);
  CHECK(table.kills(1, {.low = 10, .high = 0}, kStart) == 0);
}

TEST_CASE("latency: the running percentile is at most a quarter too large, and follows", "[core]") {
  RunningLatency latency;
  for (int i = 1; i <= 1000; ++i) latency.add(std::chrono::microseconds(i));
  REQUIRE(latency.p95());
  CHECK(*latency.p95() >= 940us);
  CHECK(*latency.p95() <= 1200us);
  for (int i = 0; i < 20'000; ++i) latency.add(20ms);
  CHECK(*latency.p95() >= 20ms);
  CHECK(*latency.p95() <= 25ms);
}

TEST_CASE("vote: the new causes have names for programs and words for people", "[vote]") {
  CHECK(describe(VoteFate{.state = VoteState::start_failed}) == "start failed");
  CHECK(describe(VoteFate{.state = VoteState::start_timeout}) == "start timeout");
  CHECK(describe(VoteFate{.state = VoteState::out_of_memory}) == "out of memory");
  CHECK(describe(VoteFate{.state = VoteState::escape_attempt, .detail = -1}) == "escape attempt");
  CHECK(describe(VoteFate{.state = VoteState::escape_attempt, .detail = SYS_execve}) ==
        "escape attempt: execve");
  CHECK(describe(VoteFate{.state = VoteState::escape_attempt, .detail = 1023}) ==
        "escape attempt: system call 1023");
  CHECK(describe(VoteFate{.state = VoteState::quarantined}) == "quarantined");
  CHECK(describe(VoteFate{.state = VoteState::ejected}) == "ejected");
  CHECK(name_of(VoteState::escape_attempt) == "escape_attempt");
}

}  // namespace tutti
