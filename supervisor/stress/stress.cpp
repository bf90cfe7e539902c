#include "supervisor/stress/stress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <memory>
#include <thread>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti::stress {
namespace {

using namespace std::chrono_literals;

constexpr double kRatioMax = 1.5;
constexpr Duration kRatioFloor = 1ms;  // a p99 that grew by less is no harm, whatever the ratio
constexpr Duration kSettle = 5s;
constexpr std::uint32_t kRestartsMax = 1000;

bool needs_stand_in(const std::vector<Fault>& faults) {
  return std::ranges::any_of(faults,
                             [](const Fault& fault) { return fault.means == Fault::Means::stand_in; });
}

std::string free_name(const EnsembleConfig& config) {
  std::string name = "stand-in";
  while (std::ranges::find(config.members, name, &MemberConfig::name) != config.members.end()) name += "-x";
  return name;
}

void add_stand_in(EnsembleConfig& config, const std::string& name, const std::string& model) {
  const auto members = static_cast<std::uint32_t>(config.members.size());
  config.answer.quorum = {.kind = Quorum::Kind::count, .count = config.answer.quorum.of(members)};
  config.members.push_back({.name = name, .model = model, .kind = "plugin"});
  // A linear stacking model has learned nothing of it.
  for (auto& row : config.combine.coefficients) row.resize(row.size() + config.outputs(), 0.0);
}

// Faults come faster here than anywhere else: what holds a member back that fails again and again would hold
// back the next strike.
void relax(EnsembleConfig& config) {
  config.restart.budget = kRestartsMax;
  config.restart.violations = kRestartsMax;
  config.restart.rate = kRestartsMax;
  config.restart.backoff_max = config.restart.backoff_min;
  config.answer.breaker = false;
}

Duration median(std::vector<Duration> values) {
  if (values.empty()) return {};
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

Quantiles quantiles(const Histogram& histogram) {
  return {.count = histogram.total(),
          .p50 = histogram.quantile(0.5),
          .p99 = histogram.quantile(0.99),
          .p999 = histogram.quantile(0.999)};
}

/// Everything that a run holds, in the order in which it is built.
struct Run {
  Run(const StressOptions& options, Ensemble&& launched, std::string stand_in_name)
      : config(launched.config()),
        inputs(make_inputs(config, options.seed)),
        stand_in(std::move(stand_in_name)),
        checker(config, trusted(), inputs.size()),
        ensemble(std::move(launched)) {}

  [[nodiscard]] std::vector<bool> trusted() const {
    std::vector<bool> members;
    for (const MemberConfig& member : config.members) members.push_back(member.name != stand_in);
    return members;
  }

  EnsembleConfig config;
  std::vector<Input> inputs;
  std::string stand_in;  // "" if there is none
  Checker checker;
  Ensemble ensemble;
};

// What the members answer while nothing is wrong; each input twice.
Result<void> learn(Run& run) {
  Prediction prediction;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < run.inputs.size(); ++i) {
      const Input& input = run.inputs[i];
      const auto done = run.ensemble.predict({input.x.data(), input.rows, run.config.features}, prediction);
      if (!done) return done;
      run.checker.learn(i, prediction);
    }
  }
  return {};
}

// What is freed a moment after its cause (a thread that ends, a child that is reaped) has until kSettle.
Footprint settled(const Footprint& wanted) {
  const Time until = monotonic_now() + kSettle;
  Footprint footprint = Footprint::now();
  while (!wanted.difference(footprint).empty() && monotonic_now() < until) {
    std::this_thread::sleep_for(20ms);
    footprint = Footprint::now();
  }
  return footprint;
}

FaultRow row_of(const Fault& fault, std::size_t number, const std::vector<Strike>& strikes,
                const Journal& journal, Duration quiet_p99) {
  FaultRow row{.fault = fault, .problems = {}};
  std::vector<Duration> noticed;
  std::vector<Duration> healed;
  std::vector<Duration> overshoot;
  Histogram bystanders;
  for (const Strike& strike : strikes) {
    if (strike.fault != number) continue;
    ++row.strikes;
    if (strike.noticed) noticed.push_back(*strike.noticed);
    if (strike.healed) healed.push_back(*strike.healed);
    if (!strike.problem.empty()) row.problems.push_back(fmt::format("{}: {}", strike.member, strike.problem));
    const Window& window = journal.window(strike.window);
    row.bystander_misses += window.bystander_misses;
    bystanders.add(window.bystanders);
    if (fault.hangs) overshoot.insert(overshoot.end(), window.overshoot.begin(), window.overshoot.end());
  }
  if (!noticed.empty()) row.noticed = median(noticed);
  if (!healed.empty()) row.healed = median(healed);
  if (!overshoot.empty()) row.overshoot = median(overshoot);
  row.bystander_p99 = bystanders.quantile(0.99);
  if (quiet_p99 > Duration::zero() && bystanders.total() > 0) {
    row.p99_ratio = static_cast<double>(row.bystander_p99.count()) / static_cast<double>(quiet_p99.count());
  }
  if (row.strikes == 0) row.problems.emplace_back("it was not struck: the run was too short");
  if (row.bystander_misses > 0)
    row.problems.push_back(fmt::format("{} votes of others were missed", row.bystander_misses));
  if (row.p99_ratio > kRatioMax && row.bystander_p99 - quiet_p99 > kRatioFloor) {
    row.problems.push_back(fmt::format("the others' p99 grew {:.1f} times", row.p99_ratio));
  }
  return row;
}

void sum_up(StressReport& report, const Journal& journal) {
  report.counts = journal.counts();
  report.answers = quantiles(journal.answers());
  report.quiet = quantiles(journal.quiet());
  report.timeline = journal.timeline();
  report.slice = journal.slice();
  std::vector<Duration> noticed;
  std::vector<Duration> overshoot;
  std::vector<Duration> healed;
  for (std::size_t i = 0; i < report.faults.size(); ++i) {
    const Fault& fault = report.faults[i];
    report.rows.push_back(row_of(fault, i, report.strikes, journal, report.quiet.p99));
    for (const Strike& strike : report.strikes) {
      if (strike.fault != i) continue;
      const bool killed = fault.means == Fault::Means::signal && !fault.hangs;
      if (killed && strike.noticed) noticed.push_back(*strike.noticed);
      if (killed && strike.healed) healed.push_back(*strike.healed);
      const Window& window = journal.window(strike.window);
      if (fault.hangs) overshoot.insert(overshoot.end(), window.overshoot.begin(), window.overshoot.end());
    }
  }
  report.noticed_median = median(noticed);
  report.overshoot_median = median(overshoot);
  report.healed_median = median(healed);
  for (const Problem& problem : journal.problems()) {
    const std::string times = problem.times > 1 ? fmt::format(", {} times", problem.times) : "";
    report.problems.push_back(fmt::format(
        "at {:.3f} s: {}{}", std::chrono::duration<double>(problem.first).count(), problem.text, times));
  }
}

// Load and faults, until the time is over.
void drive(StressOptions& options, Run& run, EventBoard& board, StressReport& report) {
  const Time begun = monotonic_now();
  const Time until = begun + options.length;
  const auto journal = std::make_shared<Journal>(begun, options.length, run.config.answer.deadline);
  const auto load = std::make_shared<Load>(run.ensemble, run.inputs, run.checker, journal);
  load->start(options.rate, options.seed);
  const auto share = [&] {
    return std::min(1.0, std::chrono::duration<double>(monotonic_now() - begun) /
                             std::chrono::duration<double>(options.length));
  };
  // The first quiet stretch: a tenth of the run, and within reason.
  const Time first = begun + std::clamp<Duration>(options.length / 10, 500ms, 5s);
  while (monotonic_now() < first && !options.stopped()) {
    options.on_progress("no fault", share());
    std::this_thread::sleep_for(50ms);
  }
  const Footprint running = Footprint::now();
  Nemesis nemesis(run.ensemble, *load, *journal, board, options.faults, options.members, run.stand_in, begun,
                  options.seed, options.stopped);
  nemesis.run(until, [&](const Fault& fault, const std::string& member) {
    options.on_progress(fmt::format("{} {}", fault.name, member), share());
  });
  report.running_difference = running.difference(settled(running));
  load->stop();
  report.strikes = nemesis.strikes();
  report.length = monotonic_now() - begun;
  sum_up(report, *journal);
}

}  // namespace

bool StressReport::held() const {
  const Counts& c = counts;
  const bool answers_right = c.failed + c.late + c.wrong + c.twice + c.lost + c.bystander_misses == 0;
  return answers_right && running_difference.empty() && before.difference(after).empty() &&
         std::ranges::all_of(rows, [](const FaultRow& row) { return row.problems.empty(); });
}

Result<std::string> find_stand_in() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  const std::string program(path.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::string folder = program.substr(0, program.rfind('/'));
  std::string places;
  for (const std::string& place :
       {folder + "/tutti-hostile.so", folder + "/../" TUTTI_LIBRARIES "/tutti/tutti-hostile.so"}) {
    if (::access(place.c_str(), R_OK) == 0) return place;
    places += (places.empty() ? "" : " and ") + place;
  }
  return std::unexpected(Error{Errc::system, "tutti-hostile.so was not found", places,
                               "reinstall tutti, or leave out the faults that need a stand-in"});
}

Result<StressReport> run_stress(StressOptions options) {
  StressReport report{
      .ensemble = options.config.name, .seed = options.seed, .deadline = options.config.answer.deadline};
  std::string stand_in;
  if (options.members.empty()) {
    for (const MemberConfig& member : options.config.members) options.members.push_back(member.name);
  }
  const bool second_stage =
      options.config.combine.rule == CombineRule::stacking && !options.config.combine.model.empty();
  if ((second_stage || options.config.members.size() >= kMembersMax) && needs_stand_in(options.faults)) {
    std::erase_if(options.faults, [](const Fault& fault) { return fault.means == Fault::Means::stand_in; });
    report.notes.emplace_back(
        second_stage ? "faults of a stand-in were left out: the stacking model takes no further member"
                     : "faults of a stand-in were left out: there is no room for a further member");
  }
  if (needs_stand_in(options.faults)) {
    const auto model = find_stand_in();
    if (!model) return std::unexpected(model.error());
    stand_in = free_name(options.config);
    add_stand_in(options.config, stand_in, *model);
  }
  if (options.faults.empty()) {
    return std::unexpected(Error{Errc::bad_usage, "there is no fault to strike with", "--faults",
                                 "name some: --faults kill,stop"});
  }
  relax(options.config);
  report.faults = options.faults;
  report.before = Footprint::now();
  {
    // Outlives the ensemble, whose events it gets.
    EventBoard board;
    LaunchOptions launch{.seed = options.seed};
    launch.on_event = [&board](const Event& event) { board.put(event); };
    auto launched = Ensemble::launch(options.config, std::move(launch));
    if (!launched) return std::unexpected(launched.error());
    Run run(options, std::move(*launched), stand_in);
    if (auto opened = options.on_ensemble(&run.ensemble); !opened) return std::unexpected(opened.error());
    if (auto learned = learn(run); !learned) return std::unexpected(learned.error());
    drive(options, run, board, report);
    static_cast<void>(options.on_ensemble(nullptr));
  }
  report.interrupted = options.stopped();
  report.after = settled(report.before);
  return report;
}

}  // namespace tutti::stress
