// What is wrong with a value, before it is known where the value stands.
//
//   read.cpp, check.cpp ──Fault──▶ Finding ──load.cpp, by its Place──▶ ConfigProblem "ensemble.toml:14:9"
//                                     └─────check_config()───────────▶ Error         "member[1].weight"
#pragma once

#include <compare>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

namespace tutti::settings {

inline constexpr std::size_t kWhole = std::numeric_limits<std::size_t>::max();

/// Which value of a config: a key of a table, of which member; key "" is the table as a whole.
struct Address {
  std::string_view table;
  std::string_view key;
  std::size_t member = kWhole;

  auto operator<=>(const Address&) const = default;
};

struct Fault {
  std::string what;
  std::string hint;
  std::size_t element = kWhole;  // of a list: which element
  std::size_t inner = kWhole;    // of a list within it: which element of that
};

struct Finding {
  Address address;
  Fault fault;
};

}  // namespace tutti::settings
