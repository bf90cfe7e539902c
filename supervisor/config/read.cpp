#include "supervisor/config/read.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "shared/suggest.hpp"
#include "supervisor/config/text.hpp"

namespace tutti::settings {
namespace {

constexpr std::string_view kDurationHint =
    "write a number and a unit in quotes, such as \"20ms\", \"1.5s\" or \"2m\"";

std::string_view wanted(Type type) {
  switch (type) {
    case Type::name:
    case Type::text:
    case Type::choice:
      return "a text";
    case Type::path:
      return "a file's path";
    case Type::whole:
    case Type::power_of_two:
      return "a whole number";
    case Type::number:
      return "a number";
    case Type::yes_no:
      return "true or false";
    case Type::bytes:
      return "a size";
    case Type::duration:
      return "a duration";
    case Type::quorum:
      return "a number of members, \"majority\" or \"all\"";
    case Type::spin:
      return "\"auto\", a duration or 0";
    case Type::paths:
    case Type::labels:
      return "a list of texts";
    case Type::features:
      return "a number or a list of texts";
    case Type::numbers:
      return "a list of numbers";
    case Type::matrix:
      return "a list of lists of numbers";
  }
  return "";
}

std::vector<std::string> words_of(const Setting& setting) {
  std::vector<std::string> words;
  for (const std::string_view word : setting.words) {
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

Fault wrong_type(const Setting& setting, const toml::node& node) {
  Fault fault{.what = fmt::format("{} is {}, not {}", setting.key, shown(node), wanted(setting.type)),
              .hint = how_to_write(setting)};
  const auto text = node.value_exact<std::string>();
  if (setting.type == Type::choice && text) {
    fault.what = fmt::format("{} is {}, which is unknown", setting.key, quote(*text));
    const std::string near = did_you_mean(*text, words_of(setting));
    if (!near.empty()) fault.hint = fmt::format("{} {}", near, fault.hint);
  }
  return fault;
}

std::optional<double> number_in(const toml::node& node) {
  if (const auto whole = node.value_exact<std::int64_t>()) return static_cast<double>(*whole);
  return node.value_exact<double>();
}

std::optional<std::string> text_in(const toml::node& node) { return node.value_exact<std::string>(); }

/// Reads a list whose elements `element_in` reads; `inner_of` is the row it stands in, if it is one of a
/// matrix.
template <class Element>
Reading read_list(const Setting& setting, const toml::array& array,
                  std::optional<Element> (*element_in)(const toml::node&), std::string_view element_wanted,
                  std::size_t row = kWhole) {
  std::vector<Element> list;
  std::vector<Fault> faults;
  list.reserve(array.size());
  for (std::size_t index = 0; index < array.size(); ++index) {
    std::optional<Element> element = element_in(*array.get(index));
    list.push_back(element.value_or(Element{}));
    if (element) continue;
    faults.push_back(
        {.what = fmt::format("{} has {}, not {}", setting.key, shown(*array.get(index)), element_wanted),
         .hint = how_to_write(setting),
         .element = row == kWhole ? index : row,
         .inner = row == kWhole ? kWhole : index});
  }
  return {.value = std::move(list), .faults = std::move(faults)};
}

Reading read_matrix(const Setting& setting, const toml::array& array) {
  std::vector<std::vector<double>> matrix;
  std::vector<Fault> faults;
  for (std::size_t index = 0; index < array.size(); ++index) {
    const toml::array* row = array.get(index)->as_array();
    if (row == nullptr) {
      matrix.emplace_back();
      faults.push_back(
          {.what = fmt::format("{} has {}, not a list of numbers", setting.key, shown(*array.get(index))),
           .hint = how_to_write(setting),
           .element = index});
      continue;
    }
    Reading reading = read_list<double>(setting, *row, number_in, "a number", index);
    matrix.push_back(std::get<std::vector<double>>(*std::move(reading.value)));
    faults.insert(faults.end(), reading.faults.begin(), reading.faults.end());
  }
  return {.value = std::move(matrix), .faults = std::move(faults)};
}

Reading read_features(const Setting& setting, const toml::array& array) {
  Reading reading = read_list<std::string>(setting, array, text_in, "a text");
  auto names = std::get<std::vector<std::string>>(*std::move(reading.value));
  const auto count = static_cast<std::int64_t>(names.size());
  return {.value = Features{.count = count, .names = std::move(names)}, .faults = std::move(reading.faults)};
}

std::optional<Value> read_text(const Setting& setting, const std::string& text) {
  switch (setting.type) {
    case Type::name:
    case Type::text:
    case Type::path:
      return text;
    case Type::choice:
      if (std::ranges::find(setting.words, text) != setting.words.end()) return text;
      return std::nullopt;
    case Type::quorum:
      if (text == "majority") return Quorum{.kind = Quorum::Kind::majority};
      if (text == "all") return Quorum{.kind = Quorum::Kind::all};
      return std::nullopt;
    case Type::spin:
      if (text == "auto") return SpinConfig{};
      if (const auto duration = parse_duration(text))
        return SpinConfig{.automatic = false, .duration = *duration};
      return std::nullopt;
    case Type::duration:
      if (const auto duration = parse_duration(text)) return *duration;
      return std::nullopt;
    case Type::bytes:
      if (const auto bytes = parse_bytes(text)) return Bytes{*bytes};
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<Value> read_integer(const Setting& setting, std::int64_t integer) {
  switch (setting.type) {
    case Type::whole:
    case Type::power_of_two:
      return integer;
    case Type::features:
      return Features{.count = integer, .names = {}};
    case Type::number:
      return static_cast<double>(integer);
    case Type::bytes:
      if (integer < 0) return std::nullopt;
      return Bytes{static_cast<std::uint64_t>(integer)};
    case Type::quorum:
      if (integer < 1 || integer > kMembersMax) return std::nullopt;
      return Quorum{.kind = Quorum::Kind::count, .count = static_cast<std::uint32_t>(integer)};
    case Type::spin:
      if (integer != 0) return std::nullopt;
      return SpinConfig{.automatic = false, .duration = {}};
    default:
      return std::nullopt;
  }
}

}  // namespace

std::string shown(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return quote(*text);
  if (const auto whole = node.value_exact<std::int64_t>()) return fmt::format("{} (an integer)", *whole);
  if (const auto number = node.value_exact<double>()) return fmt::format("{} (a float)", *number);
  if (const auto yes = node.value_exact<bool>()) return fmt::format("{} (a boolean)", *yes);
  if (node.is_table()) return "a table";
  if (node.is_array()) return "a list";
  return "a date or time";
}

std::string how_to_write(const Setting& setting) {
  switch (setting.type) {
    case Type::name:
      return std::string(kNameHint);
    case Type::text:
      return "write it in quotes";
    case Type::path:
      return "write the file's path in quotes, relative to the config file";
    case Type::choice:
      return fmt::format("write one of: {}", joined(words_of(setting), ", "));
    case Type::whole:
      return fmt::format("write a whole number from {} to {}", setting.low, setting.high);
    case Type::power_of_two:
      return fmt::format("write a power of two from {} to {}", setting.low, setting.high);
    case Type::number:
      return fmt::format("write a number from {} to {}{}", setting.low, setting.high_open ? "below " : "",
                         setting.high);
    case Type::yes_no:
      return "write true or false, without quotes";
    case Type::bytes:
      return "write a size in quotes, such as \"512MiB\" or \"2GiB\", or a number of bytes";
    case Type::duration:
      return std::string(kDurationHint);
    case Type::quorum:
      return fmt::format("write a whole number from 1 to {}, \"majority\" or \"all\"", kMembersMax);
    case Type::spin:
      return "write \"auto\", 0, or a duration such as \"50us\"";
    case Type::paths:
      return "write a list of paths in quotes, such as [\"lib\", \"/opt/runtime\"], relative to the config "
             "file";
    case Type::labels:
      return "write a list of texts, such as [\"no\", \"yes\"]";
    case Type::features:
      return fmt::format("write a whole number from {} to {}, or a list of names in quotes", setting.low,
                         setting.high);
    case Type::numbers:
      return "write a list of numbers, such as [0.5, 1]";
    case Type::matrix:
      return "write a list of lists of numbers, such as [[0.5, 1], [2, 0]]";
  }
  return "";
}

Reading read_value(const Setting& setting, const toml::node& node) {
  if (const toml::array* array = node.as_array()) {
    if (setting.type == Type::labels || setting.type == Type::paths)
      return read_list<std::string>(setting, *array, text_in, "a text");
    if (setting.type == Type::features) return read_features(setting, *array);
    if (setting.type == Type::numbers) return read_list<double>(setting, *array, number_in, "a number");
    if (setting.type == Type::matrix) return read_matrix(setting, *array);
  }
  std::optional<Value> value;
  if (const auto text = node.value_exact<std::string>()) value = read_text(setting, *text);
  if (const auto integer = node.value_exact<std::int64_t>()) value = read_integer(setting, *integer);
  if (const auto yes = node.value_exact<bool>(); yes && setting.type == Type::yes_no) value = *yes;
  if (const auto number = node.value_exact<double>(); number && setting.type == Type::number) value = *number;
  if (!value) return {.faults = {wrong_type(setting, node)}};
  return {.value = std::move(value)};
}

}  // namespace tutti::settings
