// Votes to an answer: against an oracle, by properties, and by hand.
//
// Every vote buffer here has a gap between the models, and NaN wherever nothing may be read: in the gaps and
// in the parts of members that did not vote. Reading one of those shows as NaN in the answer.
#include "supervisor/combine.hpp"

#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/combine_oracle.hpp"

// ---- counting allocations: the linker puts these in the place of malloc (Eigen's) and operator new (all
// else) ----

namespace {
std::atomic<std::size_t> allocations = 0;
}

extern "C" {
void* __real_malloc(std::size_t size);
void* __real__Znwm(std::size_t size);

void* __wrap_malloc(std::size_t size) {
  ++allocations;
  return __real_malloc(size);
}
void* __wrap__Znwm(std::size_t size) {
  ++allocations;
  return __real__Znwm(size);
}
}

namespace {

using namespace tutti;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::array kEveryRule = {
    CombineRule::mean,           CombineRule::weighted_mean, CombineRule::median,
    CombineRule::trimmed_mean,   CombineRule::minimum,       CombineRule::maximum,
    CombineRule::geometric_mean, CombineRule::soft_vote,     CombineRule::hard_vote,
    CombineRule::rank_mean,      CombineRule::stacking};

bool fits(CombineRule rule, Task task) {
  return task == Task::classification ||
         (rule != CombineRule::soft_vote && rule != CombineRule::hard_vote && rule != CombineRule::rank_mean);
}

/// A request's votes and what is made of them; `votes[i]` is empty where member i did not vote.
struct Case {
  CombineConfig config;
  Task task = Task::classification;
  std::vector<double> weights;
  std::uint32_t outputs = 1;
  std::uint32_t rows = 1;
  std::vector<std::vector<float>> votes;  // [models][rows * outputs]
};

struct Outcome {
  std::vector<float> answer, spread, disagreement;
};

/// The votes as the supervisor holds them.
struct Buffer {
  explicit Buffer(const Case& from)
      : stride(std::size_t{from.rows} * from.outputs + 3),
        votes(from.votes.size() * stride, kNan),
        answered(std::make_unique<bool[]>(from.votes.size())),
        parts{.data = votes.data(),
              .model_stride = stride,
              .answered = {answered.get(), from.votes.size()},
              .rows = from.rows} {
    for (std::size_t i = 0; i < from.votes.size(); ++i) {
      answered[i] = !from.votes[i].empty();
      std::ranges::copy(from.votes[i], votes.begin() + static_cast<std::ptrdiff_t>(i * stride));
    }
  }
  std::size_t stride;
  std::vector<float> votes;
  std::unique_ptr<bool[]> answered;
  Parts parts;
};

Combiner make(const Case& from) {
  Result<Combiner> combiner = Combiner::create(from.config, from.task, from.weights, from.outputs, from.rows);
  if (!combiner) FAIL(describe(combiner.error()));
  return *std::move(combiner);
}

Outcome combine(const Case& from) {
  Combiner combiner = make(from);
  const Buffer buffer(from);
  Outcome outcome{.answer = std::vector<float>(std::size_t{from.rows} * from.outputs, kNan),
                  .spread = std::vector<float>(from.rows, kNan),
                  .disagreement = std::vector<float>(from.rows, kNan)};
  combiner.combine(
      buffer.parts,
      {.answer = outcome.answer, .spread = outcome.spread, .disagreement = outcome.disagreement});
  return outcome;
}

/// One row of classification under `rule`, all weights 1.
Case classes(CombineRule rule, std::vector<std::vector<float>> votes) {
  Case result;
  result.config.rule = rule;
  result.weights.assign(votes.size(), 1.0);
  for (const std::vector<float>& vote : votes) {
    result.outputs = std::max(result.outputs, static_cast<std::uint32_t>(vote.size()));
  }
  result.votes = std::move(votes);
  return result;
}

Case values(CombineRule rule, std::vector<std::vector<float>> votes) {
  Case result = classes(rule, std::move(votes));
  result.task = Task::regression;
  result.rows = result.outputs;
  result.outputs = 1;
  return result;
}

std::size_t label_of(std::span<const float> row) {
  return static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
}

std::string shown(const Case& from) {
  std::string text =
      fmt::format("rule {} task {} outputs {} rows {} trim {}", static_cast<int>(from.config.rule),
                  static_cast<int>(from.task), from.outputs, from.rows, from.config.trim);
  for (std::size_t i = 0; i < from.votes.size(); ++i) {
    text += fmt::format("\n  weight {}{}", from.weights[i], from.votes[i].empty() ? " missing" : "");
  }
  return text;
}

void check_near(const Case& from, std::span<const float> found, std::span<const float> expected) {
  INFO(shown(from));
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    INFO("cell " << i);
    CHECK(found[i] == Approx(expected[i]).epsilon(1e-6).margin(1e-7));
  }
}

// ---- random cases ----

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) { return random() % bound; }
double unit(Random& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

/// A vote of one of the kinds that members give: smooth, coarse (so that ties happen), sure of itself.
std::vector<float> random_distribution(Random& random, std::uint32_t outputs) {
  const std::size_t kind = below(random, 3);
  std::vector<double> shares(outputs, 0.0);
  for (double& share : shares) {
    share = kind == 0 ? unit(random) : kind == 1 ? static_cast<double>(below(random, 3)) : 0.0;
  }
  if (kind == 2) shares[below(random, outputs)] = 1;
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<float> result;
  for (const double share : shares)
    result.push_back(static_cast<float>(sum > 0 ? share / sum : 1.0 / outputs));
  return result;
}

std::vector<float> random_part(Random& random, Task task, std::uint32_t rows, std::uint32_t outputs) {
  std::vector<float> part;
  for (std::uint32_t row = 0; row < rows; ++row) {
    if (task == Task::classification) {
      std::ranges::copy(random_distribution(random, outputs), std::back_inserter(part));
    } else {
      const double value = below(random, 4) == 0 ? static_cast<double>(below(random, 3)) : 100 * unit(random);
      part.push_back(static_cast<float>(below(random, 8) == 0 ? -value : value));
    }
  }
  return part;
}

Case random_case(Random& random, CombineRule rule, Task task) {
  Case result;
  result.config.rule = rule;
  result.config.trim = std::array{0.0, 0.1, 0.2, 0.25, 0.4, 0.49}[below(random, 6)];
  result.task = task;
  const std::size_t models = 1 + below(random, below(random, 8) == 0 ? kMembersMax : 7);
  result.outputs = task == Task::regression ? 1 : static_cast<std::uint32_t>(1 + below(random, 9));
  if (task == Task::classification && below(random, 16) == 0) result.outputs = 700;
  // Around the sizes where a tile ends; wide rows few, for the oracle is slow.
  result.rows = static_cast<std::uint32_t>(1 + below(random, result.outputs > 9 ? 2 : 5));
  if (result.outputs == 1 && below(random, 4) == 0)
    result.rows = static_cast<std::uint32_t>(500 + below(random, 50));
  if (rule == CombineRule::stacking) result.outputs = std::min(result.outputs, 9U);
  for (std::size_t i = 0; i < models; ++i) {
    result.weights.push_back(below(random, 4) == 0 ? 0.0 : below(random, 2) == 0 ? 1.0 : unit(random) + 0.01);
    const bool missing = below(random, 3) == 0;
    result.votes.push_back(missing ? std::vector<float>{}
                                   : random_part(random, task, result.rows, result.outputs));
  }
  const std::size_t sure = below(random, models);
  if (result.votes[sure].empty()) result.votes[sure] = random_part(random, task, result.rows, result.outputs);
  result.weights[below(random, models)] = 0.5;  // not necessarily the voter: its weight may be 0
  if (rule == CombineRule::stacking) {
    for (std::uint32_t o = 0; o < result.outputs; ++o) {
      std::vector<double> coefficients;
      for (std::size_t i = 0; i < models * result.outputs; ++i) coefficients.push_back(4 * unit(random) - 2);
      result.config.coefficients.push_back(coefficients);
      result.config.intercept.push_back(unit(random));
    }
    if (below(random, 4) == 0) result.config.intercept.clear();
  }
  return result;
}

oracle::Question question_of(const Case& from, std::uint32_t row) {
  oracle::Question question{.config = from.config,
                            .task = from.task,
                            .votes = {},
                            .weights = {from.weights.begin(), from.weights.end()},
                            .outputs = from.outputs};
  for (const std::vector<float>& votes : from.votes) {
    const auto first = votes.begin() + static_cast<std::ptrdiff_t>(std::size_t{row} * from.outputs);
    question.votes.push_back(votes.empty() ? oracle::Row{} : oracle::Row(first, first + from.outputs));
  }
  return question;
}

template <class Body>
void for_random_cases(std::size_t rounds, Body body) {
  for (const CombineRule rule : kEveryRule) {
    for (const Task task : {Task::classification, Task::regression}) {
      if (!fits(rule, task)) continue;
      Random random(static_cast<std::uint64_t>(rule) * 2 + static_cast<std::uint64_t>(task));
      for (std::size_t round = 0; round < rounds; ++round) body(random, random_case(random, rule, task));
    }
  }
}

}  // namespace

TEST_CASE("combine: every rule answers as its definition, whoever is missing", "[combine]") {
  // Method: the oracle of combine_oracle.hpp on random shapes, weights, votes and absences, row by row.
  for_random_cases(150, [](Random&, const Case& from) {
    const Outcome outcome = combine(from);
    for (std::uint32_t row = 0; row < from.rows; ++row) {
      const std::span<const float> answer =
          std::span(outcome.answer).subspan(std::size_t{row} * from.outputs, from.outputs);
      const oracle::Reply expected = oracle::reply(question_of(from, row), label_of(answer));
      // A number a few float32 steps off is rounding. Scores of stacking add up terms of both signs.
      const auto near = [](float found, long double wanted) {
        return std::abs(found - wanted) <= 2e-7L * std::abs(wanted) + 1e-9L;
      };
      bool equal = near(outcome.disagreement[row], expected.disagreement);
      // Equal votes have a deviation of 0, which rounding of their mean turns into 1e-8 of their size.
      equal = equal && std::abs(outcome.spread[row] - expected.spread) <= 2e-7L * expected.spread + 1e-5L;
      for (std::size_t o = 0; o < answer.size(); ++o) equal = equal && near(answer[o], expected.answer[o]);
      if (!equal) {
        FAIL(shown(from) << "\nrow " << row << " spread " << outcome.spread[row] << " for "
                         << static_cast<double>(expected.spread) << " disagreement "
                         << outcome.disagreement[row] << " for "
                         << static_cast<double>(expected.disagreement));
      }
    }
  });
  SUCCEED();
}

TEST_CASE("combine: the members' order does not matter when their weights move with them", "[combine]") {
  for_random_cases(40, [](Random& random, const Case& from) {
    std::vector<std::size_t> order(from.votes.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::shuffle(order, random);
    Case moved = from;
    for (std::size_t i = 0; i < order.size(); ++i) {
      moved.weights[i] = from.weights[order[i]];
      moved.votes[i] = from.votes[order[i]];
      for (std::size_t o = 0; o < from.config.coefficients.size(); ++o) {
        std::copy_n(
            from.config.coefficients[o].begin() + static_cast<std::ptrdiff_t>(order[i] * from.outputs),
            from.outputs,
            moved.config.coefficients[o].begin() + static_cast<std::ptrdiff_t>(i * from.outputs));
      }
    }
    const Outcome first = combine(from);
    const Outcome second = combine(moved);
    for (std::size_t i = 0; i < first.answer.size(); ++i) {
      REQUIRE(second.answer[i] == Approx(first.answer[i]).epsilon(1e-6).margin(1e-6));
    }
    for (std::size_t i = 0; i < first.spread.size(); ++i) {
      REQUIRE(second.spread[i] == Approx(first.spread[i]).epsilon(1e-5).margin(1e-5));
    }
  });
}

TEST_CASE("combine: a vote that all members share is the answer", "[combine]") {
  for_random_cases(20, [](Random&, Case from) {
    const CombineRule rule = from.config.rule;
    if (rule == CombineRule::hard_vote || rule == CombineRule::rank_mean || rule == CombineRule::stacking)
      return;
    const std::vector<float> vote =
        *std::ranges::find_if(from.votes, [](const auto& part) { return !part.empty(); });
    for (std::vector<float>& part : from.votes) {
      if (!part.empty()) part = vote;
    }
    const Outcome outcome = combine(from);
    for (std::size_t i = 0; i < vote.size(); ++i) {
      INFO(shown(from));
      REQUIRE(outcome.answer[i] == Approx(vote[i]).epsilon(1e-6).margin(1e-7));
    }
    for (const float disagreement : outcome.disagreement) {
      REQUIRE((from.task == Task::classification || disagreement == 0));
    }
  });
}

TEST_CASE("combine: a member of weight 0 votes but does not count", "[combine]") {
  for (const CombineRule rule : kEveryRule) {
    if (rule == CombineRule::stacking) continue;  // its coefficients are the weights
    Case from = classes(rule, {{0.7F, 0.3F}, {0.2F, 0.8F}, {0.6F, 0.4F}});
    from.weights = {1, 0, 1};
    Case without = from;
    without.votes[1].clear();
    const Outcome found = combine(from);
    const Outcome expected = combine(without);
    CHECK(found.answer == expected.answer);
    CHECK(found.spread == expected.spread);
    CHECK(found.disagreement == expected.disagreement);
  }
}

TEST_CASE("combine: voters whose weights are all 0 count equally", "[combine]") {
  Case from = values(CombineRule::weighted_mean, {{}, {2}, {4}});
  from.weights = {1, 0, 0};
  check_near(from, combine(from).answer, std::array{3.0F});
}

TEST_CASE("combine: weights of any size are shares", "[combine]") {
  for (const double scale : {1e-320, 1e-3, 1.0, 5e307}) {
    Case from = values(CombineRule::weighted_mean, {{1}, {2}, {4}});
    from.weights = {scale, scale, 2 * scale};
    check_near(from, combine(from).answer, std::array{2.75F});
  }
}

// ---- by hand ----

TEST_CASE("combine: the median of an even number of votes lies between the middle two", "[combine]") {
  const Case even = values(CombineRule::median, {{10}, {1}, {4}, {3}});
  check_near(even, combine(even).answer, std::array{3.5F});
  const Case odd = values(CombineRule::median, {{10}, {1}, {}, {3}});
  check_near(odd, combine(odd).answer, std::array{3.0F});
}

TEST_CASE("combine: the median of distributions is scaled to sum 1", "[combine]") {
  const Case from =
      classes(CombineRule::median, {{0.5F, 0.3F, 0.2F}, {0.1F, 0.6F, 0.3F}, {0.2F, 0.2F, 0.6F}});
  // Medians 0.2, 0.3, 0.3.
  check_near(from, combine(from).answer, std::array{0.25F, 0.375F, 0.375F});
}

TEST_CASE("combine: a trimmed mean cuts whole votes, and with few of them none", "[combine]") {
  Case five = values(CombineRule::trimmed_mean, {{1}, {2}, {3}, {6}, {1000}});
  check_near(five, combine(five).answer, std::array{11.0F / 3});
  five.votes[0].clear();  // a fifth of four votes is less than one
  check_near(five, combine(five).answer, std::array{1011.0F / 4});
  five.config.trim = 0.25;
  check_near(five, combine(five).answer, std::array{4.5F});
}

TEST_CASE("combine: minimum and maximum are scaled to sum 1, zeros to a uniform row", "[combine]") {
  const Case lowest = classes(CombineRule::minimum, {{0.6F, 0.4F}, {0.2F, 0.8F}});
  check_near(lowest, combine(lowest).answer, std::array{1.0F / 3, 2.0F / 3});
  const Case highest = classes(CombineRule::maximum, {{0.6F, 0.4F}, {0.2F, 0.8F}});
  check_near(highest, combine(highest).answer, std::array{3.0F / 7, 4.0F / 7});
  const Case opposed = classes(CombineRule::minimum, {{1, 0}, {0, 1}});
  check_near(opposed, combine(opposed).answer, std::array{0.5F, 0.5F});
}

TEST_CASE("combine: the log-opinion pool weighs exponents and lets a zero rule a class out", "[combine]") {
  Case from = classes(CombineRule::geometric_mean, {{0.9F, 0.1F}, {0.1F, 0.9F}});
  from.weights = {3, 1};
  // Odds 9 to the power of 3/4 - 1/4 are 3.
  check_near(from, combine(from).answer, std::array{0.75F, 0.25F});
  const Case veto = classes(CombineRule::geometric_mean, {{0, 0.5F, 0.5F}, {0.9F, 0.1F, 0}});
  check_near(veto, combine(veto).answer, std::array{0.0F, 1.0F, 0.0F});
  const Case stalemate = classes(CombineRule::geometric_mean, {{1, 0}, {0, 1}});
  check_near(stalemate, combine(stalemate).answer, std::array{0.5F, 0.5F});
}

TEST_CASE("combine: a geometric mean of numbers that have none is 0 or the mean", "[combine]") {
  const Case from = values(CombineRule::geometric_mean, {{2, 0, -2, 0}, {8, 8, 8, -8}});
  check_near(from, combine(from).answer, std::array{4.0F, 0.0F, 3.0F, -4.0F});
}

TEST_CASE("combine: a hard vote answers the shares of the votes", "[combine]") {
  Case from = classes(CombineRule::hard_vote, {{0.9F, 0.1F, 0}, {0.2F, 0.7F, 0.1F}, {0.3F, 0.4F, 0.3F}, {}});
  from.weights = {1, 2, 1, 5};
  const Outcome outcome = combine(from);
  check_near(from, outcome.answer, std::array{0.25F, 0.75F, 0.0F});
  CHECK(outcome.disagreement[0] == 0.25F);
}

TEST_CASE("combine: a tied hard vote goes to the higher mean probability, and the largest number says so",
          "[combine]") {
  // One vote each. The second class has the higher mean, though it stands later.
  const Outcome second = combine(classes(CombineRule::hard_vote, {{0.6F, 0.4F}, {0.1F, 0.9F}}));
  CHECK(label_of(second.answer) == 1);
  CHECK(second.answer[0] == 0.5F);
  CHECK(second.answer[1] == std::nextafter(0.5F, 1.0F));
  // Equal means as well: the lower index.
  const Outcome first = combine(classes(CombineRule::hard_vote, {{0, 0.25F, 0.75F}, {0, 0.75F, 0.25F}}));
  CHECK(label_of(first.answer) == 1);
  // A class without a vote does not win by its mean.
  const Outcome voted = combine(classes(CombineRule::hard_vote, {{0.5F, 0, 0.4F}, {0, 0.5F, 0.4F}}));
  CHECK(label_of(voted.answer) == 0);
}

TEST_CASE("combine: weights that are equal but for rounding tie", "[combine]") {
  // In double the first three add up to a little more than the fourth, whose class has the higher mean.
  Case from = classes(CombineRule::hard_vote, {{0.51F, 0.49F}, {0.51F, 0.49F}, {0.51F, 0.49F}, {0, 1}});
  from.weights = {0.1, 0.1, 2.6, 2.8};
  CHECK(label_of(combine(from).answer) == 1);
}

TEST_CASE("combine: rank_mean averages ranks and shares the ranks of equals", "[combine]") {
  const Case from = classes(CombineRule::rank_mean, {{0.1F, 0.2F, 0.7F}, {0.25F, 0.5F, 0.25F}, {}});
  // Ranks 1 2 3 and 1.5 3 1.5; their mean over 6.
  check_near(from, combine(from).answer, std::array{1.25F / 6, 2.5F / 6, 2.25F / 6});
}

TEST_CASE("combine: stacking reads a missing member's inputs as the voters' weighted mean", "[combine]") {
  Case from = values(CombineRule::stacking, {{1}, {}, {4}});
  from.weights = {1, 9, 2};
  from.config.coefficients = {{1, 10, 100}};
  from.config.intercept = {0.5};
  // (1 + 8) / 3 stands in for the second.
  check_near(from, combine(from).answer, std::array{0.5F + 1 + 30 + 400});
}

TEST_CASE("combine: stacking of two classes is the softmax of two scores", "[combine]") {
  Case from = classes(CombineRule::stacking, {{0.25F, 0.75F}});
  from.config.coefficients = {{0, 0}, {0, 4}};
  const float logistic = 1 / (1 + std::exp(-3.0F));
  check_near(from, combine(from).answer, std::array{1 - logistic, logistic});
}

TEST_CASE("combine: spread and disagreement of numbers are deviation and range", "[combine]") {
  Case from = values(CombineRule::median, {{1, 5}, {3, 5}, {}, {7, 5}});
  from.weights = {1, 2, 8, 1};
  const Outcome outcome = combine(from);
  // The weighted mean of 1 3 3 7 is 3.5, the squared differences 6.25 0.25 0.25 12.25.
  check_near(from, outcome.spread, std::array{std::sqrt(19.0F / 4), 0.0F});
  check_near(from, outcome.disagreement, std::array{6.0F, 0.0F});
}

TEST_CASE("combine: spread of classes runs from 0 for certainty to 1 for none", "[combine]") {
  CHECK(combine(classes(CombineRule::soft_vote, {{0, 1, 0}, {0, 1, 0}})).spread[0] == 0);
  CHECK(combine(classes(CombineRule::soft_vote, {{1, 0}, {0, 1}})).spread[0] == 1);
  const Outcome quarter = combine(classes(CombineRule::hard_vote, {{0.5F, 0.5F, 0, 0}}));
  CHECK(quarter.spread[0] == Approx(0.5));
  CHECK(combine(classes(CombineRule::mean, {{1}})).spread[0] == 0);
  CHECK(combine(classes(CombineRule::mean, {{0, 0}})).spread[0] == 1);  // read as uniform
}

TEST_CASE("combine: an answer from elsewhere is measured against the votes", "[combine]") {
  // Goal: a stacking model of its own answers, the votes still say how far they differ from it.
  Case from = classes(CombineRule::stacking, {{0.9F, 0.1F}, {0.2F, 0.8F}, {}});
  from.config.model = "/models/stack.json";
  from.weights = {1, 3, 1};
  Combiner combiner = make(from);
  const Buffer buffer(from);

  std::vector<float> input(6);
  Combiner::stacking_input(buffer.parts, from.outputs, input);
  CHECK(std::vector(input.begin(), input.begin() + 4) == std::vector{0.9F, 0.1F, 0.2F, 0.8F});
  CHECK(std::isnan(input[4]));
  CHECK(std::isnan(input[5]));

  std::vector<float> answer = {0.6F, 0.4F};
  std::vector<float> disagreement(1);
  combiner.measure(buffer.parts, {.answer = answer, .spread = {}, .disagreement = disagreement});
  CHECK(disagreement[0] == 0.75F);
  CHECK(answer == std::vector{0.6F, 0.4F});
}

TEST_CASE("combine: a stacking model's input holds the members side by side, row by row", "[combine]") {
  const Case from = [] {
    Case result = values(CombineRule::mean, {{1, 2}, {}, {5, 6}});
    result.rows = 2;
    return result;
  }();
  std::vector<float> input(6);
  Combiner::stacking_input(Buffer(from).parts, 1, input);
  CHECK(std::isnan(input[1]));
  CHECK(std::isnan(input[4]));
  input[1] = input[4] = 0;
  CHECK(input == std::vector<float>{1, 0, 5, 2, 0, 6});
}

// ---- what members can do to us ----

TEST_CASE("combine: finite votes give finite answers, however large or senseless", "[combine]") {
  // Method: every rule on votes from the edges of float32, negative probabilities included.
  const std::array edges = {0.0F,     -0.0F,   1.0F,         -1.0F,         FLT_MAX,
                            -FLT_MAX, FLT_MIN, FLT_TRUE_MIN, -FLT_TRUE_MIN, 1e-30F};
  for_random_cases(60, [&](Random& random, Case from) {
    for (std::vector<float>& part : from.votes) {
      for (float& vote : part) vote = edges[below(random, edges.size())];
    }
    for (std::vector<double>& row : from.config.coefficients) {
      for (double& coefficient : row) coefficient *= kCoefficientMax / 2;
    }
    const Outcome outcome = combine(from);
    INFO(shown(from));
    const auto finite = [](float value) { return std::isfinite(value); };
    REQUIRE(std::ranges::all_of(outcome.answer, finite));
    REQUIRE(std::ranges::all_of(outcome.spread, finite));
    REQUIRE(std::ranges::all_of(outcome.disagreement, finite));
    if (from.task == Task::classification) {
      for (std::size_t row = 0; row < from.rows; ++row) {
        REQUIRE((outcome.spread[row] >= 0 && outcome.spread[row] <= 1));
        REQUIRE((outcome.disagreement[row] >= 0 && outcome.disagreement[row] <= 1));
      }
    }
  });
}

TEST_CASE("combine: what float32 cannot hold becomes its largest value", "[combine]") {
  Case from = values(CombineRule::stacking, {{FLT_MAX}, {-FLT_MAX}});
  from.config.coefficients = {{2, -2}};
  const Outcome outcome = combine(from);
  CHECK(outcome.answer[0] == FLT_MAX);
  CHECK(outcome.spread[0] == FLT_MAX);
  CHECK(outcome.disagreement[0] == FLT_MAX);
}

TEST_CASE("combine: a vote that is not finite harms the answer only", "[combine]") {
  // Goal: should a NaN slip through, sorting and ranking still end and stay in bounds (run under sanitizers).
  const std::array odd = {kNan, std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(), 0.5F};
  for_random_cases(20, [&](Random& random, Case from) {
    for (std::vector<float>& part : from.votes) {
      for (float& vote : part) vote = odd[below(random, odd.size())];
    }
    REQUIRE(combine(from).answer.size() == std::size_t{from.rows} * from.outputs);
  });
}

TEST_CASE("combine: a request costs no allocation", "[combine]") {
  for_random_cases(10, [](Random&, const Case& from) {
    Combiner combiner = make(from);
    const Buffer buffer(from);
    std::vector<float> answer(std::size_t{from.rows} * from.outputs), spread(from.rows),
        disagreement(from.rows);
    const std::size_t before = allocations;
    combiner.combine(buffer.parts, {.answer = answer, .spread = spread, .disagreement = disagreement});
    const std::size_t after = allocations;
    INFO(shown(from));
    REQUIRE(after == before);
  });
  // The counter counts: a test that cannot fail would look the same.
  const std::size_t before = allocations;
  const auto ours = std::make_unique<std::array<char, 100>>();
  const std::size_t after_ours = allocations;
  const Eigen::ArrayXd eigens(100);
  CHECK(after_ours > before);
  CHECK(allocations > after_ours);
  CHECK((ours != nullptr && eigens.size() == 100));
}

// ---- configs that cannot be combined ----

TEST_CASE("combine: a rule that cannot work is refused with a place and a hint", "[combine]") {
  struct Bad {
    CombineConfig config;
    Task task;
    std::vector<double> weights;
    std::uint32_t outputs;
    std::string where;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  const auto rule = [](CombineRule which, double trim = 0.2) {
    CombineConfig config;
    config.rule = which;
    config.trim = trim;
    return config;
  };
  const auto linear = [&](std::vector<std::vector<double>> coefficients, std::vector<double> intercept = {}) {
    CombineConfig config = rule(CombineRule::stacking);
    config.coefficients = std::move(coefficients);
    config.intercept = std::move(intercept);
    return config;
  };
  const Task sort = Task::classification;
  const Task guess = Task::regression;
  const CombineRule mean = CombineRule::mean;
  const std::vector<Bad> all = {
      {rule(mean), guess, {}, 1, "members"},
      {rule(mean), guess, std::vector<double>(kMembersMax + 1, 1.0), 1, "members"},
      {rule(mean), sort, {1}, 0, "classes"},
      {rule(mean), sort, {1}, kOutputsMax + 1, "classes"},
      {rule(mean), guess, {1}, 2, "task"},
      {rule(mean), guess, {1, -1}, 1, "member[1].weight"},
      {rule(mean), guess, {infinity, 1}, 1, "member[0].weight"},
      {rule(mean), guess, {std::nan(""), 1}, 1, "member[0].weight"},
      {rule(mean), guess, {0, 0}, 1, "member.weight"},
      {rule(CombineRule::soft_vote), guess, {1}, 1, "combine.rule"},
      {rule(CombineRule::hard_vote), guess, {1}, 1, "combine.rule"},
      {rule(CombineRule::rank_mean), guess, {1}, 1, "combine.rule"},
      {rule(CombineRule::trimmed_mean, 0.5), guess, {1}, 1, "combine.trim"},
      {rule(CombineRule::trimmed_mean, -0.1), guess, {1}, 1, "combine.trim"},
      {rule(CombineRule::trimmed_mean, std::nan("")), guess, {1}, 1, "combine.trim"},
      {linear({}), guess, {1}, 1, "combine.coefficients"},
      {linear({{1, 1}}), sort, {1}, 2, "combine.coefficients"},
      {linear({{1, 1}, {1}}), sort, {1}, 2, "combine.coefficients[1]"},
      {linear({{1, infinity}, {1, 1}}), sort, {1}, 2, "combine.coefficients[0][1]"},
      {linear({{1e101}}), guess, {1}, 1, "combine.coefficients[0][0]"},
      {linear({{1}}, {1, 2}), guess, {1}, 1, "combine.intercept"},
      {linear({{1}}, {std::nan("")}), guess, {1}, 1, "combine.intercept[0]"},
  };
  for (const Bad& bad : all) {
    INFO(bad.where);
    const Result<Combiner> combiner = Combiner::create(bad.config, bad.task, bad.weights, bad.outputs, 8);
    REQUIRE_FALSE(combiner.has_value());
    CHECK(combiner.error().code == Errc::bad_config);
    CHECK(combiner.error().where == bad.where);
    CHECK_FALSE(combiner.error().what.empty());
    CHECK_FALSE(combiner.error().hint.empty());
  }
  CHECK(Combiner::create(rule(mean), guess, {1}, 1, 0).error().where == "limits.rows");
}
