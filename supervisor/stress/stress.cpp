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
#include "supervisor/stress/judge.hpp"

namespace tutti::stress {
namespace {

using namespace std::chrono_literals;

constexpr Duration kSettle = 5s;
constexpr Duration kRetryPause = 20ms;
constexpr Duration kPause = 400us;            // of a caller where latencies are compared
constexpr Duration kPerKill = 15ms;           // about
constexpr std::uint32_t kRestartsMax = 1000;  // a second
constexpr std::uint32_t kFailuresMax = 1'000'000;

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
void relax(EnsembleConfig& config, bool campaign) {
  if (campaign) config.restart.backoff_min = 1ms;
  config.restart.backoff_max = config.restart.backoff_min;
  config.restart.budget = kFailuresMax;
  config.restart.violations = kFailuresMax;
  config.restart.rate = kRestartsMax;
  config.answer.breaker = false;
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

// Before any fault too few votes mean that the machine is busy: it is asked again for a while.
Result<void> ask_patiently(Run& run, const Input& input, Prediction& prediction,
                           const std::function<bool()>& stopped) {
  const Time until = monotonic_now() + kSettle;
  for (;;) {
    auto done = run.ensemble.predict({input.x.data(), input.rows, run.config.features}, prediction);
    if (done || done.error().code != Errc::too_few_votes || stopped()) return done;
    if (monotonic_now() < until) {
      std::this_thread::sleep_for(kRetryPause);
      continue;
    }
    return std::unexpected(
        Error{Errc::too_few_votes,
              fmt::format("the machine has no time for a stress run: for {} without any fault {}",
                          format_duration(kSettle), done.error().what),
              done.error().where, "wait until it is idle, or give more time: --set answer.deadline=1s"});
  }
}

// What the members answer while nothing is wrong; each input twice.
Result<void> learn(Run& run, const std::function<bool()>& stopped) {
  Prediction prediction;
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < run.inputs.size(); ++i) {
      const auto done = ask_patiently(run, run.inputs[i], prediction, stopped);
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

/// What a run needs while it runs.
struct Course {
  StressOptions& options;
  Run& run;
  StressReport& report;
  Time begun;
  std::shared_ptr<Journal> journal;
  std::shared_ptr<Load> load;

  Course(StressOptions& chosen, Run& running, StressReport& told, Duration length, std::size_t faults)
      : options(chosen),
        run(running),
        report(told),
        begun(monotonic_now()),
        journal(std::make_shared<Journal>(begun, length, run.config.answer.deadline,
                                          run.config.members.size(), faults)),
        load(std::make_shared<Load>(run.ensemble, run.inputs, run.checker, journal)) {}

  void stay_quiet(Duration length) const {
    const Time until = monotonic_now() + length;
    while (monotonic_now() < until && !options.stopped()) {
      options.on_progress("no fault", share(options.length));
      std::this_thread::sleep_for(20ms);
    }
  }
  [[nodiscard]] double share(Duration length) const {
    return std::min(
        1.0, std::chrono::duration<double>(monotonic_now() - begun) / std::chrono::duration<double>(length));
  }
  void finish(const Footprint& running) {
    report.running_difference = running.difference(settled(running));
    load->stop();
    report.length = monotonic_now() - begun;
  }
};

// Load and faults, until the time is over.
void strike_faults(StressOptions& options, Run& run, Schedule& schedule, EventBoard& board,
                   StressReport& report) {
  Course course(options, run, report, options.length, schedule.faults().size());
  course.load->start(options.rate, kPause, options.seed);
  course.stay_quiet(schedule.first_quiet());
  const Footprint running = Footprint::now();
  Nemesis nemesis(run.ensemble, *course.load, *course.journal, board, schedule, course.begun, running,
                  options.stopped);
  nemesis.run(course.begun + options.length, [&](const Target& target) {
    options.on_progress(fmt::format("{} {}", schedule.faults()[target.fault].name, target.member),
                        course.share(options.length));
  });
  course.finish(running);
  report.faults = schedule.faults();
  report.strikes = nemesis.strikes();
  judge_faults(report, *course.journal);
}

// Load and kills, until there were enough of them.
void run_campaign(StressOptions& options, Run& run, Campaign& campaign, StressReport& report) {
  const Duration expected = std::min(options.length, kPerKill * static_cast<std::int64_t>(options.kills));
  Course course(options, run, report, expected, 1);
  course.load->start(options.rate, Duration::zero(), options.seed);
  course.stay_quiet(500ms);
  const Footprint running = Footprint::now();
  course.journal->open_window(0);
  campaign.run(run.ensemble, *course.journal, options.kills, course.begun + options.length, options.stopped,
               [&](std::uint64_t killed) {
                 options.on_progress(fmt::format("{} of {} kills", killed, options.kills),
                                     static_cast<double>(killed) / static_cast<double>(options.kills));
               });
  course.journal->close_window();
  course.stay_quiet(500ms);
  course.finish(running);
  judge_campaign(report, *course.journal, campaign.toll(), options.kills);
}

void note(const StressOptions& options, StressReport& report, std::string text) {
  options.on_note(text);
  report.notes.push_back(std::move(text));
}

// Faults that this config or this length has no room for.
void leave_out(StressOptions& options, StressReport& report) {
  const bool second_stage =
      options.config.combine.rule == CombineRule::stacking && !options.config.combine.model.empty();
  const bool full = options.config.members.size() >= kMembersMax;
  if (!needs_stand_in(options.faults) || (!second_stage && !full)) return;
  std::erase_if(options.faults, [](const Fault& fault) { return fault.means == Fault::Means::stand_in; });
  note(options, report,
       second_stage ? "faults of a stand-in are left out: the stacking model takes no further member"
                    : "faults of a stand-in are left out: there is no room for a further member");
}

void note_left_out(const StressOptions& options, StressReport& report, const Schedule& schedule) {
  if (schedule.left_out().empty()) return;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(schedule.needed()).count();
  note(options, report,
       fmt::format("{} is too short for {}, left out; --for {}s has room for all",
                   format_duration(options.length), fmt::join(schedule.left_out(), ", "), seconds));
}

}  // namespace

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
  const bool campaign = options.kills > 0;
  StressReport report{
      .ensemble = options.config.name, .seed = options.seed, .deadline = options.config.answer.deadline};
  if (options.members.empty()) {
    for (const MemberConfig& member : options.config.members) options.members.push_back(member.name);
  }
  if (campaign) options.faults.clear();
  leave_out(options, report);
  const std::string stand_in = needs_stand_in(options.faults) ? free_name(options.config) : std::string();
  if (!stand_in.empty()) {
    const auto model = find_stand_in();
    if (!model) return std::unexpected(model.error());
    add_stand_in(options.config, stand_in, *model);
  }
  Schedule schedule(options.faults, options.members, stand_in, options.config.answer, options.length,
                    options.seed);
  note_left_out(options, report, schedule);
  if (!campaign && schedule.faults().empty()) {
    return std::unexpected(Error{Errc::bad_usage, "there is no fault to strike with", "--faults",
                                 "name some, and give them time: --faults kill,stop --for 10s"});
  }
  relax(options.config, campaign);
  report.before = Footprint::now();
  {
    // Both outlive the ensemble, whose events they get.
    EventBoard board;
    Campaign kills(options.config, options.members, options.seed);
    // Isolates are struck, and their lives counted: none may come or go for another reason.
    LaunchOptions launch{.seed = options.seed, .promotes = false};
    launch.on_event = [&](const Event& event) { campaign ? kills.on_event(event) : board.put(event); };
    auto launched = Ensemble::launch(options.config, std::move(launch));
    if (!launched) return std::unexpected(launched.error());
    Run run(options, std::move(*launched), stand_in);
    if (auto opened = options.on_ensemble(&run.ensemble); !opened) return std::unexpected(opened.error());
    if (auto learned = learn(run, options.stopped); !learned) return std::unexpected(learned.error());
    if (campaign) {
      run_campaign(options, run, kills, report);
    } else {
      strike_faults(options, run, schedule, board, report);
    }
    static_cast<void>(options.on_ensemble(nullptr));
  }
  report.interrupted = options.stopped();
  report.after = settled(report.before);
  return report;
}

}  // namespace tutti::stress
