#include "tests/simulation/scenario.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace tutti::simulation {
namespace {

using namespace std::chrono_literals;

// Few, so that inputs share some.
constexpr std::uint32_t kRows = 30;
constexpr std::uint32_t kInputs = 6;
constexpr std::uint32_t kCleanRow = kRows;

template <class Item, std::size_t N>
Item pick(Random& random, const Item (&items)[N]) {
  return items[random.up_to(N - 1)];
}

EnsembleConfig config_of(Random& random) {
  EnsembleConfig config;
  config.name = "simulated";
  config.classes = {"a", "b"};
  config.features = 1;
  const auto members = static_cast<std::uint32_t>(1 + random.up_to(4));
  for (std::uint32_t i = 0; i < members; ++i) {
    config.members.push_back({.name = std::string(1, static_cast<char>('a' + i)),
                              .instances = static_cast<std::uint32_t>(1 + random.up_to(2))});
  }
  config.limits = {.in_flight = pick(random, {2U, 4U, 8U}), .rows = 8};
  config.answer = {.quorum = {},
                   .deadline = pick(random, {5ms, 20ms, 100ms}),
                   .grace = pick<Duration>(random, {10ms, 200ms, 1s, 5s}),
                   .last_resort = "",
                   .hedge = random.up_to(3) > 0,
                   .breaker = random.up_to(2) > 0};
  const bool gentle = random.up_to(2) == 0;
  config.restart = {.backoff_min = pick<Duration>(random, {1ms, 50ms}),
                    .backoff_max = pick<Duration>(random, {100ms, 1s, 30s}),
                    .budget = gentle ? 100'000U : pick(random, {1U, 5U, 20U}),
                    .window = 30s,
                    .start_timeout = pick<Duration>(random, {100ms, 2s, 30s}),
                    .rate = gentle ? 100'000U : pick(random, {1U, 4U, 100U}),
                    .violations = gentle ? 100'000U : 2U};
  return config;
}

// Phases of a pace each; some moments bring a burst.
std::vector<Stimulus> stimuli_of(const Scenario& scenario, Random& random, Time& end) {
  std::vector<Stimulus> stimuli;
  std::uint32_t isolates = 0;
  for (const MemberConfig& member : scenario.config.members) isolates += member.instances;
  const auto members = static_cast<std::uint32_t>(scenario.config.members.size());
  Time now = kBegin + 1s;
  const auto phases = 1 + random.up_to(2);
  for (std::uint64_t phase = 0; phase < phases; ++phase) {
    const Duration gap = pick<Duration>(random, {200us, 2ms, 20ms, 1s});
    const auto count = 40 + random.up_to(gap == 1s ? 260 : 160);
    for (std::uint64_t i = 0; i < count; ++i) {
      now += Duration(random.up_to(2 * static_cast<std::uint64_t>(gap.count())));
      const bool burst = random.up_to(15) == 0;
      for (std::uint64_t k = burst ? 1 + random.up_to(11) : 1; k > 0; --k) {
        const Duration deadline =
            random.up_to(9) == 0 ? 10 * scenario.config.answer.deadline : scenario.config.answer.deadline;
        stimuli.push_back({.kind = Stimulus::Kind::ask,
                           .at = now,
                           .input = static_cast<std::uint32_t>(random.up_to(kInputs - 1)),
                           .length = deadline});
      }
      const auto strike = [&](Fault fault, std::uint64_t one_in, Stimulus::Kind kind, std::uint64_t targets) {
        const bool strikes = random.up_to(one_in - 1) == 0;
        const auto target = static_cast<std::uint32_t>(random.up_to(targets - 1));
        const auto length = pick<Duration>(random, {50ms, 300ms, 2s, 20s});
        const auto later = Duration(random.up_to(5'000'000));
        if (strikes && scenario.has(fault)) {
          stimuli.push_back({.kind = kind, .at = now + later, .target = target, .length = length});
        }
      };
      strike(Fault::operator_kill, 30, Stimulus::Kind::kill, isolates);
      strike(Fault::template_crash, 60, Stimulus::Kind::kill_template, members);
      strike(Fault::idle_lie, 60, Stimulus::Kind::idle_lie, isolates);
      strike(Fault::stall, 80, Stimulus::Kind::stall, isolates);
      strike(Fault::pause, 80, Stimulus::Kind::pause, isolates);
    }
  }
  end = now;
  // Two at the same time stay in the order in which they were made.
  for (std::uint32_t made = 0; Stimulus & stimulus : stimuli) stimulus.number = made++;
  std::ranges::sort(stimuli, {},
                    [](const Stimulus& stimulus) { return std::pair(stimulus.at, stimulus.number); });
  for (std::uint32_t number = 0; number < stimuli.size(); ++number) stimuli[number].number = number;
  return stimuli;
}

}  // namespace

std::string_view name_of(Fault fault) noexcept {
  static constexpr std::array<std::string_view, kFaults> kNames{"crash_before_take",
                                                                "crash_computing",
                                                                "crash_before_publish",
                                                                "crash_after_publish",
                                                                "exits",
                                                                "out_of_memory",
                                                                "escape",
                                                                "hang",
                                                                "slow",
                                                                "lie",
                                                                "reject",
                                                                "refuse",
                                                                "poison",
                                                                "sick",
                                                                "lost_bell",
                                                                "slow_death",
                                                                "idle_lie",
                                                                "spawn_fails",
                                                                "load_fails",
                                                                "load_exits",
                                                                "load_hangs",
                                                                "late_hello",
                                                                "operator_kill",
                                                                "template_crash",
                                                                "template_no_fork",
                                                                "astray",
                                                                "stall",
                                                                "pause"};
  return kNames[static_cast<std::size_t>(fault)];
}

Random Scenario::chance(std::uint64_t purpose, std::uint64_t a, std::uint64_t b, std::uint64_t c) const {
  Random mixer(seed);
  std::uint64_t state = mixer.next();
  for (const std::uint64_t part : {purpose, a, b, c}) state = Random(state ^ (part + 1)).next();
  return Random(state);
}

const std::vector<std::uint32_t>& Scenario::rows_of(std::uint32_t input) const {
  static const std::vector<std::uint32_t> kClean{kCleanRow};
  return input == kCleanInput ? kClean : inputs[input];
}

bool Scenario::poisonous_row(std::uint32_t member, std::uint32_t row) const {
  return has(Fault::poison) && row != kCleanRow && chance(1, member, row).up_to(7) == 0;
}

bool Scenario::sick(std::uint32_t member, Time now) const {
  return has(Fault::sick) && now < faults_end && chance(2, member).up_to(1) == 0;
}

bool Scenario::astray(std::uint32_t member, Time now) const {
  return has(Fault::astray) && now < faults_end && chance(3, member).up_to(1) == 0;
}

Scenario scenario_of(std::uint64_t seed) {
  Random random(seed);
  Scenario scenario{.seed = seed, .config = config_of(random)};
  // Swarm testing (Groce and others, 2012): half of the faults are off, so that those left meet each other
  // more.
  for (bool& fault : scenario.faults) fault = random.up_to(1) == 0;
  scenario.templates = random.up_to(1) == 0;
  scenario.fault_rate = pick(random, {0.005, 0.05, 0.3});
  scenario.answer_time = pick<Duration>(random, {100us, 1ms, 4ms});
  scenario.stimuli = stimuli_of(scenario, random, scenario.faults_end);
  for (std::uint32_t input = 0; input < kInputs; ++input) {
    Random own = scenario.chance(4, input);
    const bool batch = own.up_to(2) > 0;
    std::vector<std::uint32_t> rows(batch ? 2 + own.up_to(scenario.config.limits.rows - 2) : 1);
    for (std::uint32_t& row : rows) row = static_cast<std::uint32_t>(own.up_to(kRows - 1));
    scenario.inputs.push_back(std::move(rows));
  }
  return scenario;
}

}  // namespace tutti::simulation
