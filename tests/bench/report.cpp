#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench.hpp"

namespace tutti::bench {
namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string short_number(double value) {
  if (std::isnan(value)) return "-";
  const double size = std::fabs(value);
  if (size != 0 && size < 0.01) return fmt::format("{:.4f}", value);
  if (size < 10) return fmt::format("{:.2f}", value);
  if (size < 100) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

// Nanoseconds in the unit that people read.
std::string with_unit(double value, const std::string& unit) {
  if (unit != "ns") return unit.empty() ? short_number(value) : short_number(value) + " " + unit;
  if (value >= 1e9) return short_number(value / 1e9) + " s";
  if (value >= 1e6) return short_number(value / 1e6) + " ms";
  return value >= 1e4 ? short_number(value / 1e3) + " us" : short_number(value) + " ns";
}

bool met(const Figure& figure) {
  const double value = figure.ratio.empty() ? figure.value.median() : figure.ratio.median();
  return figure.goal->kind == Goal::Kind::at_most ? value <= figure.goal->bound : value >= figure.goal->bound;
}

std::string describe_goal(const Goal& goal) {
  return fmt::format("{} {}", goal.kind == Goal::Kind::at_most ? "<=" : ">=", short_number(goal.bound));
}

nlohmann::ordered_json samples_json(const Samples& samples) {
  return {{"median", samples.median()},
          {"quartile_1", samples.quantile(0.25)},
          {"quartile_3", samples.quantile(0.75)},
          {"samples", samples.size()}};
}

}  // namespace

double Samples::quantile(double q) const {
  if (values_.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted = values_;
  std::ranges::sort(sorted);
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(place);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (place - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

void Report::section(std::string_view name, std::string_view title) {
  sections_.push_back({.name = std::string(name), .title = std::string(title), .lines = {}});
  fmt::print("\n{}: {}\n", name, title);
  fmt::print("  {:<46} {:>11} {:>24}   {:>9} {:>16} {:<16} {}\n", "", "median", "quartiles", "ratio",
             "quartiles", "to", "goal");
}

void Report::add(Figure figure) {
  const auto range = [&](const Samples& samples, const std::string& unit) {
    if (samples.size() < 2) return std::string();
    return with_unit(samples.quantile(0.25), unit) + " - " + with_unit(samples.quantile(0.75), unit);
  };
  const std::string ratio = figure.ratio.empty() ? "" : short_number(figure.ratio.median()) + "x";
  const std::string goal =
      figure.goal ? fmt::format("{} {}", describe_goal(*figure.goal), met(figure) ? "met" : "MISSED") : "";
  fmt::print("  {:<46} {:>11} {:>24}   {:>9} {:>16} {:<16} {}{}\n", figure.name,
             with_unit(figure.value.median(), figure.unit), range(figure.value, figure.unit), ratio,
             range(figure.ratio, ""), figure.against, goal,
             figure.note.empty() ? "" : (goal.empty() ? "" : "; ") + figure.note);
  std::fflush(stdout);
  sections_.back().lines.push_back({.figure = std::move(figure), .skipped = {}});
}

void Report::skip(std::string_view name, std::string_view reason) {
  fmt::print("  {:<46} skipped: {}\n", name, reason);
  std::fflush(stdout);
  Line line;
  line.figure.name = name;
  line.skipped = reason;
  sections_.back().lines.push_back(std::move(line));
}

std::string Report::json(const Options& options) const {
  utsname system{};
  ::uname(&system);
  nlohmann::ordered_json cases = nlohmann::ordered_json::array();
  for (const Section& section : sections_) {
    nlohmann::ordered_json results = nlohmann::ordered_json::array();
    for (const auto& [figure, skipped] : section.lines) {
      nlohmann::ordered_json result{{"name", figure.name}};
      if (!skipped.empty()) {
        result["skipped"] = skipped;
        results.push_back(std::move(result));
        continue;
      }
      result["unit"] = figure.unit;
      result["value"] = samples_json(figure.value);
      if (!figure.ratio.empty()) {
        result["ratio"] = samples_json(figure.ratio);
        result["against"] = figure.against;
      }
      if (figure.goal) {
        result["goal"] = describe_goal(*figure.goal);
        result["met"] = met(figure);
      }
      if (!figure.note.empty()) result["note"] = figure.note;
      results.push_back(std::move(result));
    }
    cases.push_back({{"name", section.name}, {"title", section.title}, {"results", std::move(results)}});
  }
  const nlohmann::ordered_json all{{"machine",
                                    {{"cpu", cpu_model()},
                                     {"cores", options.cores.size()},
                                     {"kernel", system.release},
                                     {"compiler", TUTTI_BENCH_COMPILER}}},
                                   {"quick", options.quick},
                                   {"cases", std::move(cases)}};
  return all.dump(2);
}

}  // namespace tutti::bench
