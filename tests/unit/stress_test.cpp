// The checker of `tutti stress` must see what is wrong, and must agree with the combiner on what is right.
#include <algorithm>
#include <bit>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "supervisor/clock.hpp"
#include "supervisor/combine.hpp"
#include "supervisor/stress/checker.hpp"
#include "supervisor/stress/faults.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/load.hpp"
#include "supervisor/stress/schedule.hpp"
#include "tests/catch.hpp"

namespace tutti::stress {
namespace {

constexpr std::uint32_t kMembers = 5;

EnsembleConfig config_of(CombineRule rule, Task task) {
  EnsembleConfig config;
  config.name = "checked";
  config.task = task;
  if (task == Task::classification) config.classes = {"a", "b", "c"};
  config.features = 2;
  config.combine.rule = rule;
  for (std::uint32_t i = 0; i < kMembers; ++i) {
    config.members.push_back({.name = "m" + std::to_string(i), .weight = i == 4 ? 0.0 : 1.0 + i});
  }
  if (rule == CombineRule::stacking) {
    config.combine.coefficients.assign(config.outputs(), std::vector<double>(kMembers * config.outputs()));
    double number = -1;
    for (auto& row : config.combine.coefficients) {
      for (double& coefficient : row) coefficient = number += 0.17;
    }
    config.combine.intercept.assign(config.outputs(), 0.5);
  }
  return config;
}

// Random votes and the combiner's answer to them; who voted is random as well, at least one.
Prediction answered(const EnsembleConfig& config, std::uint32_t rows, std::mt19937& random) {
  Prediction prediction;
  const std::uint32_t outputs = config.outputs();
  prediction.rows = rows;
  prediction.outputs = outputs;
  std::uniform_real_distribution<float> uniform(0.01F, 1);
  prediction.parts.resize(std::size_t{kMembers} * rows * outputs);
  for (std::size_t row = 0; row < std::size_t{kMembers} * rows; ++row) {
    float sum = 0;
    for (std::uint32_t o = 0; o < outputs; ++o) sum += prediction.parts[row * outputs + o] = uniform(random);
    for (std::uint32_t o = 0; o < outputs && outputs > 1; ++o) prediction.parts[row * outputs + o] /= sum;
  }
  const auto present = static_cast<std::uint32_t>(1 + random() % ((1U << kMembers) - 1));
  const auto flags = std::make_unique<bool[]>(kMembers);
  for (std::uint32_t m = 0; m < kMembers; ++m) {
    flags[m] = (present >> m & 1U) != 0;
    prediction.votes.push_back({.member = config.members[m].name,
                                .fate = {.state = flags[m] ? VoteState::voted : VoteState::late},
                                .message = {}});
    prediction.voted += flags[m] ? 1 : 0;
  }
  std::vector<double> weights;
  for (const MemberConfig& member : config.members) weights.push_back(member.weight);
  auto combiner = Combiner::create(config.combine, config.task, weights, outputs, rows);
  REQUIRE(combiner);
  std::vector<float> answer(std::size_t{rows} * outputs);
  combiner->decide({.data = prediction.parts.data(),
                    .model_stride = std::size_t{rows} * outputs,
                    .answered = {flags.get(), kMembers},
                    .rows = rows},
                   answer);
  if (config.task == Task::regression) {
    prediction.value = Regression{answer};
    return prediction;
  }
  Classification value{answer, std::vector<std::uint32_t>(rows)};
  for (std::uint32_t row = 0; row < rows; ++row) {
    const auto first = answer.begin() + static_cast<std::ptrdiff_t>(row * outputs);
    value.labels[row] = static_cast<std::uint32_t>(std::max_element(first, first + outputs) - first);
  }
  prediction.value = std::move(value);
  return prediction;
}

Prediction everybody_voted(const EnsembleConfig& config) {
  std::mt19937 random(3);
  Prediction prediction = answered(config, 1, random);
  while (prediction.voted != kMembers) prediction = answered(config, 1, random);
  return prediction;
}

}  // namespace

TEST_CASE("checker: under every rule it finds the combiner's answers right, and each number changed wrong",
          "[stress]") {
  // Goal: two implementations that share no code agree; and the check is no formality.
  const Task task = GENERATE(Task::classification, Task::regression);
  const CombineRule rule =
      GENERATE(CombineRule::mean, CombineRule::weighted_mean, CombineRule::median, CombineRule::trimmed_mean,
               CombineRule::minimum, CombineRule::maximum, CombineRule::geometric_mean,
               CombineRule::soft_vote, CombineRule::hard_vote, CombineRule::rank_mean, CombineRule::stacking);
  const bool of_classes =
      rule == CombineRule::soft_vote || rule == CombineRule::hard_vote || rule == CombineRule::rank_mean;
  if (task == Task::regression && of_classes) return;
  const EnsembleConfig config = config_of(rule, task);
  const Checker checker(config, std::vector<bool>(kMembers, true), 1);
  std::mt19937 random(11);
  for (int i = 0; i < 200; ++i) {
    Prediction prediction = answered(config, 1 + static_cast<std::uint32_t>(i) % 4, random);
    CHECK(checker.check(0, false, prediction).empty());
    auto& numbers = task == Task::regression ? std::get<Regression>(prediction.value).values
                                             : std::get<Classification>(prediction.value).probabilities;
    numbers[random() % numbers.size()] += 0.001F;
    CHECK(!checker.check(0, false, prediction).empty());
  }
}

TEST_CASE("checker: a wrong label, a miscounted vote and a part of another request are seen", "[stress]") {
  const EnsembleConfig config = config_of(CombineRule::soft_vote, Task::classification);
  std::mt19937 random(5);
  Prediction right = answered(config, 2, random);
  while (right.voted < kMembers) right = answered(config, 2, random);
  Prediction other = answered(config, 2, random);
  while (other.voted < kMembers) other = answered(config, 2, random);
  Checker checker(config, std::vector<bool>(kMembers, true), 2);
  for (int twice = 0; twice < 2; ++twice) {
    checker.learn(0, right);
    checker.learn(1, other);
  }
  CHECK(checker.check(0, false, right).empty());
  CHECK(checker.check(1, false, right).find("did before to the same rows") != std::string::npos);
  CHECK(checker.check(1, true, right).empty());  // the rows were changed: nothing is known of them

  Prediction wrong = right;
  auto& label = std::get<Classification>(wrong.value).labels[1];
  label = (label + 1) % 3;
  CHECK(checker.check(0, false, wrong).starts_with("label "));
  wrong = right;
  --wrong.voted;
  CHECK(!checker.check(0, false, wrong).empty());
}

TEST_CASE("checker: a member that does not repeat itself is not held to it", "[stress]") {
  const EnsembleConfig config = config_of(CombineRule::mean, Task::regression);
  std::mt19937 random(3);
  Prediction one = answered(config, 1, random);
  while (one.voted < kMembers) one = answered(config, 1, random);
  Prediction another = answered(config, 1, random);
  while (another.voted < kMembers) another = answered(config, 1, random);
  Checker checker(config, std::vector<bool>(kMembers, true), 1);
  checker.learn(0, one);
  checker.learn(0, another);
  CHECK(checker.check(0, false, one).empty());
  CHECK(checker.check(0, false, another).empty());
}

TEST_CASE("faults: a list of names is read, one that is unknown gets a suggestion", "[stress]") {
  const auto two = parse_faults("stop,kill,stop");
  REQUIRE(two);
  REQUIRE(two->size() == 2);
  CHECK((*two)[0].name == "stop");
  CHECK((*two)[0].hangs);
  CHECK(parse_faults("all")->size() == all_faults().size());
  const auto unknown = parse_faults("kill,segfv");
  REQUIRE(!unknown);
  CHECK(unknown.error().code == Errc::bad_usage);
  CHECK(unknown.error().hint == "did you mean 'segv'?");
  CHECK(!parse_faults(""));
}

TEST_CASE("journal: a vote that the struck member misses is its own affair, another's is not", "[stress]") {
  Journal journal(Time{}, std::chrono::hours(1), std::chrono::seconds(10), kMembers, 1);
  const EnsembleConfig config = config_of(CombineRule::mean, Task::regression);
  Prediction prediction = everybody_voted(config);
  prediction.votes[1].fate.state = VoteState::crashed;
  --prediction.voted;

  const Ticket before = journal.send(0, false);
  journal.open_window(0);
  journal.strike(1);
  journal.answered(before, {}, prediction, "");  // sent before the strike, answered after it
  CHECK(journal.counts().effects.none());
  CHECK(journal.tally(0).bystanders.total() == kMembers - 1);
  prediction.votes[2].fate.state = VoteState::late;
  journal.answered(journal.send(0, false), {}, prediction, "");
  CHECK(journal.counts().effects.bystander_misses == 1);
  CHECK(journal.tally(0).effects.bystander_misses == 1);
}

TEST_CASE("journal: a member that was struck is no bystander until it stands by, and then it is",
          "[stress]") {
  // Goal: recovery, however long, is not held against the others; nor may it hide a miss after it.
  Journal journal(Time{}, std::chrono::hours(1), std::chrono::seconds(10), kMembers, 2);
  const EnsembleConfig config = config_of(CombineRule::mean, Task::regression);
  const Prediction whole = everybody_voted(config);
  Prediction without = whole;
  without.votes[1].fate.state = VoteState::not_ready;
  --without.voted;

  journal.open_window(0);
  journal.strike(1);
  const Ticket early = journal.send(0, false);
  journal.stand_by_when_voting(1);
  journal.close_window();
  journal.open_window(1);
  journal.strike(3);  // another's turn, while the first is still away
  journal.answered(journal.send(0, false), {}, without, "");
  CHECK(journal.counts().effects.none());
  journal.watch_for(1, monotonic_now());
  journal.answered(early, {}, whole, "");
  CHECK(journal.counts().effects.none());
  journal.answered(journal.send(0, false), {}, without, "");
  CHECK(journal.tally(1).effects.bystander_misses ==
        1);  // it had voted again, and misses a vote nevertheless
}

TEST_CASE("journal: only a vote on a request sent from then on shows that a member is back", "[stress]") {
  Journal journal(Time{}, std::chrono::hours(1), std::chrono::seconds(10), kMembers, 1);
  const EnsembleConfig config = config_of(CombineRule::mean, Task::regression);
  const Prediction whole = everybody_voted(config);
  const Ticket before = journal.send(0, false);
  journal.strike(1);
  journal.watch_for(1, monotonic_now());
  journal.answered(before, {}, whole, "");
  CHECK(!journal.seen_again(1));
  journal.answered(journal.send(0, false), {}, whole, "");
  CHECK(journal.seen_again(1));
}

TEST_CASE("journal: what was never answered is lost, in the window in which it was sent", "[stress]") {
  Journal journal(Time{}, std::chrono::hours(1), std::chrono::seconds(10), kMembers, 2);
  const EnsembleConfig config = config_of(CombineRule::mean, Task::regression);
  const Prediction whole = everybody_voted(config);
  journal.answered(journal.send(0, false), {}, whole, "");
  journal.open_window(1);
  const Ticket answered = journal.send(0, false);
  static_cast<void>(journal.send(0, false));
  journal.refused(journal.send(0, false));
  journal.close_window();
  journal.answered(answered, {}, whole, "");
  journal.close();
  CHECK(journal.counts().effects.lost == 1);
  CHECK(journal.tally(0).effects.lost == 0);
  CHECK(journal.tally(1).effects.lost == 1);
}

TEST_CASE("journal: a run that takes longer than was thought keeps every answer in its timeline",
          "[stress]") {
  // Method: it has begun long ago, as far as the journal knows, and is said to take a second.
  Journal journal(monotonic_now() - std::chrono::hours(1), std::chrono::seconds(1), std::chrono::hours(2),
                  kMembers, 1);
  const Prediction whole = everybody_voted(config_of(CombineRule::mean, Task::regression));
  for (int i = 0; i < 10; ++i) journal.answered(journal.send(0, false), {}, whole, "");
  std::uint64_t kept = 0;
  for (const Slice& slice : journal.timeline()) kept += slice.latency.total();
  CHECK(kept == 10);
  CHECK(journal.slice() * static_cast<std::int64_t>(journal.timeline().size()) >= std::chrono::hours(1));
}

TEST_CASE("schedule: each fault strikes once before any strikes twice, and every pair in a round",
          "[stress]") {
  const std::vector<Fault> faults = *parse_faults("all");
  const std::vector<std::string> members{"a", "b", "c"};
  Schedule schedule(faults, members, "stand-in", AnswerConfig{}, std::chrono::minutes(2), 7);
  REQUIRE(schedule.left_out().empty());
  std::set<std::size_t> struck;
  std::set<std::pair<std::size_t, std::string>> pairs;
  while (schedule.incomplete()) {
    const Target target = schedule.next();
    CHECK(struck.insert(target.fault).second);
    pairs.emplace(target.fault, target.member);
    const bool outside = schedule.faults()[target.fault].means == Fault::Means::signal;
    CHECK((target.member == "stand-in") != outside);
  }
  CHECK(struck.size() == faults.size());
  const auto outside =
      static_cast<std::size_t>(std::ranges::count(faults, Fault::Means::signal, &Fault::means));
  const std::size_t all = faults.size() + outside * (members.size() - 1);
  while (pairs.size() < all) {
    const Target target = schedule.next();
    CHECK(pairs.emplace(target.fault, target.member).second);
  }
}

TEST_CASE("schedule: what it plans fits the time, what does not fit is named, with the time that would do",
          "[stress]") {
  const std::vector<Fault> faults = *parse_faults("all");
  const auto seconds = GENERATE(1, 3, 8, 15, 30, 60, 600);
  const Duration length = std::chrono::seconds(seconds);
  Schedule schedule(faults, {"a", "b", "c"}, "stand-in", AnswerConfig{}, length, 3);
  CHECK(schedule.faults().size() + schedule.left_out().size() == faults.size());
  CHECK(schedule.left_out().empty() == (schedule.needed() <= length));
  Duration planned = schedule.first_quiet();
  while (schedule.incomplete()) planned += schedule.cost(schedule.next());
  CHECK(planned <= length);

  const Schedule enough(faults, {"a", "b", "c"}, "stand-in", AnswerConfig{}, schedule.needed(), 3);
  CHECK(enough.left_out().empty());
  // A hang costs its deadline and grace whatever the pace, so it is the first that has no room.
  if (seconds == 1) CHECK(std::ranges::find(schedule.left_out(), "stop") != schedule.left_out().end());
}

TEST_CASE("load: inputs fit the ensemble and leave the place of a command empty", "[stress]") {
  EnsembleConfig config = config_of(CombineRule::mean, Task::regression);
  config.limits.rows = 2;
  for (const Input& input : make_inputs(config, 9)) {
    CHECK(input.rows >= 1);
    CHECK(input.rows <= 2);
    REQUIRE(input.x.size() == std::size_t{input.rows} * config.features);
    for (std::uint32_t row = 0; row < input.rows; ++row) {
      CHECK((std::bit_cast<std::uint32_t>(input.x[std::size_t{row} * config.features]) & 0xffU) == 0);
    }
  }
}

}  // namespace tutti::stress
