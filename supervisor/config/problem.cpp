// A problem, from a place in the file to what a terminal shows:
//
//   ensemble.toml:14:10: error: weight is -1, below 0; write a number from 0 to 1000000000
//     weight = -1
//              ^
//
// The caret's line repeats the tabs of the line above it, so both move alike whatever a tab's width.
#include "supervisor/config/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "supervisor/config/text.hpp"

namespace tutti::settings {
namespace {

// A longer line is cut around the column: a file may be one line of a megabyte with a thousand faults in it.
constexpr std::size_t kShownBefore = 60;
constexpr std::size_t kShownAfter = 60;

/// Byte offset of the code point with that index, or the end.
std::size_t offset_of(std::string_view line, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < line.size(); --index) at += code_point_at(line, at).bytes;
  return at;
}

}  // namespace

Place place_of(const toml::source_region& region) {
  // Position 0 is toml++'s "nowhere"; it has none for the root table.
  return {.line = std::max<std::uint32_t>(region.begin.line, 1),
          .column = std::max<std::uint32_t>(region.begin.column, 1)};
}

Place place_of(const toml::node& node) {
  Place place = place_of(node.source());
  place.node = &node;
  return place;
}

Problems::Problems(std::string_view path, std::string_view text)
    : path_(path.empty() ? "config" : cleaned(path)), text_(text), line_starts_{0} {
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    line_starts_.push_back(at + 1);
  }
}

std::string Problems::where(const Place& place) const {
  return place.origin.empty() ? fmt::format("{}:{}:{}", path_, place.line, place.column) : place.origin;
}

void Problems::add(const Place& place, std::string what, std::string hint) {
  if (problems_.size() >= kProblemsMax) {
    ++left_out_;
    return;
  }
  ConfigProblem problem{.error = {.code = Errc::bad_config,
                                  .what = std::move(what),
                                  .where = where(place),
                                  .hint = std::move(hint)},
                        .source_line = {},
                        .column = 0};
  if (place.origin.empty()) show_source(place, problem);
  problems_.push_back({.place = place, .problem = std::move(problem)});
}

void Problems::show_source(const Place& place, ConfigProblem& problem) const {
  if (place.line > line_starts_.size()) return;
  const std::size_t start = line_starts_[place.line - 1];
  std::string_view line = text_.substr(start, text_.find('\n', start) - start);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return;
  const std::size_t index = place.column - 1;
  const std::size_t skipped = index > kShownBefore ? index - kShownBefore : 0;
  std::string_view shown = line.substr(offset_of(line, skipped));
  const std::size_t end = offset_of(shown, index - skipped + kShownAfter);
  problem.source_line = fmt::format("{}{}{}", skipped > 0 ? "…" : "", cleaned(shown.substr(0, end)),
                                    end < shown.size() ? "…" : "");
  problem.column = static_cast<std::uint32_t>(index - skipped + 1 + (skipped > 0 ? 1 : 0));
}

std::vector<ConfigProblem> Problems::sorted() {
  const auto position = [](const Placed& placed) {
    const Place& place = placed.place;
    return std::tuple(!place.origin.empty(), place.origin.empty() ? 0 : place.order, place.line,
                      place.column);
  };
  std::ranges::stable_sort(problems_, {}, position);
  std::vector<ConfigProblem> sorted;
  for (Placed& placed : problems_) {
    const bool again = std::ranges::any_of(problems_, [&](const Placed& other) {
      return &other < &placed && position(other) == position(placed) &&
             other.problem.error == placed.problem.error;
    });
    if (!again) sorted.push_back(placed.problem);
  }
  if (left_out_ > 0) {
    sorted.push_back({.error = {.code = Errc::bad_config,
                                .what = fmt::format("{} more problems are not shown", left_out_),
                                .where = path_,
                                .hint = "correct those above first"},
                      .source_line = {},
                      .column = 0});
  }
  return sorted;
}

}  // namespace tutti::settings

namespace tutti {

std::string describe(const ConfigProblem& problem, bool colour) {
  const auto in = [&](std::string_view code, std::string_view text) {
    return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  };
  const Error& error = problem.error;
  std::string text;
  if (!error.where.empty()) text += in("1", error.where + ":") + ' ';
  text += in("1;31", "error:") + ' ' + error.what;
  if (!error.hint.empty()) text += "; " + error.hint;
  text += '\n';
  if (problem.source_line.empty() || problem.column == 0) return text;

  const std::string_view line = problem.source_line;
  std::string indent = "  ";
  std::size_t at = 0;
  for (std::uint32_t column = 1; column < problem.column; ++column) {
    if (at >= line.size()) {
      indent += ' ';  // a column past the end: the line break itself
      continue;
    }
    const settings::CodePoint point = settings::code_point_at(line, at);
    if (point.value == '\t') {
      indent += '\t';
    } else {
      indent.append(settings::width_of(point.value), ' ');
    }
    at += point.bytes;
  }
  return fmt::format("{}  {}\n{}{}\n", text, line, indent, in("1;32", "^"));
}

}  // namespace tutti
