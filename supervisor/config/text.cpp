#include "supervisor/config/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "shared/limits.hpp"

namespace tutti::settings {
namespace {

constexpr std::size_t kShownMax = 64;  // code points of a value in a message
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

unsigned byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

// East Asian wide and fullwidth blocks and emoji, by and large: enough to put a caret under the right letter.
constexpr std::array<std::pair<char32_t, char32_t>, 10> kWide{{{0x1100, 0x115f},
                                                               {0x2e80, 0x303e},
                                                               {0x3041, 0xa4cf},
                                                               {0xac00, 0xd7a3},
                                                               {0xf900, 0xfaff},
                                                               {0xfe30, 0xfe6f},
                                                               {0xff00, 0xff60},
                                                               {0xffe0, 0xffe6},
                                                               {0x1f300, 0x1faff},
                                                               {0x20000, 0x3fffd}}};
constexpr std::array<std::pair<char32_t, char32_t>, 4> kZero{
    {{0x0300, 0x036f}, {0x200b, 0x200f}, {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}}};

bool within(char32_t code_point, std::span<const std::pair<char32_t, char32_t>> ranges) {
  return std::ranges::any_of(
      ranges, [&](const auto& range) { return code_point >= range.first && code_point <= range.second; });
}

std::string escaped(std::string_view text, std::size_t code_points_max) {
  std::string shown = "\"";
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    if (count == code_points_max) return shown + "…\"";
    const CodePoint point = code_point_at(text, at);
    if (!point.valid) {
      shown += kReplacement;
    } else if (point.value == '"' || point.value == '\\') {
      shown += {'\\', static_cast<char>(point.value)};
    } else if (is_control(point.value)) {
      shown += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(point.value));
    } else {
      shown += text.substr(at, point.bytes);
    }
    at += point.bytes;
  }
  return shown + '"';
}

bool is_name_letter(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
         (letter >= '0' && letter <= '9');
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t at) {
  constexpr CodePoint kBroken{.value = 0xfffd, .bytes = 1, .valid = false};
  const unsigned lead = byte_at(text, at);
  if (lead < 0x80) return {.value = lead};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() - at < bytes) return kBroken;
  char32_t value = lead & (0xffU >> (bytes + 1));
  for (std::size_t index = 1; index < bytes; ++index) {
    const unsigned next = byte_at(text, at + index);
    if ((next & 0xc0) != 0x80) return kBroken;
    value = (value << 6) | (next & 0x3f);
  }
  const bool overlong = (bytes == 3 && value < 0x800) || (bytes == 4 && value < 0x10000);
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  if (overlong || surrogate || value > 0x10ffff) return kBroken;
  return {.value = value, .bytes = bytes};
}

std::optional<std::size_t> invalid_utf8_at(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    if (!point.valid) return at;
    at += point.bytes;
  }
  return std::nullopt;
}

bool is_control(char32_t code_point) {
  // Beside C0 and C1: line and paragraph separators, and the marks that reverse a line's direction.
  return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) ||
         (code_point >= 0x2028 && code_point <= 0x202e) || (code_point >= 0x2066 && code_point <= 0x2069);
}

std::size_t width_of(char32_t code_point) {
  if (within(code_point, kZero)) return 0;
  return within(code_point, kWide) ? 2 : 1;
}

std::string cleaned(std::string_view text) {
  std::string clean;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    const bool shown = point.valid && (point.value == '\t' || !is_control(point.value));
    clean += shown ? text.substr(at, point.bytes) : kReplacement;
    at += point.bytes;
  }
  return clean;
}

std::string toml_quote(std::string_view text) { return escaped(text, text.size()); }

std::string quote(std::string_view text) { return escaped(text, kShownMax); }

std::string joined(std::span<const std::string> words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words) {
    if (&word != words.data()) text += separator;
    text += word;
  }
  return text;
}

std::string name_fault(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kNameMax) return fmt::format("is {} bytes long, more than {}", name.size(), kNameMax);
  if (!is_name_letter(name.front())) return "does not begin with a letter or digit";
  const bool fits = std::ranges::all_of(name, [](char letter) {
    return is_name_letter(letter) || letter == '.' || letter == '_' || letter == '-';
  });
  return fits ? "" : "has a character that names may not have";
}

std::string label_fault(std::string_view label) {
  if (label.empty()) return "is empty";
  if (label.size() > kLabelMax) return fmt::format("is {} bytes long, more than {}", label.size(), kLabelMax);
  if (label.front() == ' ' || label.back() == ' ') return "begins or ends with a space";
  for (std::size_t at = 0; at < label.size();) {
    const CodePoint point = code_point_at(label, at);
    if (!point.valid) return "is not UTF-8";
    if (is_control(point.value)) return "has a control character";
    at += point.bytes;
  }
  return {};
}

}  // namespace tutti::settings
