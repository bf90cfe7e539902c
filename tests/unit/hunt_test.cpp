// Which row of a batch kills: the halving by itself, and what the core does about it.
#include "supervisor/core/hunt.hpp"

#include <algorithm>
#include <bit>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/core/core.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

const Time kStart{1000s};
constexpr VoteFate kSegv{.state = VoteState::crashed, .detail = 11};

EnsembleConfig config_of(std::uint32_t members, std::uint32_t instances) {
  EnsembleConfig config;
  config.name = "hunt";
  config.classes = {"a", "b"};
  config.features = 1;
  config.limits = {.in_flight = 8, .rows = 256};
  config.answer.deadline = 50ms;
  config.answer.grace = 200ms;
  config.restart.rate = 4;
  for (std::uint32_t i = 0; i < members; ++i) {
    config.members.push_back({.name = std::string(1, static_cast<char>('a' + i)), .instances = instances});
  }
  return config;
}

using Batch = std::vector<int>;  // a value a row

// Rows 1000, 1001, … but for those given.
Batch batch_of(std::size_t rows, const std::vector<std::pair<std::size_t, int>>& special) {
  Batch batch(rows);
  for (std::size_t row = 0; row < rows; ++row) batch[row] = static_cast<int>(1000 + row);
  for (const auto& [row, value] : special) batch[row] = value;
  return batch;
}

Fingerprint fingerprint_of_row(int value) { return {.low = static_cast<std::uint64_t>(value), .high = 1}; }

Fingerprint fingerprint_of_rows(const Batch& batch, RowRange rows) {
  if (rows.rows == 1) return fingerprint_of_row(batch[rows.first]);
  Fingerprint print{.low = rows.rows, .high = 2};
  for (std::uint32_t i = 0; i < rows.rows; ++i)
    print.low = print.low * 31 + static_cast<std::uint64_t>(batch[rows.first + i]);
  return print;
}

// A core whose workers of member 0 die of rows whose value is in `deadly`, and answer everything else.
struct World {
  explicit World(const EnsembleConfig& config) : core(config, 42), owed(core.isolates()) {
    core.tick(now);
    collect();
    for (std::uint32_t i = 0; i < core.isolates(); ++i) core.hello(i, now);
    batches.resize(core.slots());
  }
  void collect() {
    for (const Action& action : core.take_actions()) {
      if (action.kind == Action::Kind::publish) {
        owed[action.isolate].push_back(action);
        if (action.probe) probes.push_back({.first = action.first_row, .rows = action.rows});
      }
      if (action.kind == Action::Kind::spawn) restarted.insert(action.isolate);
      if (action.kind == Action::Kind::kill) killed.push_back(action.isolate);
      if (action.kind == Action::Kind::tell_row) found.push_back(action.first_row);
      if (action.kind != Action::Kind::finish) continue;
      last = core.pending(action.slot);
      core.release(action.slot);
    }
  }
  void submit(const Batch& batch, Duration deadline = 50ms) {
    std::optional<Fingerprint> whole;
    std::vector<Fingerprint> rows;
    if (core.wants_fingerprints(now)) {
      whole = fingerprint_of_rows(batch, {.first = 0, .rows = static_cast<std::uint32_t>(batch.size())});
      if (core.wants_row_fingerprints() && batch.size() > 1) {
        for (const int value : batch) rows.push_back(fingerprint_of_row(value));
      }
    }
    const auto slot = core.submit(now, now + deadline, static_cast<std::uint32_t>(batch.size()), whole, rows);
    REQUIRE(slot);
    batches[*slot] = batch;
    collect();
  }
  void die(std::uint32_t isolate, VoteFate cause = kSegv) {
    if (const auto blame = core.blamed(isolate, cause))
      core.fingerprint(*blame, fingerprint_of_rows(batches[blame->slot], blame->rows));
    owed[isolate].clear();
    core.gone(isolate, cause, now);
    collect();
  }
  // One isolate works on what it was asked first.
  void step(std::uint32_t isolate) {
    const Action asked = owed[isolate].front();
    const Batch& batch = batches[asked.slot];
    const bool dies =
        core.member_of(isolate) == 0 &&
        std::any_of(batch.begin() + asked.first_row, batch.begin() + asked.first_row + asked.rows,
                    [&](int value) { return deadly.contains(value); });
    if (dies) {
      deaths_at.push_back(now);
      return die(isolate);
    }
    owed[isolate].pop_front();
    core.answered(isolate, {.state = VoteState::voted}, now);
    collect();
  }
  // Everybody works until nothing is owed.
  void work() {
    for (bool any = true; any;) {
      any = false;
      for (std::uint32_t isolate = 0; isolate < core.isolates(); ++isolate) {
        if (owed[isolate].empty()) continue;
        step(isolate);
        any = true;
      }
    }
  }
  void tick(Duration by) {
    now += by;
    core.tick(now);
    collect();
    for (const std::uint32_t isolate : std::exchange(restarted, {})) core.hello(isolate, now);
    collect();
  }
  // Sends the batch until it is quarantined for member 0: its second death begins the hunt.
  void poison(const Batch& batch) {
    for (int i = 0; i < 2; ++i) {
      submit(batch);
      work();
      if (i == 0) tick(1ms);
    }
    REQUIRE(last.votes[0].fate.state == VoteState::quarantined);
  }
  void hunt() {
    for (int i = 0; i < 10'000 && core.hunted_slot(0); ++i) {
      tick(10ms);
      work();
    }
    REQUIRE_FALSE(core.hunted_slot(0));
  }

  Core core;
  std::vector<std::deque<Action>> owed;  // [isolates]
  std::vector<Batch> batches;            // [slots]
  std::set<int> deadly{-13};
  Time now = kStart;
  std::vector<RowRange> probes;
  std::set<std::uint32_t> restarted;
  std::vector<std::uint32_t> killed;
  std::vector<std::uint32_t> found;
  std::vector<Time> deaths_at;
  Pending last;
};

struct Course {
  std::set<std::uint32_t> found;
  std::uint32_t deaths = 0;
  std::uint32_t probes = 0;
  bool exhausted = false;
};

template <class Deadly>
Course course_of(std::uint32_t rows, const Deadly& kills) {
  Course course;
  Hunt hunt;
  hunt.begin(0, rows, kStart);
  while (const auto range = hunt.next()) {
    course.exhausted = hunt.exhausted();
    if (course.exhausted) return course;
    ++course.probes;
    if (!kills(*range)) {
      hunt.survived();
      continue;
    }
    ++course.deaths;
    if (const auto row = hunt.died()) course.found.insert(*row);
  }
  return course;
}

auto any_of(const std::set<std::uint32_t>& deadly) {
  return [&deadly](RowRange range) {
    const auto first = deadly.lower_bound(range.first);
    return first != deadly.end() && *first < range.first + range.rows;
  };
}

}  // namespace

TEST_CASE("hunt: a row is found wherever it stands in a batch of any size, by a death a halving at most",
          "[core]") {
  const std::uint32_t rows = GENERATE(2U, 3U, 5U, 7U, 8U, 100U, 255U, 256U, 257U);
  const auto levels = static_cast<std::uint32_t>(std::bit_width(rows - 1));
  for (std::uint32_t row = 0; row < rows; ++row) {
    const std::set<std::uint32_t> deadly{row};
    const Course course = course_of(rows, any_of(deadly));
    INFO(rows << " rows, row " << row);
    CHECK(course.found == deadly);
    CHECK(course.deaths >= 1);
    CHECK(course.deaths <= levels);
    CHECK(course.probes <= 2 * levels);
  }
}

TEST_CASE("hunt: the largest batch fits, and its first and last rows are found", "[core]") {
  for (const std::uint32_t row : {0U, kRowsMax - 1}) {
    const std::set<std::uint32_t> deadly{row};
    CHECK(course_of(kRowsMax, any_of(deadly)).found == deadly);
  }
}

TEST_CASE("hunt: several rows are found, each by its own death", "[core]") {
  const std::set<std::uint32_t> deadly =
      GENERATE(std::set<std::uint32_t>{0, 1}, std::set<std::uint32_t>{0, 255},
               std::set<std::uint32_t>{17, 18, 19}, std::set<std::uint32_t>{3, 100, 101, 250});
  const Course course = course_of(256, any_of(deadly));
  CHECK(course.found == deadly);
  CHECK(course.deaths <= Hunt::kDeathsMax);
}

TEST_CASE("hunt: a batch that kills no more costs no death and finds nothing", "[core]") {
  const Course course = course_of(256, [](RowRange) { return false; });
  CHECK(course.found.empty());
  CHECK(course.probes == 9);  // a half of each half, and at last both rows of two
}

TEST_CASE("hunt: what dies of everything has used its deaths up after forty", "[core]") {
  const Course course = course_of(256, [](RowRange) { return true; });
  CHECK(course.exhausted);
  CHECK(course.deaths == Hunt::kDeathsMax);
}

TEST_CASE("hunt: what dies by chance and of no row has fewer", "[core]") {
  // Method: die of every part of more than one row, survive as a single one.
  const Course course = course_of(1U << 20U, [](RowRange range) { return range.rows > 1; });
  CHECK(course.found.empty());
  CHECK(course.exhausted);
  CHECK(course.deaths <= Hunt::kDeathsMax);
}

TEST_CASE("hunt: the row is found and told, and the next batch that contains it is answered without a death",
          "[core]") {
  World world(config_of(2, 1));
  const std::size_t row = GENERATE(0U, 17U, 99U);
  world.poison(batch_of(100, {{row, -13}}));
  REQUIRE(world.core.hunted_slot(0));
  world.hunt();
  CHECK(world.found == std::vector<std::uint32_t>{static_cast<std::uint32_t>(row)});
  CHECK(world.core.counters().rows_quarantined == 1);
  CHECK(world.core.counters().hunts_given_up == 0);
  const std::size_t deaths = world.deaths_at.size();
  CHECK(deaths <= 2 + 7);

  world.tick(1s);
  world.submit(batch_of(50, {{3, -13}, {40, -13}}));
  world.work();
  CHECK(describe(world.last.votes[0].fate) == "quarantined: row 3 has killed it");
  CHECK(world.last.votes[1].fate.state == VoteState::voted);
  world.submit({-13});  // the same row by itself
  world.work();
  CHECK(world.last.votes[0].fate.state == VoteState::quarantined);
  world.submit(batch_of(100, {}));  // its companions alone
  world.work();
  CHECK(world.last.voted == 2);
  CHECK(world.deaths_at.size() == deaths);

  for (int i = 0; i < 6001; ++i) world.tick(100ms);  // ten minutes later it is forgotten
  CHECK_FALSE(world.core.wants_fingerprints(world.now));
}

TEST_CASE("hunt: of several guilty rows none is left, and the first one is named", "[core]") {
  World world(config_of(1, 2));
  world.deadly = {-13, -14};
  world.poison(batch_of(64, {{5, -14}, {6, -13}, {63, -14}}));
  world.hunt();
  CHECK(std::set(world.found.begin(), world.found.end()) == std::set<std::uint32_t>{5, 6, 63});
  world.tick(1s);
  world.submit(batch_of(64, {{9, -13}, {2, -14}}));
  CHECK(describe(world.last.votes[0].fate) == "quarantined: row 2 has killed it");
}

TEST_CASE("hunt: a single row that has killed twice is known in batches without a hunt", "[core]") {
  World world(config_of(1, 1));
  world.poison({-13});
  CHECK(world.core.counters().hunts == 0);
  world.tick(1s);
  world.submit(batch_of(8, {{4, -13}}));
  CHECK(describe(world.last.votes[0].fate) == "quarantined: row 4 has killed it");
}

TEST_CASE("hunt: its deaths are charged to nobody, and come no faster than restarts may", "[core]") {
  EnsembleConfig config = config_of(1, 1);
  config.restart.backoff_min = 10s;
  config.restart.backoff_max = 10s;
  config.restart.budget = 1;
  World world(config);
  // The first row of all: every halving costs a death.
  world.poison(batch_of(256, {{0, -13}}));
  world.hunt();
  CHECK(world.found == std::vector<std::uint32_t>{0});
  REQUIRE(world.deaths_at.size() == 2 + 8);
  for (std::size_t death = 3; death < world.deaths_at.size(); ++death) {
    CHECK(world.deaths_at[death] - world.deaths_at[death - 1] >= 250ms);
  }
  CHECK(world.core.counters().hunt_deaths == 8);
  CHECK(world.core.counters().breaker_opened == 0);
  world.tick(250ms);
  CHECK(world.core.life(0).ready());
}

TEST_CASE("hunt: what stands behind a probe on the isolate that dies of it gets its second attempt",
          "[core]") {
  World world(config_of(1, 2));
  world.submit(batch_of(4, {{0, -13}}));
  world.step(0);
  world.step(1);  // the second attempt, and the second death
  world.tick(1ms);
  REQUIRE(world.probes.size() == 1);
  const std::uint32_t prober = world.owed[0].empty() ? 1 : 0;
  for (int i = 0; i < 2; ++i) world.submit({7});
  REQUIRE(world.owed[prober].size() == 2);
  world.work();
  CHECK(world.last.votes[0].fate.state == VoteState::voted);
  CHECK(world.last.votes[0].retried);
  CHECK(world.core.counters().lost == 0);
}

TEST_CASE("hunt: an isolate that hangs over a probe is killed, uncharged, and the hunt ends", "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  world.tick(1ms);
  REQUIRE(world.probes.size() == 1);
  for (int i = 0; i < 10; ++i) world.tick(26ms);  // deadline and grace
  CHECK(world.killed == std::vector<std::uint32_t>{0});
  world.die(0, {.state = VoteState::crashed, .detail = 9});
  CHECK_FALSE(world.core.hunted_slot(0));
  CHECK(world.core.counters().hunts_given_up == 1);
  CHECK(world.core.counters().hunt_deaths == 0);
  CHECK(world.core.last_cause(0).state == VoteState::hung);
  world.tick(250ms);
  CHECK(world.core.life(0).ready());
  CHECK(world.probes.size() == 1);
}

TEST_CASE("hunt: a probe that is not worked on in time ends it, one that is answered late does not",
          "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  world.tick(1ms);
  REQUIRE(world.core.expected(0));
  CHECK(world.core.expected(0)->probe);
  CHECK_FALSE(world.core.expected(0)->wanted);
  const bool late = GENERATE(true, false);
  world.tick(60ms);
  world.owed[0].pop_front();
  world.core.answered(0, {.state = late ? VoteState::late : VoteState::voted}, world.now);
  world.collect();
  CHECK(world.core.hunted_slot(0).has_value() != late);
}

TEST_CASE("hunt: a probe lost to a death from outside is sent again, a few times", "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  for (std::size_t kill = 1; kill <= Hunt::kLostMax + 1; ++kill) {
    for (int i = 0; i < 1000 && world.probes.size() < kill; ++i) world.tick(100ms);
    REQUIRE(world.probes.size() == kill);
    CHECK(world.probes.back() == world.probes.front());
    world.die(0, {.state = VoteState::crashed, .detail = 9});
  }
  CHECK_FALSE(world.core.hunted_slot(0));
  CHECK(world.found.empty());
}

TEST_CASE("hunt: requests come first: fewer than half of the slots free ends it", "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  world.tick(1ms);
  REQUIRE(world.probes.size() == 1);
  for (int i = 0; i < 7; ++i) world.submit({7});
  CHECK(world.core.hunted_slot(0));
  world.submit({7});
  CHECK_FALSE(world.core.hunted_slot(0));
  CHECK(world.core.counters().hunts_given_up == 1);
  world.work();  // the probe that is out still kills, and tells nothing any more
  CHECK(world.core.counters().hunt_deaths == 1);
  world.tick(1s);
  world.work();
  CHECK(world.probes.size() == 1);
  for (int i = 0; i < 8; ++i) world.submit({7});  // the slot is free again
}

TEST_CASE("hunt: none begins while fewer than half of the slots are free", "[core]") {
  // Method: the other member sits on the slots of eight requests that have finished without it.
  World world(config_of(2, 1));
  for (int i = 0; i < 8; ++i) {
    world.submit({7});
    world.step(0);
  }
  world.tick(60ms);
  for (int death = 0; death < 2; ++death) {
    world.submit(batch_of(16, {{3, -13}}));
    world.step(0);
    world.tick(1ms);
  }
  CHECK(world.last.votes[0].fate.state == VoteState::quarantined);
  CHECK(world.core.counters().hunts == 0);
}

TEST_CASE("hunt: a slow ensemble gives it up after a minute", "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  world.core.condemn(0, {.state = VoteState::hung});
  for (int i = 0; i < 599; ++i) {
    world.now += 100ms;
    world.core.tick(world.now);
  }
  CHECK(world.core.hunted_slot(0));
  CHECK(world.core.wake_at() <= world.now + 1s);
  world.tick(200ms);
  CHECK_FALSE(world.core.hunted_slot(0));
}

TEST_CASE("hunt: closing ends it, and a probe that is out is only waited for", "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  world.tick(1ms);
  REQUIRE(world.probes.size() == 1);
  world.core.close();
  CHECK_FALSE(world.core.hunted_slot(0));
  CHECK(world.core.owed() == 1);
  world.work();
  CHECK(world.core.owed() == 0);
  CHECK(world.probes.size() == 1);
}

TEST_CASE("hunt: a liar that is probed is charged as ever", "[core]") {
  World world(config_of(1, 1));
  world.poison(batch_of(16, {{3, -13}}));
  world.tick(1ms);
  REQUIRE(world.core.expected(0));
  CHECK(world.core.expected(0)->probe);
  for (int lie = 0; lie < 2; ++lie) {
    world.core.condemn(0, {.state = VoteState::protocol_violation});
    world.die(0);
    if (lie == 0) {
      for (int i = 0; i < 100 && !world.core.life(0).ready(); ++i) world.tick(100ms);
      REQUIRE(world.core.life(0).ready());
    }
  }
  CHECK(world.core.counters().hunt_deaths == 0);
  for (int i = 0; i < 290; ++i) world.tick(100ms);
  CHECK_FALSE(world.core.life(0).ready());
}

TEST_CASE("hunt: who used its deaths up is not hunted again for ten minutes", "[core]") {
  EnsembleConfig config = config_of(1, 1);
  config.restart.budget = 100'000;
  config.restart.rate = 100'000;
  config.answer.breaker = false;
  World world(config);
  for (int value = 1000; value < 1256; ++value) world.deadly.insert(value);
  world.poison(batch_of(256, {}));
  world.hunt();
  CHECK(world.core.counters().hunt_deaths == Hunt::kDeathsMax);
  CHECK(world.core.counters().hunts_given_up == 1);
  world.deadly = {-13};
  world.tick(30s);
  world.poison(batch_of(7, {{3, -13}}));
  CHECK(world.core.counters().hunts == 1);
}

}  // namespace tutti
