// tutti bench: what this machine makes of a benchmark that readers know, beside the peer that they know it
// from.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/guide/guide.hpp"

namespace tutti::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint32_t kIterations = 1000;
constexpr std::uint32_t kRounds = 3;

double median(std::vector<double> times) {
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

/// The median of the rounds, each part for itself.
GuideTimes median_of(const GuideReport& report, const std::function<GuideTimes(const GuideRound&)>& pick) {
  GuideTimes middle;
  for (double GuideTimes::* const part :
       {&GuideTimes::generator, &GuideTimes::product, &GuideTimes::together}) {
    std::vector<double> times;
    for (const GuideRound& round : report.rounds) times.push_back(pick(round).*part);
    middle.*part = median(std::move(times));
  }
  return middle;
}

std::string text_of(double nanoseconds) {
  return format_time(std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds)));
}

Json to_json(const GuideTimes& times) {
  return {{"generator_ns", times.generator}, {"product_ns", times.product}, {"together_ns", times.together}};
}

struct Column {
  std::string name;
  std::function<GuideTimes(const GuideRound&)> pick;
};

std::vector<Column> columns_of(const GuideReport& report) {
  std::vector<Column> columns{{"tutti float64", [](const GuideRound& round) { return round.doubles; }},
                              {"tutti float32", [](const GuideRound& round) { return round.floats; }}};
  // One round without numpy leaves nothing to compare with in turn.
  if (std::ranges::all_of(report.rounds, [](const GuideRound& round) { return round.numpy.has_value(); }))
    columns.push_back({fmt::format("numpy {}", report.numpy_version),
                       [](const GuideRound& round) { return round.numpy.value_or(GuideTimes{}); }});
  return columns;
}

void print_for_people(const GuideReport& report, const std::vector<Column>& columns) {
  fmt::print("data = random(100, 784); result = data @ random(784, 10): {} times, {} times over\n",
             kIterations, kRounds);
  fmt::print("one thread, {}; the time of one iteration\n\n", report.instruction_set);
  std::vector<std::vector<std::string>> rows{{""}};
  for (const Column& column : columns) rows[0].push_back(column.name);
  const auto add = [&](std::string name, double GuideTimes::* part, const GuideRound* round) {
    std::vector<std::string> row{std::move(name)};
    for (const Column& column : columns)
      row.push_back(text_of((round ? column.pick(*round) : median_of(report, column.pick)).*part));
    rows.push_back(std::move(row));
  };
  for (std::size_t round = 0; round < report.rounds.size(); ++round)
    add(fmt::format("round {}", round + 1), &GuideTimes::together, &report.rounds[round]);
  add("median", &GuideTimes::together, nullptr);
  add("random numbers alone", &GuideTimes::generator, nullptr);
  add("product alone", &GuideTimes::product, nullptr);
  fmt::print("{}", format_table(rows));
  if (columns.size() < 3) {
    fmt::print("\nno numpy to compare with: install python3-numpy\n");
    return;
  }
  const GuideTimes numpy = median_of(report, columns[2].pick);
  const GuideTimes doubles = median_of(report, columns[0].pick);
  fmt::print(
      "\nnumpy takes {:.1f} times as long as tutti with the same float64; {:.0f} % of its time are the "
      "random numbers\n",
      numpy.together / doubles.together, 100 * numpy.generator / (numpy.generator + numpy.product));
}

void print_json(const GuideReport& report, const std::vector<Column>& columns) {
  Json medians = Json::object();
  for (const Column& column : columns) medians[column.name] = to_json(median_of(report, column.pick));
  Json rounds = Json::array();
  for (const GuideRound& round : report.rounds) {
    Json one = Json::object();
    for (const Column& column : columns) one[column.name] = to_json(column.pick(round));
    rounds.push_back(std::move(one));
  }
  fmt::print("{}\n", Json{{"iterations", kIterations},
                          {"instruction_set", report.instruction_set},
                          {"medians", medians},
                          {"rounds", rounds}}
                         .dump(2));
}

}  // namespace

int bench_guide(bool json) {
  ProgressBar bar("bench");
  const GuideReport report =
      run_guide(kIterations, kRounds, [&](std::uint32_t done) { bar.update(done, kRounds, "rounds"); });
  bar.clear();
  const std::vector<Column> columns = columns_of(report);
  if (json) {
    print_json(report, columns);
  } else {
    print_for_people(report, columns);
  }
  return kOk;
}

}  // namespace tutti::cli
