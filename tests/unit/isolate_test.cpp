#include "supervisor/core/isolate.hpp"

#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

const Time kStart{1000s};

// Takes a life through start and hello.
void make_ready(IsolateLife& life, Time now) {
  REQUIRE(life.tick(now) == IsolateWish::spawn);
  life.hello(now);
  REQUIRE(life.ready());
}

Duration wait_of(const IsolateLife& life, Time now) { return std::get<Waiting>(life.state()).until - now; }

}  // namespace

TEST_CASE("isolate: starts at once, and is ready after its hello", "[isolate]") {
  IsolateLife life(RestartConfig{});
  CHECK_FALSE(life.has_process());
  CHECK_FALSE(life.tried());
  make_ready(life, kStart);
  CHECK(life.generation() == 1);
  CHECK(life.tried());
  CHECK(life.restarts() == 0);
  CHECK(life.wake_at() == kNever);
}

TEST_CASE("isolate: one that never says hello is killed when its start is overdue", "[isolate]") {
  IsolateLife life(RestartConfig{.start_timeout = 2s});
  REQUIRE(life.tick(kStart) == IsolateWish::spawn);
  CHECK(life.wake_at() == kStart + 2s);
  CHECK(life.tick(kStart + 1999ms) == IsolateWish::nothing);
  CHECK(life.tick(kStart + 2s) == IsolateWish::kill);
  CHECK(life.tick(kStart + 3s) == IsolateWish::nothing);  // killed once, not every tick
  Random random(1);
  const VoteFate cause = life.gone({.state = VoteState::crashed, .detail = 9}, kStart + 3s, random);
  CHECK(cause.state == VoteState::start_timeout);  // what it was condemned for, not what the kill looked like
}

TEST_CASE("isolate: the first restart comes at once, later ones after a random time that grows to its bound",
          "[isolate]") {
  Random random(7);
  IsolateLife life(RestartConfig{.backoff_min = 50ms, .backoff_max = 400ms, .budget = 1000});
  Time now = kStart;
  Duration longest{};
  for (int failure = 0; failure < 200; ++failure) {
    REQUIRE(life.tick(now) == IsolateWish::spawn);
    (void)life.gone({.state = VoteState::crashed, .detail = 11}, now, random);
    const Duration wait = wait_of(life, now);
    CHECK(wait >= Duration::zero());
    CHECK(wait <= (failure == 0 ? 0ms : failure == 1 ? 100ms : failure == 2 ? 200ms : 400ms));
    longest = std::max(longest, wait);
    now += wait;
  }
  CHECK(longest > 350ms);  // full jitter uses the whole interval
  CHECK(life.generation() == 200);
}

TEST_CASE("isolate: a crash loop ends in slow probing that never stops", "[isolate]") {
  // FAULTS 15: at most 8 starts in the first 60 seconds.
  Random random(3);
  IsolateLife life(RestartConfig{});
  Time now = kStart;
  int starts = 0;
  int starts_first_minute = 0;
  while (now < kStart + 24h) {
    REQUIRE(life.tick(now) == IsolateWish::spawn);
    ++starts;
    if (now < kStart + 60s) ++starts_first_minute;
    (void)life.gone({.state = VoteState::crashed, .detail = 6}, now, random);
    const Duration wait = wait_of(life, now);
    CHECK(wait <= 10min);
    now += wait;
  }
  CHECK(starts_first_minute <= 8);
  CHECK(starts > 24 * 6);  // at least every ten minutes
}

TEST_CASE("isolate: a long healthy life forgives what was before it", "[isolate]") {
  Random random(3);
  IsolateLife life(RestartConfig{});
  Time now = kStart;
  for (int i = 0; i < 20; ++i) {
    now = std::max(now, std::get<Waiting>(life.state()).until);
    REQUIRE(life.tick(now) == IsolateWish::spawn);
    (void)life.gone({.state = VoteState::crashed, .detail = 6}, now, random);
  }
  CHECK(wait_of(life, now) >= 30s);
  now = std::get<Waiting>(life.state()).until;
  make_ready(life, now);
  SECTION("ended by a crash") {
    (void)life.gone({.state = VoteState::crashed, .detail = 6}, now + 61s, random);
    CHECK(wait_of(life, now + 61s) == Duration::zero());
  }
  SECTION("ended by a kill of ours") {
    CHECK(life.condemn({.state = VoteState::hung}) == IsolateWish::kill);
    (void)life.gone({.state = VoteState::crashed, .detail = 9}, now + 61s, random);
    CHECK(wait_of(life, now + 61s) == Duration::zero());
  }
}

TEST_CASE("isolate: one without a process cannot be condemned", "[isolate]") {
  IsolateLife life(RestartConfig{});
  CHECK(life.condemn({.state = VoteState::hung}) == IsolateWish::nothing);
}

TEST_CASE("vote: a fate says for people what happened", "[vote]") {
  CHECK(describe(VoteFate{.state = VoteState::crashed, .detail = 9}) == "crashed: SIGKILL");
  CHECK(describe(VoteFate{.state = VoteState::crashed, .detail = 200}) == "crashed: signal 200");
  CHECK(describe(VoteFate{.state = VoteState::exited, .detail = 3}) == "exited: status 3");
  CHECK(describe(VoteFate{.state = VoteState::rejected, .detail = 1}) == "rejected: not a valid number");
  CHECK(describe(VoteFate{.state = VoteState::late}) == "late");
}

}  // namespace tutti
