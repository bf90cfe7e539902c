#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"

namespace tutti::cli {
namespace {

std::vector<std::pair<std::string, std::string>> tutti_environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (!text.starts_with("TUTTI_") || equals == std::string_view::npos) continue;
    variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace

void complain(const Error& error) {
  std::string line = describe(error);
  if (use_colour(STDERR_FILENO)) {
    const std::size_t place = line.find("error: ");
    if (place != std::string::npos) line.replace(place, 6, "\x1b[1;31merror:\x1b[0m");
  }
  say("{}\n", line);
}

nlohmann::ordered_json to_json(const Error& error) {
  return {{"code", name_of(error.code)}, {"what", error.what}, {"where", error.where}, {"hint", error.hint}};
}

ConfigSource source_of(const ConfigOptions& options) {
  return {.path = options.path,
          .profile = options.profile,
          .settings = options.settings,
          .environment = tutti_environment()};
}

std::optional<EnsembleConfig> load_or_explain(const ConfigOptions& options, bool json) {
  auto config = load_config(source_of(options));
  if (config) return std::move(*config);
  if (json) {
    nlohmann::ordered_json problems = nlohmann::ordered_json::array();
    for (const ConfigProblem& problem : config.error()) problems.push_back(to_json(problem.error));
    fmt::print("{}\n", nlohmann::ordered_json{{"ok", false}, {"problems", problems}}.dump(2));
  }
  explain(config.error(), options.path);
  return std::nullopt;
}

void explain(const std::vector<ConfigProblem>& problems, const std::string& path) {
  for (const ConfigProblem& problem : problems) say("{}", describe(problem, use_colour(STDERR_FILENO)));
  say("{} problem{} in {}\n", problems.size(), problems.size() == 1 ? "" : "s", path);
}

Result<Drill> parse_drill(const std::string& text) {
  const Error error{Errc::bad_usage, fmt::format("'{}' is no drill", text), "--kill",
                    "write MEMBER@ROW or MEMBER@PERCENT%, e.g. boosted@30%"};
  const std::size_t at = text.rfind('@');
  if (at == std::string::npos || at == 0) return std::unexpected(error);
  Drill drill{.member = text.substr(0, at)};
  std::string_view place = std::string_view(text).substr(at + 1);
  const bool percent = place.ends_with('%');
  if (percent) place.remove_suffix(1);
  double number = 0;
  const auto [end, failure] = std::from_chars(place.begin(), place.end(), number);
  if (failure != std::errc{} || end != place.end() || !(number >= 0) || number > (percent ? 100 : 1e15)) {
    return std::unexpected(error);
  }
  if (percent) {
    drill.share = number / 100;
  } else {
    drill.row = static_cast<std::uint64_t>(number);
  }
  return drill;
}

}  // namespace tutti::cli
