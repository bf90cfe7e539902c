#include "supervisor/stress/stress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>

#include "shared/suggest.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/interrupt.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/stress/report.hpp"

namespace tutti::cli {
namespace {

int list_faults() {
  std::string text;
  for (const stress::Fault& fault : stress::all_faults()) {
    const bool outside = fault.means == stress::Fault::Means::signal;
    text += fmt::format("{:<18}{}{}\n", fault.name, fault.help, outside ? "" : " (a stand-in)");
  }
  fmt::print("{}", text);
  return kOk;
}

int fail(const Error& error) {
  complain(error);
  return error.code == Errc::bad_usage || error.code == Errc::bad_config ? kUsage : kFailed;
}

Result<std::vector<std::string>> members_of(const std::string& text, const EnsembleConfig& config) {
  std::vector<std::string> names;
  for (const MemberConfig& member : config.members) names.push_back(member.name);
  std::vector<std::string> chosen;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    chosen.push_back(text.substr(at, end - at));
    at = end + 1;
    if (std::ranges::find(names, chosen.back()) != names.end()) continue;
    std::string hint = did_you_mean(chosen.back(), names);
    if (hint.empty()) hint = fmt::format("the members are {}", fmt::join(names, ", "));
    return std::unexpected(
        Error{Errc::bad_usage, fmt::format("no member is called '{}'", chosen.back()), "--members", hint});
  }
  return chosen;
}

std::string verdict_of(const stress::FaultRow& row) { return row.problems.empty() ? "held" : "BROKEN"; }

void print_table(const stress::StressReport& report) {
  std::vector<std::vector<std::string>> rows{{"fault", "strikes", "noticed", "past deadline", "votes again",
                                              "answers", "others missed", "others' p99", "of quiet",
                                              "verdict"}};
  for (const stress::FaultRow& row : report.rows) {
    rows.push_back({std::string(row.fault.name), format_count(row.strikes), stress::time_text(row.noticed),
                    stress::time_text(row.overshoot), stress::time_text(row.healed),
                    stress::answers_text(row.effects), format_count(row.effects.bystander_misses),
                    format_time(row.bystander_p99), fmt::format("{:.2f}x", row.p99_ratio), verdict_of(row)});
  }
  say("{}\n", format_table(rows));
}

std::string left_text(const stress::StressReport& report) {
  const std::string left = report.before.difference(report.after);
  if (left.empty() && report.running_difference.empty())
    return "nothing: descriptors, threads, memory regions, processes, sockets as before";
  return fmt::format("at the end: {}; while it ran: {}", left.empty() ? "nothing" : left,
                     report.running_difference.empty() ? "nothing" : report.running_difference);
}

void print_for_people(const stress::StressReport& report) {
  const stress::Counts& counts = report.counts;
  const stress::Effects& broken = counts.effects;
  say("\n{}: {} strikes in {}, seed {}\n\n", report.ensemble, format_count(report.strikes_made()),
      format_time(report.length), report.seed);
  print_table(report);
  say("  requests   {} sent, {} answered, {} with too few votes, {} refused at once\n",
      format_count(counts.sent), format_count(counts.answered), format_count(counts.unanswered),
      format_count(counts.refused));
  say("  broken     {} lost, {} answered twice, {} wrong, {} late, {} failed, {} votes of others missed\n",
      broken.lost, broken.twice, broken.wrong, broken.late, broken.failed, broken.bystander_misses);
  if (report.noticed_median > Duration::zero())
    say("  a death    noticed in {}, votes again {} after that (medians)\n",
        format_time(report.noticed_median), format_time(report.healed_median));
  if (report.overshoot_median > Duration::zero())
    say("  a hang     answered without it {} past the deadline (median)\n",
        format_time(report.overshoot_median));
  say("  votes      median {}, p99 {} while nothing is struck\n", format_time(report.quiet.p50),
      format_time(report.quiet.p99));
  say("  left       {}\n", left_text(report));
  for (const stress::FaultRow& row : report.rows) {
    for (std::size_t i = 0; i < row.problems.size() && i < 3; ++i)
      say("  {}: {}\n", row.fault.name, row.problems[i]);
  }
  for (const std::string& problem : report.problems) say("  {}\n", problem);
  for (const std::string& note : report.notes) say("  note: {}\n", note);
  say("\n{}\n", report.held() ? "everything held" : "not everything held");
}

Result<void> write_report(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr)
    return std::unexpected(system_error("opening the report", errno, path, "is there such a folder?"));
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const int error_number = errno;
  if (std::fclose(file) == 0 && written) return {};
  return std::unexpected(
      system_error("writing the report", written ? errno : error_number, path, "is the disk full?"));
}

}  // namespace

int stress(const StressCommand& command) {
  if (command.faults == "list") return list_faults();
  if (command.kills > 0 && !command.faults.empty()) {
    return fail({Errc::bad_usage, "--kills and --faults exclude each other", "tutti stress",
                 "--kills 10000 kills at random moments and nothing else"});
  }
  if (std::isnan(command.rate)) {  // which no range refuses
    return fail({Errc::bad_usage, "'nan' is no number of requests a second", "--rate", "0 to 1000000"});
  }
  const auto faults = stress::parse_faults(command.faults.empty() ? "all" : command.faults);
  if (!faults) return fail(faults.error());
  // A campaign ends when it has killed enough.
  const std::string unlimited = command.kills > 0 ? "24h" : "60s";
  const auto length = parse_duration(command.length.empty() ? unlimited : command.length);
  if (!length || *length < std::chrono::seconds(1)) {
    return fail({Errc::bad_usage, fmt::format("'{}' is no length of a run", command.length), "--for",
                 "write a duration of a second or more: 60s, 5m"});
  }
  auto config = load_or_explain(command.config, command.json);
  if (!config) return kUsage;
  const auto members = members_of(command.members, *config);
  if (!members) return fail(members.error());
  // What the faults make the workers say is expected.
  config->log_level = LogLevel::off;
  if (command.watch.events) config->events = *command.watch.events;
  if (config->events == "-" && command.json) {
    return fail({Errc::bad_usage, "--events - and --json both want standard output", "tutti stress",
                 "write one of them to a file"});
  }
  handle_signals();
  ProgressBar bar(config->name);
  std::optional<WatchedSocket> socket;
  const std::uint64_t seed = command.seed != 0 ? command.seed : std::random_device{}();
  auto report = stress::run_stress(
      {.config = *config,
       .faults = *faults,
       .kills = command.kills,
       .members = *members,
       .length = *length,
       .rate = command.rate,
       .seed = seed,
       .stopped = [] { return interrupted() != 0; },
       .on_ensemble = [&](Ensemble* ensemble) -> Result<void> {
         socket.reset();
         if (ensemble == nullptr) return {};
         auto opened = open_status_socket(*ensemble, command.watch);
         if (!opened) return std::unexpected(opened.error());
         if (*opened) socket.emplace(std::move(**opened));
         return {};
       },
       .on_progress = [&](std::string_view doing, double share) { bar.update_share(share, doing); },
       .on_note = [](std::string_view note) { say("note: {}\n", note); }});
  bar.clear();
  if (!report) return fail(report.error());
  const stress::Machine machine = stress::Machine::here();
  print_for_people(*report);
  if (command.json) fmt::print("{}", stress::to_json(*report, machine));
  if (!command.report.empty()) {
    if (auto written = write_report(command.report, stress::to_html(*report, machine)); !written)
      return fail(written.error());
  }
  if (interrupted() != 0) return 128 + interrupted();
  return report->held() ? kOk : kFailed;
}

}  // namespace tutti::cli
