// Text from a config: is it sound, what may it be, and how is it shown to a person.
//
// What is shown again never carries a control character or a broken code point: a config must not be able to
// drive the terminal of whoever reads its errors.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tutti::settings {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 1;
  bool valid = true;
};

/// The code point at text[at]; a byte that begins none is U+FFFD, one byte long and not valid.
CodePoint code_point_at(std::string_view text, std::size_t at);

/// Byte offset of the first byte that is not UTF-8.
std::optional<std::size_t> invalid_utf8_at(std::string_view text);

bool is_control(char32_t code_point);

/// Columns of a terminal that a code point takes: 0, 1 or 2.
std::size_t width_of(char32_t code_point);

/// Every control character (but tab) and every broken byte replaced by U+FFFD.
std::string cleaned(std::string_view text);

/// In double quotes, with escapes as TOML has them, wholly: reads back to the same text.
std::string toml_quote(std::string_view text);

/// As toml_quote, but cut to what a message can bear.
std::string quote(std::string_view text);

std::string joined(std::span<const std::string> words, std::string_view separator);

/// Why this cannot be an ensemble's, member's or profile's name; "" when it can.
std::string name_fault(std::string_view name);

/// Why this cannot be a class or a feature; "" when it can.
std::string label_fault(std::string_view label);

inline constexpr std::string_view kNamePattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$";
inline constexpr std::string_view kNameHint =
    "a name has at most 64 letters a-z A-Z, digits, '.', '_' and '-', and begins with a letter or digit";
inline constexpr std::string_view kLabelHint =
    "write 1 to 256 bytes of text without control characters, nor spaces at its ends";

}  // namespace tutti::settings
