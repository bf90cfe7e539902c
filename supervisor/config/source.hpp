// From a path to a TOML document: every way in which the bytes themselves can be wrong ends here.
#pragma once

#include <toml++/toml.h>

#include <expected>
#include <string>
#include <string_view>

#include "supervisor/config/problem.hpp"

namespace tutti::settings {

/// The file's bytes. A FIFO, a device or a directory is refused without waiting for it.
std::expected<std::string, ConfigProblem> read_text(const std::string& path);

/// The text without a byte order mark.
std::string_view without_mark(std::string_view text);

/// What is wrong with a text, and where.
struct SyntaxFault {
  Place place;
  std::string what;
  std::string hint;
};

/// Parses a text without byte order mark. Stops at the first fault.
std::expected<toml::table, SyntaxFault> parse_toml(std::string_view text);

}  // namespace tutti::settings
