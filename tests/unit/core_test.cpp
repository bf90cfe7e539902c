#include "supervisor/core/core.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "shared/message.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

const Time kStart{1000s};

EnsembleConfig config_of(std::uint32_t members, std::uint32_t instances = 1) {
  EnsembleConfig config;
  config.name = "test";
  config.classes = {"a", "b"};
  config.features = 3;
  config.limits = {.in_flight = 2, .rows = 8};
  config.answer.deadline = 50ms;
  config.answer.grace = 200ms;
  for (std::uint32_t i = 0; i < members; ++i) {
    config.members.push_back({.name = std::string(1, static_cast<char>('a' + i)), .instances = instances});
  }
  return config;
}

// A core whose actions are kept, with workers that do exactly what the test says.
struct World {
  explicit World(const EnsembleConfig& config) : core(config, 42) {
    core.tick(now);
    collect();
    for (std::uint32_t i = 0; i < core.isolates(); ++i) core.hello(i, now);
    actions.clear();
  }

  void collect() {
    for (const Action& action : core.take_actions()) {
      actions.push_back(action);
      if (action.kind == Action::Kind::finish) {
        finished.push_back(core.pending(action.slot));
        finished_slots.push_back(action.slot);
      }
    }
    for (; released < finished_slots.size(); ++released) core.release(finished_slots[released]);
  }
  std::uint32_t submit() {
    const auto slot = core.submit(now, now + 50ms, 4);
    REQUIRE(slot);
    collect();
    return *slot;
  }
  void answer(std::uint32_t isolate, VoteState state = VoteState::voted) {
    core.answered(isolate, {.state = state}, now);
    collect();
  }
  void tick(Duration step) {
    now += step;
    core.tick(now);
    collect();
  }
  void die(std::uint32_t isolate, int signal = 9) {
    core.gone(isolate, {.state = VoteState::crashed, .detail = signal}, now);
    collect();
  }
  [[nodiscard]] long count(Action::Kind kind) const {
    return std::ranges::count_if(actions, [&](const Action& action) { return action.kind == kind; });
  }

  Core core;
  Time now = kStart;
  std::vector<Action> actions;
  std::vector<Pending> finished;
  std::vector<std::uint32_t> finished_slots;
  std::size_t released = 0;
};

}  // namespace

TEST_CASE("core: every member is asked and the request finishes with the last vote", "[core]") {
  World world(config_of(3));
  world.submit();
  CHECK(world.count(Action::Kind::publish) == 3);
  world.answer(0);
  world.answer(2);
  CHECK(world.finished.empty());
  world.now += 3ms;
  world.answer(1);
  REQUIRE(world.finished.size() == 1);
  CHECK(world.finished[0].voted == 3);
  CHECK(world.finished[0].votes[1].latency == 3ms);
  CHECK(world.core.in_flight() == 0);
}

TEST_CASE("core: at the deadline the answer is given by those who voted, and the late one is named",
          "[core]") {
  World world(config_of(3));
  world.submit();
  world.answer(0);
  world.answer(1);
  CHECK(world.core.wake_at() == kStart + 50ms);
  world.tick(50ms);
  REQUIRE(world.finished.size() == 1);
  CHECK(world.finished[0].voted == 2);
  CHECK(world.finished[0].votes[2].fate.state == VoteState::late);
  CHECK(world.core.answerable(world.finished[0]));
}

TEST_CASE("core: an answer after the deadline is not counted and frees its slot", "[core]") {
  World world(config_of(1));
  const std::uint32_t slot = world.submit();
  world.tick(60ms);
  REQUIRE(world.finished.size() == 1);
  CHECK(world.core.pending(slot).state == Pending::State::held);
  const auto expected = world.core.expected(0);
  REQUIRE(expected);
  CHECK_FALSE(expected->wanted);
  world.answer(0);
  CHECK(world.core.pending(slot).state == Pending::State::free);
  CHECK(world.finished.size() == 1);
}

TEST_CASE("core: an overdue isolate is not asked again until it has answered", "[core]") {
  World world(config_of(2));
  world.submit();
  world.answer(0);
  world.tick(60ms);
  world.actions.clear();
  world.submit();
  CHECK(world.count(Action::Kind::publish) == 1);
  world.answer(0);
  REQUIRE(world.finished.size() == 2);
  CHECK(world.finished[1].votes[1].fate.state == VoteState::late);
  world.answer(1);
  world.actions.clear();
  world.submit();
  CHECK(world.count(Action::Kind::publish) == 2);
}

TEST_CASE("core: a hung isolate is killed after the grace, and costs no request more than its vote",
          "[core]") {
  World world(config_of(2));
  int killed_at_ms = -1;
  for (int ms = 0; ms < 400; ms += 10) {
    if (world.core.in_flight() == 0) {
      world.submit();
      world.answer(0);
    }
    world.tick(10ms);
    if (world.count(Action::Kind::kill) > 0 && killed_at_ms < 0) killed_at_ms = ms + 10;
  }
  CHECK(killed_at_ms == 250);
  CHECK(world.count(Action::Kind::kill) == 1);
  for (const Pending& request : world.finished) CHECK(request.voted == 1);
  world.actions.clear();
  world.die(1);
  world.tick(0ms);
  CHECK(world.count(Action::Kind::spawn) == 1);
  CHECK(world.core.last_cause(1).state == VoteState::hung);
}

TEST_CASE("core: a death settles what was owed, with its cause", "[core]") {
  World world(config_of(3));
  world.submit();
  world.answer(0);
  world.answer(2);
  world.die(1, 11);
  REQUIRE(world.finished.size() == 1);
  CHECK(world.finished[0].votes[1].fate == VoteFate{.state = VoteState::crashed, .detail = 11});
  CHECK(world.core.pending(0).state == Pending::State::free);
}

TEST_CASE("core: while a member is down its cause is told, and the others answer", "[core]") {
  World world(config_of(3));
  world.die(1, 11);
  world.submit();
  CHECK(world.core.outstanding(1) == 0);
  world.answer(0);
  world.answer(2);
  REQUIRE(world.finished.size() == 1);
  CHECK(world.finished[0].votes[1].fate == VoteFate{.state = VoteState::crashed, .detail = 11});
}

TEST_CASE("core: a request on a dead isolate is asked once more of another instance", "[core]") {
  World world(config_of(1, 3));
  world.submit();
  CHECK(world.core.outstanding(0) == 1);
  world.die(0);
  CHECK(world.finished.empty());
  CHECK(world.core.outstanding(1) == 1);
  SECTION("and counts when it answers") {
    world.answer(1);
    REQUIRE(world.finished.size() == 1);
    CHECK(world.finished[0].voted == 1);
  }
  SECTION("and not a second time") {
    world.die(1);
    REQUIRE(world.finished.size() == 1);
    CHECK(world.finished[0].votes[0].fate.state == VoteState::crashed);
    CHECK(world.core.outstanding(2) == 0);
  }
}

TEST_CASE("core: no retry is sent after the deadline", "[core]") {
  World world(config_of(1, 2));
  world.submit();
  world.now += 50ms;  // passed, but not ticked yet
  world.die(0);
  CHECK(world.core.outstanding(1) == 0);
  CHECK(world.finished.size() == 1);
}

TEST_CASE("core: instances take turns", "[core]") {
  World world(config_of(1, 3));
  std::map<std::uint32_t, int> asked;
  for (int i = 0; i < 9; ++i) {
    world.actions.clear();
    world.submit();
    ++asked[world.actions[0].isolate];
    world.answer(world.actions[0].isolate);
  }
  CHECK(asked == std::map<std::uint32_t, int>{{0, 3}, {1, 3}, {2, 3}});
}

TEST_CASE("core: more than in_flight requests are refused as overloaded", "[core]") {
  World world(config_of(1));
  world.submit();
  world.submit();
  const auto third = world.core.submit(world.now, world.now + 50ms, 4);
  REQUIRE_FALSE(third);
  CHECK(third.error().code == Errc::overloaded);
  world.answer(0);
  world.submit();
}

TEST_CASE("core: when overdue isolates hold every slot they are killed at once", "[core]") {
  // Two members take turns at being stuck, so that between them all four slots are held.
  EnsembleConfig config = config_of(3);
  World world(config);
  const auto fill = [&] {
    world.submit();
    world.submit();
    for (int i = 0; i < 2; ++i) world.answer(0);
  };
  fill();
  for (int i = 0; i < 2; ++i) world.answer(2);  // member 1 holds two slots
  world.tick(60ms);
  fill();
  world.tick(60ms);  // member 2 holds the other two
  const auto refused = world.core.submit(world.now, world.now + 50ms, 4);
  REQUIRE_FALSE(refused);
  world.collect();
  CHECK(world.count(Action::Kind::kill) == 2);
  world.die(1);
  world.die(2);
  world.submit();
}

TEST_CASE("core: behind a request with a long deadline an overdue one still counts as overdue", "[core]") {
  // A hung isolate holds a long request at its head; short ones pile up behind it. The others must not run
  // out of slots because of that.
  World world(config_of(2));
  REQUIRE(world.core.submit(world.now, world.now + 1h, 4));
  world.collect();
  world.answer(0);
  for (int i = 0; i < 20; ++i) {
    world.submit();
    world.answer(0);
    world.tick(60ms);
  }
  CHECK(world.finished.size() == 20);
  CHECK(world.core.outstanding(1) == 2);  // the long one, and the first short one that found it hung
  for (std::size_t i = 1; i < world.finished.size(); ++i) {
    CHECK(world.finished[i].votes[1].fate.state == VoteState::late);
  }
}

TEST_CASE("core: below quorum there is no answer, unless the last resort voted", "[core]") {
  EnsembleConfig config = config_of(3);
  SECTION("majority") {
    World world(config);
    world.submit();
    world.answer(0);
    world.answer(1, VoteState::rejected);
    world.answer(2, VoteState::failed);
    REQUIRE(world.finished.size() == 1);
    CHECK_FALSE(world.core.answerable(world.finished[0]));
  }
  SECTION("last resort") {
    config.answer.last_resort = "a";
    World world(config);
    world.submit();
    world.answer(0);
    world.answer(1, VoteState::rejected);
    world.answer(2, VoteState::failed);
    CHECK(world.core.answerable(world.finished[0]));
  }
}

TEST_CASE("core: with nobody ready a request finishes at once, without votes", "[core]") {
  World world(config_of(2));
  world.die(0);
  world.die(1);
  world.submit();
  REQUIRE(world.finished.size() == 1);
  CHECK(world.finished[0].voted == 0);
  CHECK(world.core.members_ready() == 0);
}

TEST_CASE("core: ids of different incarnations and uses of a slot differ", "[core]") {
  World world(config_of(1));
  std::vector<std::uint64_t> ids;
  for (int life = 0; life < 3; ++life) {
    for (int use = 0; use < 3; ++use) {
      world.actions.clear();
      world.submit();
      for (const Action& action : world.actions) {
        if (action.kind == Action::Kind::publish) ids.push_back(action.id);
      }
      world.answer(0);
    }
    world.die(0);
    world.tick(40s);
    world.core.hello(0, world.now);
  }
  CHECK(ids.size() == 9);
  std::ranges::sort(ids);
  CHECK(std::ranges::adjacent_find(ids) == ids.end());
}

// ---- templates ----

namespace {

// A core whose members have templates; nothing has been started yet.
struct TemplateWorld {
  explicit TemplateWorld(const EnsembleConfig& config) : core(config, 42, true) { tick(0ms); }
  void tick(Duration step) {
    now += step;
    core.tick(now);
    for (const Action& action : core.take_actions()) actions.push_back(action);
  }
  [[nodiscard]] long count(Action::Kind kind, std::uint32_t member) const {
    return std::ranges::count_if(
        actions, [&](const Action& action) { return action.kind == kind && action.member == member; });
  }

  Core core;
  Time now = kStart;
  std::vector<Action> actions;
};

}  // namespace

TEST_CASE("core: an isolate starts as a fork of its member's template, once that is ready", "[core]") {
  TemplateWorld world(config_of(2, 2));
  CHECK(world.count(Action::Kind::start_template, 0) == 1);
  CHECK(world.count(Action::Kind::start_template, 1) == 1);
  CHECK(world.actions.size() == 2);
  world.core.template_ready(0, true, world.now);
  CHECK(world.core.wake_at() <= world.now);
  world.tick(0ms);
  CHECK(world.count(Action::Kind::spawn, 0) == 2);
  CHECK(world.count(Action::Kind::spawn, 1) == 0);
  for (const Action& action : world.actions) {
    if (action.kind == Action::Kind::spawn) CHECK_FALSE(action.whole);
  }
}

TEST_CASE("core: a member whose model cannot be forked starts every isolate whole, without a template",
          "[core]") {
  TemplateWorld world(config_of(1, 2));
  world.core.template_ready(0, false, world.now);
  world.tick(0ms);
  CHECK(world.count(Action::Kind::kill_template, 0) == 1);
  CHECK(world.count(Action::Kind::spawn, 0) == 2);
  CHECK(world.actions.back().whole);
  CHECK_FALSE(world.core.tried(0));
  world.core.template_gone(0, {.state = VoteState::crashed, .detail = 9}, world.now);
  world.core.hello(0, world.now);
  world.core.hello(1, world.now);
  world.tick(1h);
  CHECK(world.count(Action::Kind::start_template, 0) == 1);
  CHECK(world.core.wake_at() == kNever);
}

TEST_CASE("core: a template that dies is rebuilt while its isolates go on, and blames none of them",
          "[core]") {
  TemplateWorld world(config_of(1, 2));
  world.core.template_ready(0, true, world.now);
  world.tick(0ms);
  world.core.hello(0, world.now);
  world.core.template_gone(0, {.state = VoteState::crashed, .detail = 11}, world.now);
  world.core.spawn_failed(1, world.now);  // it was being forked
  world.actions.clear();
  world.tick(1ms);
  CHECK(world.core.life(0).ready());
  CHECK(world.count(Action::Kind::start_template, 0) == 1);
  CHECK(world.count(Action::Kind::spawn, 0) == 0);
  world.core.template_ready(0, true, world.now);
  world.tick(0ms);
  CHECK(world.count(Action::Kind::spawn, 0) == 1);
  CHECK(world.core.life(1).restarts() == 0);
}

TEST_CASE("core: when a template cannot be started its isolates count as tried, and its cause is told",
          "[core]") {
  TemplateWorld world(config_of(2));
  world.core.template_ready(1, true, world.now);
  world.tick(0ms);
  world.core.hello(1, world.now);
  CHECK_FALSE(world.core.tried(0));
  SECTION("for want of a process") { world.core.template_failed(0, world.now); }
  SECTION("for want of a model") {
    world.core.condemn_template(0, {.state = VoteState::start_failed});
    world.core.template_gone(0, {.state = VoteState::crashed, .detail = 9}, world.now);
  }
  CHECK(world.core.tried(0));
  REQUIRE(world.core.submit(world.now, world.now + 50ms, 1));
  CHECK(world.core.pending(0).votes[0].fate.state == VoteState::start_failed);
  CHECK(world.core.pending(0).votes[1].fate.state == VoteState::pending);
}

TEST_CASE("core: once closed nothing is accepted and nobody is restarted", "[core]") {
  World world(config_of(2));
  world.core.close();
  const auto refused = world.core.submit(world.now, world.now + 50ms, 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::stopped);
  world.core.kill_all();
  world.collect();
  CHECK(world.count(Action::Kind::kill) == 2);
  world.die(0);
  world.die(1);
  world.tick(1h);
  CHECK(world.count(Action::Kind::spawn) == 0);
  CHECK(world.core.wake_at() == kNever);
}

}  // namespace tutti
