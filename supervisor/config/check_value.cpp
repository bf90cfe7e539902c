// One value: its range, its spelling, its length.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>
#include <unordered_map>

#include "supervisor/config/check.hpp"
#include "supervisor/config/read.hpp"
#include "supervisor/config/text.hpp"

namespace tutti::settings {
namespace {

/// "" when the number is within the setting's range.
template <class Number>
std::string range_fault(const Setting& setting, Number value_given) {
  const auto value = static_cast<double>(value_given);
  if (!std::isfinite(value)) return fmt::format("{}, not a finite number", value);
  if (value < setting.low) return fmt::format("{}, below {}", value_given, setting.low);
  if (value > setting.high) return fmt::format("{}, above {}", value_given, setting.high);
  if (setting.high_open && value == setting.high) return fmt::format("{}, not below {}", value, setting.high);
  return {};
}

void check_labels(const Setting& setting, const std::vector<std::string>& labels,
                  std::vector<Fault>& faults) {
  std::unordered_map<std::string_view, std::size_t> seen;
  for (std::size_t index = 0; index < labels.size(); ++index) {
    if (const std::string fault = label_fault(labels[index]); !fault.empty()) {
      faults.push_back({.what = fmt::format("{} has {}, which {}", setting.key, quote(labels[index]), fault),
                        .hint = std::string(kLabelHint),
                        .element = index});
    }
    const auto [first, added] = seen.emplace(labels[index], index);
    if (!added) {
      faults.push_back(
          {.what = fmt::format("{} has {} twice", setting.key, quote(labels[index])),
           .hint = fmt::format("it is element {} already; give each a name of its own", first->second + 1),
           .element = index});
    }
  }
}

void check_path(const Setting& setting, const std::string& path, std::vector<Fault>& faults,
                std::size_t element = kWhole) {
  std::string fault;
  if (path.empty() && setting.required) fault = "is empty";
  if (path.size() > kPathMax) fault = fmt::format("is {} bytes long, more than {}", path.size(), kPathMax);
  for (std::size_t at = 0; at < path.size() && fault.empty();) {
    const CodePoint point = code_point_at(path, at);
    if (!point.valid) fault = "is not UTF-8";
    if (is_control(point.value)) fault = "has a control character";
    at += point.bytes;
  }
  if (fault.empty()) return;
  faults.push_back({.what = fmt::format("{} is {}, which {}", setting.key, quote(path), fault),
                    .hint = how_to_write(setting),
                    .element = element});
}

/// Checks what a Value holds; one overload for each alternative.
struct ValueCheck {
  const Setting& setting;
  std::vector<Fault>& faults;

  void bad(std::string what, std::size_t element = kWhole, std::size_t inner = kWhole) const {
    faults.push_back(
        {.what = std::move(what), .hint = how_to_write(setting), .element = element, .inner = inner});
  }

  void operator()(const std::string& text) const {
    if (setting.type == Type::path) return check_path(setting, text, faults);
    if (setting.type == Type::choice && std::ranges::find(setting.words, text) == setting.words.end()) {
      bad(fmt::format("{} is {}, which is unknown", setting.key, quote(text)));
    }
    if (setting.type != Type::name) return;
    const std::string fault = name_fault(text);
    if (!fault.empty()) bad(fmt::format("{} is {}, which {}", setting.key, quote(text), fault));
  }
  void operator()(std::int64_t whole) const {
    const std::string fault = range_fault(setting, whole);
    if (!fault.empty()) return bad(fmt::format("{} is {}", setting.key, fault));
    if (setting.type == Type::power_of_two && !std::has_single_bit(static_cast<std::uint64_t>(whole))) {
      bad(fmt::format("{} is {}, not a power of two", setting.key, whole));
    }
  }
  void operator()(double number) const {
    const std::string fault = range_fault(setting, number);
    if (!fault.empty()) bad(fmt::format("{} is {}", setting.key, fault));
  }
  void operator()(bool /*yes*/) const {}
  void operator()(Duration duration) const {
    const auto bound = [](double ns) { return format_duration(Duration(static_cast<std::int64_t>(ns))); };
    const auto count = static_cast<double>(duration.count());
    if (count >= setting.low && count <= setting.high) return;
    faults.push_back(
        {.what = fmt::format(
             "{} is {}, {}", setting.key, format_duration(duration),
             count < setting.low ? "below " + bound(setting.low) : "above " + bound(setting.high)),
         .hint = fmt::format("write a duration from {} to {}", bound(setting.low), bound(setting.high))});
  }
  void operator()(Bytes bytes) const {
    const auto count = static_cast<double>(bytes.count);
    const auto bound = [](double limit) { return format_byte_size(static_cast<std::uint64_t>(limit)); };
    if (count >= setting.low && count <= setting.high) return;
    faults.push_back(
        {.what = fmt::format(
             "{} is {}, {}", setting.key, format_byte_size(bytes.count),
             count < setting.low ? "below " + bound(setting.low) : "above " + bound(setting.high)),
         .hint = fmt::format("write a size from {} to {}", bound(setting.low), bound(setting.high))});
  }
  void operator()(NotGiven) const {}
  void operator()(const Quorum& quorum) const {
    if (quorum.kind != Quorum::Kind::count || (quorum.count >= 1 && quorum.count <= kMembersMax)) return;
    bad(fmt::format("{} is {}", setting.key, quorum.count));
  }
  void operator()(const SpinConfig& spin) const {
    if (!spin.automatic) (*this)(spin.duration);
  }
  void operator()(const Features& features) const {
    if (!features.names.empty() && static_cast<std::size_t>(features.count) != features.names.size()) {
      bad(fmt::format("{} is {}, but {} names are given", setting.key, features.count,
                      features.names.size()));
    }
    (*this)(features.count);
    check_labels(setting, features.names, faults);
  }
  void operator()(const std::vector<std::string>& labels) const {
    if (static_cast<double>(labels.size()) > setting.high) {
      bad(fmt::format("{} has {} elements, more than {}", setting.key, labels.size(), setting.high));
    }
    if (setting.type != Type::paths) return check_labels(setting, labels, faults);
    for (std::size_t index = 0; index < labels.size(); ++index)
      check_path(setting, labels[index], faults, index);
  }
  void check_numbers(const std::vector<double>& numbers, std::size_t row) const {
    for (std::size_t index = 0; index < numbers.size(); ++index) {
      const std::string fault = range_fault(setting, numbers[index]);
      if (fault.empty()) continue;
      bad(fmt::format("{} has {}", setting.key, fault), row == kWhole ? index : row,
          row == kWhole ? kWhole : index);
    }
  }
  void operator()(const std::vector<double>& numbers) const { check_numbers(numbers, kWhole); }
  void operator()(const std::vector<std::vector<double>>& matrix) const {
    for (std::size_t row = 0; row < matrix.size(); ++row) check_numbers(matrix[row], row);
  }
};

}  // namespace

std::vector<Fault> faults_of(const Setting& setting, const Value& value) {
  std::vector<Fault> faults;
  std::visit(ValueCheck{.setting = setting, .faults = faults}, value);
  return faults;
}

}  // namespace tutti::settings
