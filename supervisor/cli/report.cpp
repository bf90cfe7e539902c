#include "supervisor/cli/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"

namespace tutti::cli {
namespace {

constexpr std::size_t kRangesShown = 10;

std::string score_text(const Score& score) {
  return score.rows() == 0 || !std::isfinite(score.value()) ? "-" : fmt::format("{:.4f}", score.value());
}

std::string latency_text(std::vector<double>& latencies, double q) {
  if (latencies.empty()) return "-";
  return format_time(Duration(static_cast<std::int64_t>(quantile(latencies, q))));
}

// 0 for one that a reload has ended.
std::uint32_t restarts_of(const EnsembleStatus& status, const std::string& name) {
  const auto member = std::ranges::find(status.members, name, &MemberStatus::name);
  return member != status.members.end() ? member->restarts : 0;
}

std::string member_table(RunReport& report) {
  const bool regression = report.config.task == Task::regression;
  std::vector<std::string> header{"member"};
  if (report.scored) header.emplace_back(regression ? "R2" : "accuracy");
  if (report.scored && regression) header.emplace_back("RMSE");
  for (const char* title : {"median", "p99", "votes", "missed", "restarts"}) header.emplace_back(title);
  std::vector<std::vector<std::string>> rows{header};
  for (MemberStatistics member : report.statistics.members()) {
    std::vector<std::string> row{member.name};
    if (report.scored) row.push_back(score_text(member.score));
    if (report.scored && regression) row.push_back(fmt::format("{:.4g}", member.score.rmse()));
    row.push_back(latency_text(member.latencies_ns, 0.5));
    row.push_back(latency_text(member.latencies_ns, 0.99));
    row.push_back(format_count(member.rows_voted));
    row.push_back(format_count(member.rows_missed));
    row.push_back(format_count(restarts_of(report.status, member.name)));
    rows.push_back(std::move(row));
  }
  std::vector<std::string> total{"ensemble"};
  if (report.scored) total.push_back(score_text(report.statistics.ensemble()));
  if (report.scored && regression)
    total.push_back(fmt::format("{:.4g}", report.statistics.ensemble().rmse()));
  rows.push_back(std::move(total));
  return format_table(rows);
}

void print_ranges(const Statistics& statistics) {
  const auto& ranges = statistics.degraded();
  for (std::size_t i = 0; i < ranges.size() && i < kRangesShown; ++i) {
    say("  rows {} to {} were answered without {}\n", ranges[i].first, ranges[i].last, ranges[i].missing);
  }
  const std::size_t left = ranges.size() - std::min(ranges.size(), kRangesShown);
  if (left > 0) say("  and {} more range{}\n", left, left == 1 ? "" : "s");
}

void print_for_people(RunReport& report) {
  const Statistics& statistics = report.statistics;
  if (statistics.rows() == 0 && report.error) return complain(*report.error);
  const double seconds = std::chrono::duration<double>(report.elapsed).count();
  const auto rate =
      static_cast<std::uint64_t>(seconds > 0 ? static_cast<double>(statistics.rows()) / seconds : 0);
  say("\n{}: {} rows in {}, {} rows/s, latencies per request\n\n{}\n", report.config.name,
      format_count(statistics.rows()), format_time(report.elapsed), format_count(rate), member_table(report));
  say("  mean disagreement {:.4f}\n", statistics.mean_disagreement());
  const std::uint64_t answered = statistics.rows() - statistics.rows_unanswered();
  say("  rows answered {} of {}; with every member {}, without some member {}\n", format_count(answered),
      format_count(statistics.rows()), format_count(statistics.rows() - statistics.rows_degraded()),
      format_count(statistics.rows_degraded() - statistics.rows_unanswered()));
  const std::uint64_t scored = statistics.ensemble().rows();
  if (report.scored && scored < answered)
    say("  scores are of the {} rows that have a true value\n", format_count(scored));
  print_ranges(statistics);
  if (report.status.isolation != IsolationLevel::full)
    say("  isolation {}; see tutti doctor\n", name_of(report.status.isolation));
  if (const std::uint64_t lost = report.status.counters.events_dropped; lost > 0)
    say("warning: {} event{} could not be written to {}\n", format_count(lost), lost == 1 ? "" : "s",
        report.config.events);
  if (report.interrupted) say("interrupted: what was in flight is complete\n");
  if (report.error) complain(*report.error);
}

nlohmann::ordered_json number(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json score_json(const Score& score, Task task) {
  nlohmann::ordered_json json{{"rows", score.rows()}};
  json[task == Task::classification ? "accuracy" : "r2"] = number(score.value());
  if (task == Task::regression) json["rmse"] = number(score.rmse());
  return json;
}

void print_json(RunReport& report) {
  const Statistics& statistics = report.statistics;
  const Task task = report.config.task;
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  for (MemberStatistics member : statistics.members()) {
    nlohmann::ordered_json json{{"name", member.name},
                                {"rows_voted", member.rows_voted},
                                {"rows_missed", member.rows_missed},
                                {"restarts", restarts_of(report.status, member.name)},
                                {"requests", member.latencies_ns.size()},
                                {"latency_median_ns", quantile(member.latencies_ns, 0.5)},
                                {"latency_p99_ns", quantile(member.latencies_ns, 0.99)},
                                {"compute_ns", member.compute_ns}};
    if (report.scored) json["score"] = score_json(member.score, task);
    members.push_back(std::move(json));
  }
  nlohmann::ordered_json degraded = nlohmann::ordered_json::array();
  for (const DegradedRange& range : statistics.degraded()) {
    degraded.push_back({{"first_row", range.first}, {"last_row", range.last}, {"missing", range.missing}});
  }
  nlohmann::ordered_json json{{"ensemble", report.config.name},
                              {"rows", statistics.rows()},
                              {"rows_unanswered", statistics.rows_unanswered()},
                              {"rows_degraded", statistics.rows_degraded()},
                              {"elapsed_ns", report.elapsed.count()},
                              {"mean_disagreement", number(statistics.mean_disagreement())},
                              {"interrupted", report.interrupted},
                              {"events_dropped", report.status.counters.events_dropped},
                              {"isolation", name_of(report.status.isolation)},
                              {"members", members},
                              {"degraded", degraded}};
  if (report.scored) json["score"] = score_json(statistics.ensemble(), task);
  if (report.error) json["error"] = to_json(*report.error);
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

void report(RunReport report) {
  print_for_people(report);
  if (report.json) print_json(report);
}

}  // namespace tutti::cli
