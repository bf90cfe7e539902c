#include "supervisor/config/layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "shared/suggest.hpp"
#include "supervisor/config/check.hpp"
#include "supervisor/config/read.hpp"
#include "supervisor/config/source.hpp"
#include "supervisor/config/text.hpp"

namespace tutti::settings {
namespace {

constexpr std::string_view kPrefix = "TUTTI_";

std::vector<std::string> table_names() {
  std::vector<std::string> names;
  for (const Table& table : tables()) names.emplace_back(table.name);
  return names;
}

/// As environment variables can spell it: lower case, and '_' for what their names cannot hold.
std::string folded(std::string_view text) {
  std::string fold(text);
  for (char& letter : fold) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
    if (letter == '-' || letter == '.') letter = '_';
  }
  return fold;
}

/// "a, b, c", cut to what a message can bear.
std::string listed(std::vector<std::string> names) {
  constexpr std::size_t kListedMax = 12;
  std::erase(names, "");
  const bool cut = names.size() > kListedMax;
  names.resize(std::min(names.size(), kListedMax));
  return fmt::format("{}{}", joined(names, ", "), cut ? ", …" : "");
}

std::string near_or(std::string_view word, const std::vector<std::string>& candidates,
                    std::string_view otherwise) {
  const std::string near = did_you_mean(word, candidates);
  return near.empty() ? fmt::format("{}: {}", otherwise, listed(candidates)) : near;
}

/// Where a member's name ends and its key begins: a key of its sub-table has a separator of its own.
std::size_t last_separator(std::string_view name, std::string_view separator) {
  const std::size_t last = name.rfind(separator);
  if (last == std::string_view::npos || last == 0) return last;
  const std::size_t before = name.rfind(separator, last - 1);
  if (before == std::string_view::npos) return last;
  const std::string_view middle = name.substr(before + separator.size(), last - before - separator.size());
  const std::string key = fmt::format("{}.{}", kMemberIsolation, name.substr(last + separator.size()));
  return middle == kMemberIsolation && find(kMemberTable, key) != nullptr ? before : last;
}

/// A text from outside the file as TOML has it, or as it stands where it is no TOML value.
struct OutsideValue {
  toml::table holder;  // keeps `node` alive
  const toml::node* node = nullptr;

  OutsideValue(const Setting& setting, std::string_view text) {
    const bool one_line = text.find_first_of("\r\n") == std::string_view::npos;
    if (auto parsed = parse_toml(fmt::format("value = {}", text));
        one_line && parsed && parsed->size() == 1) {
      holder = *std::move(parsed);
      node = holder.get("value");
    }
    // --set ensemble.name=2024 means the text.
    if (node == nullptr || (is_text(setting.type) && !node->is_string())) {
      holder.insert_or_assign("value", std::string(text));
      node = holder.get("value");
    }
  }
};

/// Names that people know from other interpreters, and what they are short for.
struct ShortName {
  std::string_view folded;
  std::string_view table;
  std::string_view key;
};
constexpr std::array<ShortName, 2> kShortNames{
    {{"tutti_jit", "jit", "mode"}, {"tutti_jit_threshold", "jit", "threshold"}}};

}  // namespace

bool is_short_name(std::string_view name) {
  return std::ranges::find(kShortNames, folded(name), &ShortName::folded) != kShortNames.end();
}

Place place_of_fault(const Place& place, const Fault& fault) {
  const toml::node* node = place.node;
  for (const std::size_t index : {fault.element, fault.inner}) {
    const toml::array* array = node == nullptr ? nullptr : node->as_array();
    if (index == kWhole || array == nullptr || array->get(index) == nullptr) break;
    node = array->get(index);
  }
  return node == place.node ? place : place_of(*node);
}

void LayerReader::read_node(const Setting& setting, const toml::node& node, const Place& place,
                            std::size_t member, Layer& layer) {
  auto [value, faults] = read_value(setting, node);
  // An element of the wrong type has been said to be that; its stand-in is not judged.
  const std::size_t of_type = faults.size();
  for (Fault& fault : value ? faults_of(setting, *value) : std::vector<Fault>()) {
    const auto same = [&](const Fault& one) {
      return one.element == fault.element && one.inner == fault.inner;
    };
    if (std::none_of(faults.begin(), faults.begin() + static_cast<std::ptrdiff_t>(of_type), same)) {
      faults.push_back(std::move(fault));
    }
  }
  for (const Fault& fault : faults) problems_.add(place_of_fault(place, fault), fault.what, fault.hint);
  if (!faults.empty()) value.reset();
  if (value && setting.type == Type::paths) {
    for (std::string& path : std::get<std::vector<std::string>>(*value))
      path = (context_.folder / path).lexically_normal().string();
  }
  if (value && setting.type == Type::path && !std::get<std::string>(*value).empty()) {
    std::string path = (context_.folder / std::get<std::string>(*value)).lexically_normal().string();
    if (path.size() > kPathMax || invalid_utf8_at(path)) {
      problems_.add(
          place,
          fmt::format("{} is {} in full, which is {}", setting.key, quote(path),
                      path.size() > kPathMax ? fmt::format("longer than {} bytes", kPathMax) : "not UTF-8"),
          "move the model or the config to another folder");
      value.reset();
    } else {
      value = std::move(path);
    }
  }
  layer.push_back({.setting = &setting, .member = member, .value = std::move(value), .place = place});
}

void LayerReader::unknown_key(std::string_view table, std::string_view key, bool overlay,
                              const Place& place) {
  if (overlay && find(table, key) != nullptr) {
    return problems_.add(place, "a member's name cannot be overlaid",
                         "it tells which member is meant; change it in its [[member]]");
  }
  const std::vector<std::string> keys = keys_of(table, overlay);
  std::string hint = did_you_mean(key, keys);
  for (const Table& other : tables()) {
    if (!hint.empty() || find(other.name, key) == nullptr) continue;
    hint = fmt::format("it belongs in {}",
                       other.name == kMemberTable ? "[[member]]" : fmt::format("[{}]", other.name));
  }
  if (hint.empty()) hint = fmt::format("its keys are: {}", joined(keys, ", "));
  problems_.add(
      place, fmt::format("unknown key {} in {}", quote(key), table == kMemberTable ? "member" : table), hint);
}

void LayerReader::unknown_member(std::string_view name, const Place& place) {
  // Where a name could not be read, this may be the one.
  if (!context_.members_sound) return;
  problems_.add(place, fmt::format("no member is named {}", quote(name)),
                near_or(name, context_.members, "the members are"));
}

void LayerReader::not_a_table(std::string_view name, std::string_view written, const toml::node& node) {
  problems_.add(place_of(node), fmt::format("{} is {}, not a table", name, shown(node)),
                fmt::format("write {} with its keys beneath", written));
}

void LayerReader::read_table(std::string_view table, const toml::table& keys, std::size_t member,
                             bool overlay, Layer& layer, std::string_view prefix) {
  for (const auto& [key, node] : keys) {
    const std::string name = fmt::format("{}{}", prefix, key.str());
    if (table == kMemberTable && name == kMemberIsolation) {
      if (const toml::table* inner = node.as_table()) {
        read_table(table, *inner, member, overlay, layer, fmt::format("{}.", kMemberIsolation));
      } else {
        not_a_table("member.isolation", "[member.isolation]", node);
      }
      continue;
    }
    const Setting* setting = find(table, name);
    const bool fixed = overlay && table == kMemberTable && name == "name";
    if (setting == nullptr || fixed) {
      unknown_key(table, name, overlay, place_of(key.source()));
    } else {
      read_node(*setting, node, place_of(node), member, layer);
    }
  }
}

Layer LayerReader::read_profile(std::string_view name, const toml::table& profile) {
  Layer layer;
  for (const auto& [key, node] : profile) {
    const std::string path = fmt::format("profile.{}.{}", name, key.str());
    const std::vector<std::string> names = table_names();
    if (std::ranges::find(names, key.str()) == names.end()) {
      problems_.add(place_of(key.source()), fmt::format("unknown table {} in a profile", quote(key.str())),
                    near_or(key.str(), names, "its tables are"));
      continue;
    }
    const bool members = key.str() == kMemberTable;
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      not_a_table(path, fmt::format("[{}{}]", path, members ? ".NAME" : ""), node);
      continue;
    }
    if (!members) {
      read_table(key.str(), *table, kWhole, true, layer);
      continue;
    }
    for (const auto& [member_name, member_node] : *table) {
      const auto found = std::ranges::find(context_.members, member_name.str());
      const toml::table* keys = member_node.as_table();
      if (found == context_.members.end() || found->empty()) {
        unknown_member(member_name.str(), place_of(member_name.source()));
      } else if (keys == nullptr) {
        not_a_table(fmt::format("{}.{}", path, *found), fmt::format("[{}.{}]", path, *found), member_node);
      } else {
        const auto index = static_cast<std::size_t>(found - context_.members.begin());
        read_table(kMemberTable, *keys, index, true, layer);
      }
    }
  }
  return layer;
}

const Setting* LayerReader::outside_setting(std::string_view table, std::string_view key,
                                            const Place& place) {
  const std::vector<std::string> names = table_names();
  if (std::ranges::find(names, table) == names.end()) {
    problems_.add(place, fmt::format("unknown table {}", quote(table)),
                  near_or(table, names, "the tables are"));
    return nullptr;
  }
  const Setting* setting = find(table, key);
  if (setting == nullptr || (table == kMemberTable && key == "name")) {
    unknown_key(table, key, true, place);
    return nullptr;
  }
  return setting;
}

void LayerReader::read_text(const Setting& setting, std::string_view text, const Place& place,
                            std::size_t member, Layer& layer) {
  const OutsideValue value(setting, text);
  read_node(setting, *value.node, place, member, layer);
}

void LayerReader::read_set(std::string_view text, std::uint32_t order, Layer& layer) {
  const std::size_t equals = text.find('=');
  const std::string_view name = text.substr(0, equals);
  const Place place{.origin = fmt::format("--set {}", cleaned(name)), .order = order};
  const std::size_t first = name.find('.');
  const std::size_t last = last_separator(name, ".");
  if (equals == std::string_view::npos || first == std::string_view::npos) {
    return problems_.add(place, fmt::format("{} is not TABLE.KEY=VALUE", quote(text)),
                         "write --set answer.deadline=20ms, or --set member.NAME.weight=2");
  }
  const std::string_view table = name.substr(0, first);
  const Setting* setting =
      outside_setting(table, name.substr(table == kMemberTable ? last + 1 : first + 1), place);
  if (setting == nullptr) return;
  std::size_t member = kWhole;
  if (table == kMemberTable) {
    const std::string_view member_name = first == last ? "" : name.substr(first + 1, last - first - 1);
    const auto found = std::ranges::find(context_.members, member_name);
    if (found == context_.members.end() || found->empty()) return unknown_member(member_name, place);
    member = static_cast<std::size_t>(found - context_.members.begin());
  }
  read_text(*setting, text.substr(equals + 1), place, member, layer);
}

void LayerReader::read_environment(std::string_view name, std::string_view value, std::uint32_t order,
                                   Layer& layer) {
  if (folded(name.substr(0, kPrefix.size())) != folded(kPrefix)) return;
  const Place place{.origin = fmt::format("environment {}", cleaned(name)), .order = order};
  for (const ShortName& known : kShortNames) {
    if (known.folded == folded(name)) {
      return read_text(*find(known.table, known.key), value, place, kWhole, layer);
    }
  }
  const std::string rest = folded(name.substr(kPrefix.size()));
  const std::size_t first = rest.find("__");
  if (first == std::string::npos) return;
  const std::string table = rest.substr(0, first);
  const std::size_t last = table == kMemberTable ? last_separator(rest, "__") : first;
  std::string key = rest.substr(last + 2);
  if (const std::size_t inner = key.find("__"); inner != std::string::npos) key.replace(inner, 2, ".");
  const Setting* setting = outside_setting(table, key, place);
  if (setting == nullptr) return;
  std::size_t member = kWhole;
  if (table == kMemberTable) {
    const std::string wanted = last > first + 2 ? rest.substr(first + 2, last - first - 2) : "";
    const auto means = [&](const std::string& one) { return !one.empty() && folded(one) == wanted; };
    const auto found = std::ranges::find_if(context_.members, means);
    if (found == context_.members.end()) return unknown_member(wanted, place);
    if (std::ranges::count_if(context_.members, means) > 1) {
      return problems_.add(place,
                           fmt::format("more than one member's name is spelled {} here", quote(wanted)),
                           "write --set member.NAME.KEY=VALUE instead");
    }
    member = static_cast<std::size_t>(found - context_.members.begin());
  }
  read_text(*setting, value, place, member, layer);
}

}  // namespace tutti::settings
