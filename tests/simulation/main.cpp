// tutti-simulation: the core under a virtual clock, with workers that do everything that workers do.
//
//   tutti-simulation --seeds 300         seeds 1 to 300; a failure is made small and told; then the coverage
//   tutti-simulation --seed 17 --verbose one seed, every event told
//   tutti-simulation --bugs              each seeded bug in turn must be found
//   tutti-simulation --bug 4             that bug is in: seeds until it is found (or --seeds are through)
//
// Exit: 0 nothing was found (with --bugs: all were), 1 otherwise, 2 bad usage.
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string_view>

#include "supervisor/core/seeded_bug.hpp"
#include "tests/simulation/world.hpp"

namespace tutti::simulation {
namespace {

constexpr int kBugs = 36;
// The rarest of them needs some thousand seeds.
constexpr std::uint64_t kSeedsForABug = 20'000;

struct Options {
  std::uint64_t seeds = 300;
  std::optional<std::uint64_t> seed;
  int bug = 0;
  bool bugs = false;
  bool verbose = false;
};

volatile std::uint64_t running_seed = 0;

// An assertion of the core failed: the seed must not be lost with it.
void on_abort(int /*signal*/) {
  char text[64] = "an assertion failed; replay it with --seed ";
  std::size_t at = 43;
  char digits[20];
  std::size_t count = 0;
  for (std::uint64_t rest = running_seed; rest > 0 || count == 0; rest /= 10) {
    digits[count++] = static_cast<char>('0' + rest % 10);
  }
  while (count > 0) text[at++] = digits[--count];
  text[at++] = '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, at);
}

Verdict play(const Scenario& scenario, const std::vector<bool>& dropped, Coverage& coverage, bool verbose) {
  running_seed = scenario.seed;
  return World(scenario, dropped, coverage, verbose).run();
}

// Leaves out what the same failure does not need: halves first, then quarters, down to single stimuli.
std::vector<bool> minimise(const Scenario& scenario, const std::string& broken) {
  Coverage unused;
  std::vector<bool> dropped(scenario.stimuli.size(), false);
  for (std::size_t chunk = dropped.size(); chunk > 0; chunk /= 2) {
    for (std::size_t begin = 0; begin < dropped.size(); begin += chunk) {
      std::vector<bool> fewer = dropped;
      for (std::size_t i = begin; i < std::min(begin + chunk, fewer.size()); ++i) fewer[i] = true;
      if (fewer != dropped && play(scenario, fewer, unused, false).broken == broken) dropped = fewer;
    }
  }
  return dropped;
}

void tell(const Scenario& scenario, const Verdict& verdict) {
  fmt::print("seed {}: {}\n", scenario.seed, verdict.broken);
  const std::vector<bool> dropped = minimise(scenario, verdict.broken);
  const auto left = std::count(dropped.begin(), dropped.end(), false);
  fmt::print("{} of {} stimuli are needed:\n", left, dropped.size());
  Coverage unused;
  play(scenario, dropped, unused, true);
}

/// Runs seeds until one fails. Returns true if none did.
bool run_seeds(const Options& options) {
  Coverage coverage;
  const auto begun = std::chrono::steady_clock::now();
  Duration simulated{};
  std::uint64_t events = 0;
  Counters hunted;
  for (std::uint64_t seed = 1; seed <= options.seeds; ++seed) {
    const Scenario scenario = scenario_of(seed);
    const std::vector<bool> nothing(scenario.stimuli.size(), false);
    const Verdict verdict = play(scenario, nothing, coverage, false);
    simulated += verdict.simulated;
    events += verdict.events;
    hunted.hunts += verdict.counters.hunts;
    hunted.hunts_given_up += verdict.counters.hunts_given_up;
    hunted.probes += verdict.counters.probes;
    hunted.rows_quarantined += verdict.counters.rows_quarantined;
    if (!verdict.broken.empty()) {
      tell(scenario, verdict);
      return false;
    }
    if (seed % 16 != 0) continue;
    Coverage unused;
    if (play(scenario, nothing, unused, false).hash != verdict.hash) {
      fmt::print("seed {} does not replay: the core depends on more than its events\n", seed);
      return false;
    }
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double seconds = std::chrono::duration<double>(simulated).count();
  fmt::print("{}\n{} seeds, {} events, {:.0f} s simulated in {:.1f} s: {:.0f} times real time\n",
             coverage.text(), options.seeds, events, seconds, took, seconds / took);
  fmt::print("{} hunts, {} given up, {} probes, {} rows found\n", hunted.hunts, hunted.hunts_given_up,
             hunted.probes, hunted.rows_quarantined);
  if (coverage.empty() > 0) fmt::print("{} cells of the matrix are empty\n", coverage.empty());
  return coverage.empty() == 0;
}

// In a process of its own: a bug may well break one of the core's assertions, which finds it too.
bool finds(int bug, std::uint64_t seeds) {
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGABRT, SIG_DFL);
    if (std::freopen("/dev/null", "w", stdout) == nullptr ||
        std::freopen("/dev/null", "w", stderr) == nullptr) {
      ::_exit(0);
    }
    seeded_bug = bug;
    Coverage unused;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      const Scenario scenario = scenario_of(seed);
      const std::vector<bool> nothing(scenario.stimuli.size(), false);
      if (!play(scenario, nothing, unused, false).broken.empty()) ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

bool run_bugs() {
  if (finds(0, 300)) {
    fmt::print("a rule is broken without any bug: see --seeds 300\n");
    return false;
  }
  int found = 0;
  for (int bug = 1; bug <= kBugs; ++bug) {
    const auto begun = std::chrono::steady_clock::now();
    const bool seen = finds(bug, kSeedsForABug);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    fmt::print("bug {:2}: {} in {:.2f} s\n", bug, seen ? "found" : "NOT FOUND", took);
    found += seen ? 1 : 0;
  }
  fmt::print("{} of {} seeded bugs were found\n", found, kBugs);
  return found == kBugs;
}

std::optional<Options> read_options(int count, char** values) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = values[i];
    if (word == "--verbose") {
      options.verbose = true;
    } else if (word == "--bugs") {
      options.bugs = true;
    } else if ((word == "--seeds" || word == "--seed" || word == "--bug") && i + 1 < count) {
      const std::string_view text = values[++i];
      std::uint64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
      if (word == "--seeds") options.seeds = number;
      if (word == "--seed") options.seed = number;
      if (word == "--bug") options.bug = static_cast<int>(number);
    } else {
      return std::nullopt;
    }
  }
  return options;
}

int run(const Options& options) {
  ::signal(SIGABRT, on_abort);
  if (options.bugs) return run_bugs() ? 0 : 1;
  seeded_bug = options.bug;
  if (!options.seed) return run_seeds(options) ? 0 : 1;
  const Scenario scenario = scenario_of(*options.seed);
  Coverage coverage;
  const std::vector<bool> nothing(scenario.stimuli.size(), false);
  const Verdict verdict = play(scenario, nothing, coverage, options.verbose);
  if (verdict.broken.empty()) {
    fmt::print("seed {}: {} events, nothing was broken\n", *options.seed, verdict.events);
    return 0;
  }
  fmt::print("seed {}: {}\n", *options.seed, verdict.broken);
  if (!options.verbose) tell(scenario, verdict);
  return 1;
}

}  // namespace
}  // namespace tutti::simulation

int main(int count, char** values) {
  const auto options = tutti::simulation::read_options(count, values);
  if (!options) {
    fmt::print(stderr, "usage: tutti-simulation [--seeds N] [--seed N] [--verbose] [--bugs] [--bug N]\n");
    return 2;
  }
  return tutti::simulation::run(*options);
}
