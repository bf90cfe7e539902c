#include "supervisor/stress/judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "supervisor/stress/report.hpp"

namespace tutti::stress {
namespace {

using namespace std::chrono_literals;

constexpr double kRatioMax = 1.5;
constexpr Duration kRatioFloor = 1ms;  // a p99 that grew by less is no harm, whatever the ratio
constexpr Fault kCampaign{.name = "kill", .help = "SIGKILL at random moments"};

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

FaultRow new_row(const Fault& fault, const Tally& tally) {
  FaultRow row{.fault = fault,
               .noticed = {},
               .overshoot = {},
               .healed = {},
               .effects = tally.effects,
               .bystander_p99 = tally.bystanders.quantile(0.99),
               .quiet_p99 = tally.quiet.quantile(0.99),
               .left = {},
               .problems = {}};
  if (row.quiet_p99 > Duration::zero()) {
    row.p99_ratio =
        static_cast<double>(row.bystander_p99.count()) / static_cast<double>(row.quiet_p99.count());
  }
  return row;
}

void judge_latency(FaultRow& row, Duration noise) {
  const bool grew = row.p99_ratio > kRatioMax && row.bystander_p99 - row.quiet_p99 > kRatioFloor;
  if (!grew || row.bystander_p99 <= noise) return;
  row.problems.push_back(
      fmt::format("the others' p99 grew {:.1f} times, to {}", row.p99_ratio, time_text(row.bystander_p99)));
}

void judge_effects(FaultRow& row) {
  const auto tell = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) row.problems.push_back(fmt::format("{} {}", count, what));
  };
  tell(row.effects.lost, "requests were lost");
  tell(row.effects.twice, "requests were answered twice");
  tell(row.effects.wrong, "answers were wrong");
  tell(row.effects.late, "answers were late");
  tell(row.effects.failed, "requests failed");
  tell(row.effects.bystander_misses, "votes of others were missed");
  if (!row.left.empty()) row.problems.push_back("it left behind: " + row.left);
}

FaultRow row_of(const Fault& fault, std::size_t number, const std::vector<Strike>& strikes,
                const Journal& journal) {
  const Tally& tally = journal.tally(number);
  FaultRow row = new_row(fault, tally);
  std::vector<Duration> noticed;
  std::vector<Duration> healed;
  for (const Strike& strike : strikes) {
    if (strike.fault != number) continue;
    ++row.strikes;
    if (strike.noticed) noticed.push_back(*strike.noticed);
    if (strike.healed) healed.push_back(*strike.healed);
    if (!strike.problem.empty()) row.problems.push_back(fmt::format("{}: {}", strike.member, strike.problem));
    if (!strike.left.empty()) row.left = strike.left;
  }
  if (!noticed.empty()) row.noticed = median(noticed);
  if (!healed.empty()) row.healed = median(healed);
  if (fault.hangs && !tally.overshoot.empty()) row.overshoot = median(tally.overshoot);
  if (row.strikes == 0) row.problems.emplace_back("it was not struck: the run was ended");
  judge_effects(row);
  judge_latency(row, journal.quiet_p99_bound());
  return row;
}

void tell_medians(StressReport& report, const Journal& journal) {
  std::vector<Duration> noticed;
  std::vector<Duration> overshoot;
  std::vector<Duration> healed;
  for (const Strike& strike : report.strikes) {
    const Fault& fault = report.faults[strike.fault];
    const bool killed = fault.means == Fault::Means::signal && !fault.hangs;
    if (killed && strike.noticed) noticed.push_back(*strike.noticed);
    if (killed && strike.healed) healed.push_back(*strike.healed);
  }
  for (std::size_t i = 0; i < report.faults.size(); ++i) {
    const std::vector<Duration>& seen = journal.tally(i).overshoot;
    if (report.faults[i].hangs) overshoot.insert(overshoot.end(), seen.begin(), seen.end());
  }
  report.noticed_median = median(std::move(noticed));
  report.overshoot_median = median(std::move(overshoot));
  report.healed_median = median(std::move(healed));
}

void sum_up(StressReport& report, const Journal& journal) {
  report.counts = journal.counts();
  report.answers = quantiles(journal.answers());
  report.quiet = quantiles(journal.quiet());
  report.timeline = journal.timeline();
  report.slice = journal.slice();
  for (const Problem& problem : journal.problems()) {
    const std::string times = problem.times > 1 ? fmt::format(", {} times", problem.times) : "";
    report.problems.push_back(fmt::format(
        "at {:.3f} s: {}{}", std::chrono::duration<double>(problem.first).count(), problem.text, times));
  }
}

}  // namespace

void judge_faults(StressReport& report, const Journal& journal) {
  for (std::size_t i = 0; i < report.faults.size(); ++i)
    report.rows.push_back(row_of(report.faults[i], i, report.strikes, journal));
  tell_medians(report, journal);
  sum_up(report, journal);
}

void judge_campaign(StressReport& report, const Journal& journal, const Campaign::Toll& toll,
                    std::uint64_t wanted) {
  report.faults = {kCampaign};
  report.noticed_median = median(toll.noticed);
  report.healed_median = median(toll.healed);
  FaultRow row = new_row(kCampaign, journal.tally(0));
  row.strikes = toll.kills;
  row.left = report.running_difference;
  row.problems = toll.problems;
  if (!toll.noticed.empty()) row.noticed = report.noticed_median;
  if (!toll.healed.empty()) row.healed = report.healed_median;
  if (toll.kills < wanted)
    row.problems.push_back(fmt::format("{} of {} kills in the time given", toll.kills, wanted));
  judge_effects(row);
  report.rows.push_back(std::move(row));
  report.notes.push_back(fmt::format("{} of the kills struck a template", toll.template_kills));
  sum_up(report, journal);
}

bool StressReport::held() const {
  return counts.effects.none() && running_difference.empty() && before.difference(after).empty() &&
         std::ranges::all_of(rows, [](const FaultRow& row) { return row.problems.empty(); });
}

std::uint64_t StressReport::strikes_made() const {
  std::uint64_t made = 0;
  for (const FaultRow& row : rows) made += row.strikes;
  return made;
}

}  // namespace tutti::stress
