// The one table of settings: what a config may say, of what type and range, and where it is kept.
//
//                 ┌──▶ read.cpp      TOML value → Value
//   settings.cpp ─┼──▶ check.cpp     is this Value within range
//    all()        ├──▶ schema.cpp    JSON Schema for editors
//                 └──▶ to_toml.cpp   config → TOML
//
// A key that is not in the table does not exist; one that is in it is parsed, checked, documented and written
// back. Adding a setting is adding a line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "supervisor/config/config.hpp"

namespace tutti::settings {

enum class Type : std::uint8_t {
  name,          // letters, digits, . _ -
  text,          // any text
  path,          // of a file, relative to the config file
  choice,        // one of `words`
  whole,         // a whole number in [low, high]
  power_of_two,  // the same, and a power of two
  number,        // a finite number in [low, high], or below high
  yes_no,        // true or false
  bytes,         // [low, high], written "512MiB" or as a whole number of bytes
  duration,      // [low, high] in nanoseconds
  quorum,        // a number of members, "majority", "all"
  spin,          // "auto", 0 or a duration up to high
  paths,         // a list of paths, relative to the config file
  labels,        // a list of distinct texts
  features,      // a number, or a list of distinct texts
  numbers,       // a list of numbers
  matrix,        // a list of lists of numbers
};

struct Features {
  std::int64_t count = 0;
  std::vector<std::string> names;  // empty when only a number was given
};

struct Bytes {
  std::uint64_t count = 0;
};

/// Nothing was given: a member's setting that is the ensemble's.
struct NotGiven {};

/// What any setting may hold; Type says which. Whole numbers keep what was written, also where it is out of
/// range.
using Value = std::variant<std::string, std::int64_t, double, bool, Duration, Quorum, SpinConfig, Features,
                           std::vector<std::string>, std::vector<double>, std::vector<std::vector<double>>,
                           Bytes, NotGiven>;

struct Setting {
  std::string_view table;
  std::string_view key;
  Type type = Type::text;
  bool required = false;
  double low = std::numeric_limits<double>::lowest();
  double high = std::numeric_limits<double>::max();
  bool high_open = false;  // high itself is already too much
  std::span<const std::string_view> words{};
  std::string_view example{};  // a line for whoever left a required key out
  std::string_view help{};
  /// Reads and writes the setting in a config; `member` is looked at for settings of the table "member" only.
  /// set() takes a value of the right type and within range.
  Value (*get)(const EnsembleConfig& config, std::size_t member) = nullptr;
  void (*set)(EnsembleConfig& config, std::size_t member, const Value& value) = nullptr;
};

struct Table {
  std::string_view name;
  std::string_view help;
};

inline constexpr std::string_view kMemberTable = "member";
inline constexpr std::string_view kIsolationTable = "isolation";
/// A sub-table of a member: its settings are those of "member" whose keys begin so.
inline constexpr std::string_view kMemberIsolation = "isolation";
inline constexpr std::string_view kProfileTable = "profile";

/// Every setting, table by table.
std::span<const Setting> all();

/// Every table that holds settings, in the order in which a config is best written; member is the last.
std::span<const Table> tables();

/// The setting of that name, or null.
const Setting* find(std::string_view table, std::string_view key);

/// The keys of a table, for did-you-mean. A member's name is not among those that an overlay may change.
std::vector<std::string> keys_of(std::string_view table, bool overlay);

/// True for settings that are text: what --set and the environment give them needs no quotes.
bool is_text(Type type);

}  // namespace tutti::settings
