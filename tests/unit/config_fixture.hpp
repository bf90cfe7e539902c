// What the tests of config share: a small valid config, and problems as the text a user sees.
#pragma once

#include <string>
#include <string_view>

#include "supervisor/config/config.hpp"

namespace tutti {

/// Valid, and short: a test puts one thing wrong in it. The last line is the head of the second member.
inline constexpr std::string_view kSmallConfig =
    "[ensemble]\n"
    "name = \"small\"\n"
    "task = \"classification\"\n"
    "classes = [\"no\", \"yes\"]\n"
    "features = 3\n"
    "[[member]]\n"
    "name = \"boosted\"\n"
    "model = \"boosted.json\"\n"
    "[[member]]\n"
    "name = \"linear\"\n"
    "model = \"linear.json\"\n";

/// A source whose model files need not exist, as /configs/small.toml.
inline ConfigSource small_source() {
  ConfigSource source;
  source.path = "/configs/small.toml";
  source.models_must_exist = false;
  return source;
}

/// Every problem as one text; "" when there is none.
inline std::string problems_in(std::string_view text, const ConfigSource& source = small_source()) {
  const auto config = parse_config(text, source);
  std::string all;
  if (config) return all;
  for (const ConfigProblem& problem : config.error()) all += describe(problem, false);
  return all;
}

/// The text with one thing in it replaced.
inline std::string with(std::string text, std::string_view old, std::string_view fresh) {
  const std::size_t at = text.find(old);
  if (at == std::string::npos) return "with(): not found";
  return text.replace(at, old.size(), fresh);
}

}  // namespace tutti
