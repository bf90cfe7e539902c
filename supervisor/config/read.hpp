// A TOML value as the Value that its setting holds, or what is wrong with it.
#pragma once

#include <toml++/toml.h>

#include <optional>
#include <vector>

#include "supervisor/config/fault.hpp"
#include "supervisor/config/settings.hpp"

namespace tutti::settings {

struct Reading {
  // Of the setting's type, its range unchecked. A list keeps its length: an element at fault is empty or 0.
  std::optional<Value> value{};
  std::vector<Fault> faults{};
};

/// Reads by type alone; check.hpp looks at the range.
Reading read_value(const Setting& setting, const toml::node& node);

/// A node for a message: "5 parsecs" in quotes, or 20 (an integer).
std::string shown(const toml::node& node);

/// How a value of this setting is written: "write a number from 0 to 1".
std::string how_to_write(const Setting& setting);

}  // namespace tutti::settings
