// One layer of a config, read and checked value by value: the file, a profile, the environment, --set.
//
//   file ─▶ profile ─▶ environment ─▶ --set        each a list of assignments; a later one wins
//
// A layer knows nothing of the values beneath it, only which members there are.
#pragma once

#include <toml++/toml.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/config/fault.hpp"
#include "supervisor/config/problem.hpp"
#include "supervisor/config/settings.hpp"

namespace tutti::settings {

/// A setting that a layer gives. Without a value where that was found wrong: what stands beneath is then not
/// meant.
struct Assignment {
  const Setting* setting = nullptr;
  std::size_t member = 0;  // for settings of the table "member"
  std::optional<Value> value;
  Place place;
};
using Layer = std::vector<Assignment>;

/// What every layer of one config needs to know.
struct LayerContext {
  std::filesystem::path folder;      // absolute; model paths are relative to it
  std::vector<std::string> members;  // their names in the file's order; "" where that is missing or wrong
  bool members_sound = true;         // false: a name that is not among them may be right all the same
};

/// True for TUTTI_JIT and its like, which are short for TUTTI_TABLE__KEY and go beneath it.
bool is_short_name(std::string_view name);

/// Where the element of a list stands that a fault speaks of; the value itself where none does.
Place place_of_fault(const Place& place, const Fault& fault);

class LayerReader {
 public:
  LayerReader(const LayerContext& context, Problems& problems) : context_(context), problems_(problems) {}

  /// Reads the keys of one table of settings. `overlay`: a member's name cannot be given.
  /// `prefix` stands before its keys: "isolation." in a member's sub-table.
  void read_table(std::string_view table, const toml::table& keys, std::size_t member, bool overlay,
                  Layer& layer, std::string_view prefix = "");
  /// Reads [profile.NAME].
  Layer read_profile(std::string_view name, const toml::table& profile);
  /// Reads "answer.deadline=20ms".
  void read_set(std::string_view text, std::uint32_t order, Layer& layer);
  /// Reads TUTTI_ANSWER__DEADLINE and short names; leaves names alone that are not of that form.
  void read_environment(std::string_view name, std::string_view value, std::uint32_t order, Layer& layer);
  /// Complains of a node that should have been a table.
  void not_a_table(std::string_view name, std::string_view written, const toml::node& node);

 private:
  void read_node(const Setting& setting, const toml::node& node, const Place& place, std::size_t member,
                 Layer& layer);
  void read_text(const Setting& setting, std::string_view text, const Place& place, std::size_t member,
                 Layer& layer);
  void unknown_key(std::string_view table, std::string_view key, bool overlay, const Place& place);
  void unknown_member(std::string_view name, const Place& place);
  const Setting* outside_setting(std::string_view table, std::string_view key, const Place& place);

  const LayerContext& context_;
  Problems& problems_;
};

}  // namespace tutti::settings
