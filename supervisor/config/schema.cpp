// JSON Schema of the config file, for editors: completion, help and red underlines while typing.
//
// Made from the same table as the parser, so it cannot allow what the parser refuses within one value. What
// must fit together (a quorum and its members, coefficients and classes) is the parser's alone.
#include <nlohmann/json.hpp>

#include "supervisor/config/settings.hpp"
#include "supervisor/config/text.hpp"

namespace tutti {
namespace settings {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBytesPattern = "^[0-9]+(B|KiB|MiB|GiB|TiB)$";
constexpr std::string_view kDurationPattern = "^[0-9]+(\\.[0-9]+)?(ns|us|ms|s|m|h)$";

/// Whole limits without a decimal point.
Json number_of(double value) {
  if (value >= -1e15 && value <= 1e15 && value == static_cast<double>(static_cast<std::int64_t>(value))) {
    return static_cast<std::int64_t>(value);
  }
  return value;
}

Json ranged(std::string_view type, const Setting& setting) {
  Json json{{"type", type}, {"minimum", number_of(setting.low)}};
  json[setting.high_open ? "exclusiveMaximum" : "maximum"] = number_of(setting.high);
  return json;
}

Json words_json(std::initializer_list<std::string_view> words) { return {{"enum", words}}; }

Json duration_json() { return {{"type", "string"}, {"pattern", kDurationPattern}}; }

Json labels_json(const Setting& setting) {
  return {{"type", "array"},
          {"items", {{"type", "string"}, {"minLength", 1}, {"maxLength", kLabelMax}}},
          {"uniqueItems", true},
          {"maxItems", number_of(setting.high)}};
}

Json list_json(const Json& items) { return {{"type", "array"}, {"items", items}}; }

Json powers_json(const Setting& setting) {
  Json powers = Json::array();
  const auto last = static_cast<std::int64_t>(setting.high);
  for (auto power = static_cast<std::int64_t>(setting.low); power <= last; power *= 2)
    powers.push_back(power);
  return {{"enum", powers}};
}

Json form_json(const Setting& setting) {
  switch (setting.type) {
    case Type::name:
      return {{"type", "string"}, {"pattern", kNamePattern}, {"maxLength", kNameMax}};
    case Type::text:
      return {{"type", "string"}};
    case Type::path:
      return {{"type", "string"}, {"minLength", setting.required ? 1 : 0}, {"maxLength", kPathMax}};
    case Type::choice:
      return {{"enum", setting.words}};
    case Type::whole:
      return ranged("integer", setting);
    case Type::power_of_two:
      return powers_json(setting);
    case Type::number:
      return ranged("number", setting);
    case Type::yes_no:
      return {{"type", "boolean"}};
    case Type::bytes:
      return {{"anyOf", {ranged("integer", setting), {{"type", "string"}, {"pattern", kBytesPattern}}}}};
    case Type::duration:
      return duration_json();
    case Type::quorum:
      return {{"anyOf", {ranged("integer", setting), words_json({"majority", "all"})}}};
    case Type::spin:
      return {{"anyOf", {words_json({"auto"}), {{"const", 0}}, duration_json()}}};
    case Type::paths:
      return list_json({{"type", "string"}, {"minLength", 1}, {"maxLength", kPathMax}});
    case Type::labels:
      return labels_json(setting);
    case Type::features:
      return {{"anyOf", {ranged("integer", setting), labels_json(setting)}}};
    case Type::numbers:
      return list_json(ranged("number", setting));
    case Type::matrix:
      return list_json(list_json(ranged("number", setting)));
  }
  return {};
}

/// A default in JSON; null for what is empty.
struct DefaultJson {
  Json operator()(const std::string& text) const { return text.empty() ? Json() : Json(text); }
  Json operator()(std::int64_t whole) const { return whole; }
  Json operator()(double number) const { return number; }
  Json operator()(bool yes) const { return yes; }
  Json operator()(Duration duration) const { return format_duration(duration); }
  Json operator()(Bytes bytes) const { return format_byte_size(bytes.count); }
  Json operator()(NotGiven) const { return {}; }
  Json operator()(const Quorum& quorum) const {
    if (quorum.kind == Quorum::Kind::count) return quorum.count;
    return quorum.kind == Quorum::Kind::all ? "all" : "majority";
  }
  Json operator()(const SpinConfig& spin) const {
    return spin.automatic ? Json("auto") : (*this)(spin.duration);
  }
  Json operator()(const Features&) const { return {}; }
  template <class Element>
  Json operator()(const std::vector<Element>&) const {
    return {};
  }
};

Json setting_json(const Setting& setting) {
  Json json{{"description", setting.help}};
  json.update(form_json(setting));
  EnsembleConfig standard;
  standard.members.emplace_back();
  // The rule that is taken when none is given depends on the task; its help says so.
  const bool varies = setting.table == "combine" && setting.key == "rule";
  const Json value = std::visit(DefaultJson{}, setting.get(standard, 0));
  if (!setting.required && !varies && !value.is_null()) json["default"] = value;
  return json;
}

Json table_json(const Table& table, bool overlay) {
  Json properties = Json::object();
  for (const std::string& key : keys_of(table.name, overlay)) {
    // "isolation.memory" is `memory` in a table of its own.
    const std::size_t dot = key.find('.');
    if (dot == std::string::npos) {
      properties[key] = setting_json(*find(table.name, key));
      continue;
    }
    Json& inner = properties[key.substr(0, dot)];
    if (inner.is_null()) {
      inner = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
    }
    inner["properties"][key.substr(dot + 1)] = setting_json(*find(table.name, key));
  }
  return {{"type", "object"},
          {"description", table.help},
          {"properties", properties},
          {"additionalProperties", false}};
}

Json reference(std::string_view name) { return {{"$ref", "#/$defs/" + std::string(name)}}; }

/// A table of the file itself: as its definition, and with the keys that must be there.
Json root_table(const Table& table) {
  Json required = Json::array();
  for (const Setting& setting : all()) {
    if (setting.table == table.name && setting.required) required.push_back(setting.key);
  }
  Json json = reference(table.name);
  if (!required.empty()) json["required"] = required;
  return json;
}

}  // namespace
}  // namespace settings

std::string config_schema() {
  using namespace settings;
  Json definitions = Json::object();
  Json properties = Json::object();
  Json overlays = Json::object();
  for (const Table& table : tables()) {
    const bool member = table.name == kMemberTable;
    definitions[table.name] = table_json(table, false);
    if (member) definitions["member_overlay"] = table_json(table, true);
    properties[table.name] = member ? Json{{"type", "array"},
                                           {"description", "The members; at least one."},
                                           {"items", root_table(table)},
                                           {"minItems", 1},
                                           {"maxItems", kMembersMax}}
                                    : root_table(table);
    overlays[table.name] = member ? Json{{"type", "object"},
                                         {"description", "By a member's name: what is different about it."},
                                         {"additionalProperties", reference("member_overlay")}}
                                  : reference(table.name);
  }
  definitions["profile"] = {{"type", "object"},
                            {"description", "Laid over the file when this profile is chosen."},
                            {"properties", overlays},
                            {"additionalProperties", false}};
  properties[kProfileTable] = {{"type", "object"},
                               {"description", "Variants of this config, chosen by --profile NAME."},
                               {"propertyNames", {{"pattern", kNamePattern}, {"maxLength", kNameMax}}},
                               {"additionalProperties", reference("profile")}};
  const Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                    {"title", "tutti ensemble"},
                    {"description", "An ensemble of models that answers as one."},
                    {"type", "object"},
                    {"properties", properties},
                    {"required", {"ensemble", kMemberTable}},
                    {"additionalProperties", false},
                    {"$defs", definitions}};
  return schema.dump(2) + "\n";
}

}  // namespace tutti
