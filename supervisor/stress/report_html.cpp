// One HTML file: facts, a timeline as SVG, the table. Colours by CSS variables, so that light and dark are
// one text.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "supervisor/stress/report.hpp"

namespace tutti::stress {
namespace {

constexpr double kWidth = 1080;
constexpr double kHeight = 300;
constexpr double kLeft = 64;
constexpr double kTop = 34;
constexpr double kBottom = 28;
constexpr double kRight = 10;

constexpr std::string_view kStyle = R"html(
:root{color-scheme:light dark;--ink:#1d2430;--soft:#5b6675;--paper:#ffffff;--panel:#f4f6f9;--line:#d5dbe3;
--p50:#1f6fd6;--p99:#c2570c;--strike:#c81e3a;--band:rgba(200,30,58,.10);--good:#12793f;--bad:#c81e3a}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--paper:#12161c;--panel:#1b212a;--line:#333d4a;
--p50:#6bb0ff;--p99:#ffab5e;--strike:#ff6b81;--band:rgba(255,107,129,.14);--good:#5fd38d;--bad:#ff6b81}}
*{box-sizing:border-box}body{margin:0 auto;padding:28px 20px;max-width:1140px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:24px;margin:0 0 4px}h2{font-size:17px;margin:30px 0 10px}p{margin:4px 0}.soft{color:var(--soft)}
.good{color:var(--good)}.bad{color:var(--bad)}.verdict{font-weight:650}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:10px;margin:18px 0}
.fact{background:var(--panel);border-radius:8px;padding:10px 14px}.fact b{display:block;font-size:20px;
font-variant-numeric:tabular-nums}.fact span{color:var(--soft);font-size:13px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th,td{padding:6px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child,td.text{text-align:left}td.text{white-space:normal}
svg{width:100%;height:auto;background:var(--panel);border-radius:8px}svg text{fill:var(--soft);font-size:11px}
.p50{fill:none;stroke:var(--p50);stroke-width:1.6}.p99{fill:none;stroke:var(--p99);stroke-width:1.6}
.grid{stroke:var(--line);stroke-width:1}.band{fill:var(--band)}.strike{stroke:var(--strike);stroke-width:1.2}
.without{fill:var(--strike)}.key{display:inline-block;width:18px;height:3px;vertical-align:middle;margin:0 6px 0 14px}
li{margin:3px 0}@media print{.fact,svg{background:none;border:1px solid var(--line)}}
)html";

std::string escape(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == '<') {
      safe += "&lt;";
    } else if (c == '>') {
      safe += "&gt;";
    } else if (c == '&') {
      safe += "&amp;";
    } else if (c == '"') {
      safe += "&quot;";
    } else {
      safe += c;
    }
  }
  return safe;
}

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// Where a moment and a latency are drawn; latencies on a logarithmic scale of whole decades.
class Plot {
 public:
  explicit Plot(const StressReport& report)
      : length_(report.slice * static_cast<std::int64_t>(report.timeline.size())) {
    double least = 1e9;
    double most = milliseconds(report.deadline);
    for (const Slice& slice : report.timeline) {
      if (slice.latency.total() == 0) continue;
      least = std::min(least, milliseconds(slice.latency.quantile(0.5)));
      most = std::max(most, milliseconds(slice.latency.quantile(0.99)));
    }
    low_ = std::floor(std::log10(std::clamp(least, 1e-4, most)));
    high_ = std::ceil(std::log10(most) + 0.02);
  }

  [[nodiscard]] double x(Duration at) const {
    const double share = std::chrono::duration<double>(at) / std::chrono::duration<double>(length_);
    return kLeft + std::clamp(share, 0.0, 1.0) * (kWidth - kLeft - kRight);
  }
  [[nodiscard]] double y(double ms) const {
    const double share = (std::log10(std::max(ms, 1e-9)) - low_) / (high_ - low_);
    return kHeight - kBottom - std::clamp(share, 0.0, 1.0) * (kHeight - kTop - kBottom);
  }
  [[nodiscard]] int low() const { return static_cast<int>(low_); }
  [[nodiscard]] int high() const { return static_cast<int>(high_); }
  [[nodiscard]] Duration length() const { return length_; }

 private:
  Duration length_;
  double low_ = 0;
  double high_ = 1;
};

std::string axes(const Plot& plot, const StressReport& report) {
  std::string svg;
  for (int decade = plot.low(); decade <= plot.high(); ++decade) {
    const double ms = std::pow(10.0, decade);
    const auto ns = static_cast<std::int64_t>(std::llround(ms * 1e6));
    const std::string label = decade >= 3    ? fmt::format("{} s", ns / 1'000'000'000)
                              : decade >= 0  ? fmt::format("{} ms", ns / 1'000'000)
                              : decade >= -3 ? fmt::format("{} us", ns / 1000)
                                             : fmt::format("{} ns", ns);
    svg += fmt::format(R"html(<line class="grid" x1="{0:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}"/>)html",
                       kLeft, kWidth - kRight, plot.y(ms));
    svg += fmt::format(R"html(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)html", kLeft - 6,
                       plot.y(ms) + 4, label);
  }
  const double deadline = plot.y(milliseconds(report.deadline));
  svg += fmt::format(
      R"html(<line class="grid" stroke-dasharray="5 4" x1="{0:.1f}" x2="{1:.1f}" y1="{2:.1f}" y2="{2:.1f}"/><text x="{1:.1f}" y="{3:.1f}" text-anchor="end">deadline</text>)html",
      kLeft, kWidth - kRight, deadline, deadline - 4);
  for (int i = 0; i <= 6; ++i) {
    const Duration at = plot.length() * i / 6;
    svg += fmt::format(R"html(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{:.3g} s</text>)html", plot.x(at),
                       kHeight - kBottom + 18, i == 6 ? "end" : "middle",
                       std::chrono::duration<double>(at).count());
  }
  return svg;
}

// A line at each strike, a band until the member votes again.
std::string strikes(const Plot& plot, const StressReport& report) {
  std::string svg;
  double labelled = -100;
  int level = 0;
  for (const Strike& strike : report.strikes) {
    const Duration until =
        strike.at + strike.noticed.value_or(Duration{}) + strike.healed.value_or(Duration{});
    const double x = plot.x(strike.at);
    const std::string name = escape(fmt::format("{} {}", report.faults[strike.fault].name, strike.member));
    svg += fmt::format(
        R"html(<g><title>{} at {:.2f} s, noticed after {}, votes again after {}</title><rect class="band" x="{:.1f}" width="{:.1f}" y="{:.1f}" height="{:.1f}"/><line class="strike" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/></g>)html",
        name, std::chrono::duration<double>(strike.at).count(), time_text(strike.noticed),
        time_text(strike.healed), x, std::max(plot.x(until) - x, 1.0), kTop, kHeight - kTop - kBottom, x, x,
        kTop, kHeight - kBottom);
    // Names where there is room, on two levels.
    level = x - labelled < 70 ? 1 - level : 0;
    if (level == 1 || x - labelled >= 70) {
      svg += fmt::format(R"html(<text x="{:.1f}" y="{:.1f}">{}</text>)html", x, level == 0 ? 13.0 : 26.0,
                         escape(report.faults[strike.fault].name));
      labelled = level == 0 ? x : labelled;
    }
  }
  return svg;
}

std::string curve(const Plot& plot, const StressReport& report, double q, std::string_view name) {
  std::string points;
  for (std::size_t i = 0; i < report.timeline.size(); ++i) {
    const Histogram& latency = report.timeline[i].latency;
    if (latency.total() == 0) continue;
    const Duration middle = report.slice * static_cast<std::int64_t>(i) + report.slice / 2;
    points += fmt::format("{:.1f},{:.1f} ", plot.x(middle), plot.y(milliseconds(latency.quantile(q))));
  }
  return fmt::format(R"html(<polyline class="{}" points="{}"/>)html", name, points);
}

std::string timeline(const StressReport& report) {
  const Plot plot(report);
  return fmt::format(
      R"html(<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="Latency of answers over time, with every fault">{}{}{}{}</svg>)html",
      kWidth, kHeight, axes(plot, report), strikes(plot, report), curve(plot, report, 0.99, "p99"),
      curve(plot, report, 0.5, "p50"));
}

std::string fact(std::string_view value, std::string_view name) {
  return fmt::format(R"html(<div class="fact"><b>{}</b><span>{}</span></div>)html", escape(value),
                     escape(name));
}

std::string table(const StressReport& report) {
  std::string rows;
  for (const FaultRow& row : report.rows) {
    const bool held = row.problems.empty();
    rows += fmt::format(
        R"html(<tr><td title="{}">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2f}</td><td>{}</td><td class="text {}">{}</td></tr>)html",
        escape(row.fault.help), escape(row.fault.name), row.strikes, time_text(row.noticed),
        time_text(row.overshoot), time_text(row.healed), answers_text(row.effects),
        row.effects.bystander_misses, time_text(row.bystander_p99), row.p99_ratio,
        row.left.empty() ? "nothing" : escape(row.left), held ? "good" : "bad",
        held ? "held" : escape(row.problems.front()));
  }
  return fmt::format(
      R"html(<div class="wide"><table><tr><th>fault</th><th>strikes</th><th>noticed</th><th>past deadline</th><th>votes again</th><th>answers</th><th>others missed</th><th>others' p99</th><th>of quiet</th><th>left behind</th><th style="text-align:left">verdict</th></tr>{}</table></div><p class="soft">noticed: from the strike to its death, or to the answer without its vote. votes again: from there to its next vote. past deadline: of answers that waited for it in vain. All three are medians. others' p99: of the members that were not struck, and as a multiple of the quiet stretches right before and after.</p>)html",
      rows);
}

std::string footprint(const StressReport& report) {
  std::string rows;
  const auto before = report.before.parts();
  const auto after = report.after.parts();
  for (std::size_t i = 0; i < before.size(); ++i) {
    const bool same = before[i].second == after[i].second;
    rows += fmt::format(R"html(<tr><td>{}</td><td>{}</td><td class="{}">{}</td></tr>)html", before[i].first,
                        before[i].second, same ? "" : "bad", after[i].second);
  }
  return fmt::format(
      R"html(<div class="wide"><table><tr><th>held by the supervisor</th><th>before</th><th>after</th></tr>{}</table></div>)html",
      rows);
}

std::string list(const std::vector<std::string>& lines) {
  std::string items;
  for (const std::string& line : lines) items += fmt::format("<li>{}</li>", escape(line));
  return fmt::format("<ul>{}</ul>", items);
}

}  // namespace

std::string to_html(const StressReport& report, const Machine& machine) {
  const Counts& counts = report.counts;
  const bool held = report.held();
  std::string facts = fact(fmt::format("{}", counts.answered), "requests answered");
  facts += fact(fmt::format("{}", counts.effects.lost + counts.effects.twice), "lost or answered twice");
  facts += fact(fmt::format("{}", counts.effects.wrong), "wrong answers");
  facts += fact(fmt::format("{}", counts.effects.bystander_misses), "votes of others missed");
  facts += fact(time_text(report.noticed_median), "a death noticed (median)");
  facts += fact(time_text(report.healed_median), "then votes again (median)");
  std::string html = fmt::format(
      R"html(<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>tutti stress: {0}</title><style>{1}</style></head><body><h1>tutti stress: {0}</h1><p class="verdict {2}">{3}</p><p class="soft">{4} strikes in {5:.0f} s, seed {6}, deadline {7}</p><div class="facts">{8}</div>)html",
      escape(report.ensemble), kStyle, held ? "good" : "bad",
      held ? "Everything held." : "Not everything held.", report.strikes_made(),
      std::chrono::duration<double>(report.length).count(), report.seed, time_text(report.deadline), facts);
  html += fmt::format(
      R"html(<h2>Latency of answers</h2>{}<p class="soft"><span class="key" style="background:var(--p50)"></span>median<span class="key" style="background:var(--p99)"></span>99th percentile<span class="key" style="background:var(--strike)"></span>a fault strikes; shaded until its member votes again</p>)html",
      timeline(report));
  html += "<h2>Fault by fault</h2>" + table(report);
  html += "<h2>What is left</h2>" + footprint(report);
  if (!report.problems.empty()) html += "<h2>What went wrong first</h2>" + list(report.problems);
  if (!report.notes.empty()) html += "<h2>Notes</h2>" + list(report.notes);
  html +=
      fmt::format(R"html(<h2>Machine</h2><p>{}, {} cores, {}</p><p>tutti {}, {}, {}</p></body></html>)html",
                  escape(machine.processor), machine.cores, escape(machine.kernel), machine.version,
                  machine.compiler, machine.when);
  return html + "\n";
}

}  // namespace tutti::stress
