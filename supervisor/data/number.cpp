#include "supervisor/data/number.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

namespace tutti::table {
namespace {

bool is_blank(char byte) noexcept { return byte == ' ' || byte == '\t'; }

bool same_letters(std::string_view text, std::string_view lower) noexcept {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

bool is_missing(std::string_view text) noexcept {
  return text.empty() || text == "nan" || text == "NaN" || text == "NA" || text == "?";
}

/// Whether an unsigned decimal that from_chars found out of range is too large, not too small: the power of
/// ten of its first digit that is not 0.
bool is_large(std::string_view decimal) noexcept {
  constexpr std::int64_t kFar = 1'000'000'000'000;  // beyond the length of any text here
  const std::size_t mark = decimal.find_first_of("eE");
  const std::string_view digits = decimal.substr(0, mark);
  const std::size_t first = std::min(digits.find_first_of("123456789"), digits.size());
  const std::size_t point = std::min(digits.find('.'), digits.size());
  const std::int64_t magnitude = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
  if (mark == std::string_view::npos) return magnitude > 0;
  const bool shrinks = decimal[mark + 1] == '-';
  std::int64_t power = 0;
  for (const char byte : decimal.substr(mark + 1)) {
    if (is_digit(byte)) power = std::min(power * 10 + (byte - '0'), kFar);
  }
  return magnitude + (shrinks ? -power : power) > 0;
}

}  // namespace

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

template <class T>
Number<T> read_number(std::string_view text) noexcept {
  text = trim(text);
  if (is_missing(text)) return {NumberKind::missing, std::numeric_limits<T>::quiet_NaN()};
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  if (same_letters(text, "inf") || same_letters(text, "infinity")) return {NumberKind::infinite, {}};
  // from_chars takes a sign of its own and texts such as "nan(7)": neither is a number here.
  if (text.empty() || (!is_digit(text.front()) && text.front() != '.')) return {};
  T value{};
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc::invalid_argument || stop != text.data() + text.size()) return {};
  if (code == std::errc::result_out_of_range || std::isinf(value)) {
    if (is_large(text)) return {NumberKind::too_large, {}};
    value = 0;
  }
  return {NumberKind::number, negative ? -value : value};
}

template Number<float> read_number<float>(std::string_view) noexcept;
template Number<double> read_number<double>(std::string_view) noexcept;

}  // namespace tutti::table
