// Durations as people write them: a decimal number and a unit, "20ms", "1.5s".
//
//   "1.5s" ──parse_duration()──▶ 1'500'000'000 ns ──format_duration()──▶ "1.5s"
//
// Both ways are exact, in whole nanoseconds and integers only: "0.5ns" is no duration, and whatever is
// printed reads back to the same value.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <numeric>

#include "supervisor/config/config.hpp"

namespace tutti {
namespace {

constexpr std::uint64_t kDurationMax_ns = 24ULL * 3600 * 1'000'000'000;
// 10^18 fits in 64 bits; no unit needs more than 13 decimals to name a nanosecond.
constexpr std::size_t kDecimalsMax = 18;

struct Unit {
  std::string_view name;
  std::uint64_t length_ns;
};

// Largest first: where two forms are equally short the larger unit is taken.
constexpr std::array<Unit, 6> kUnits{{{"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000},
                                      {"ms", 1'000'000},
                                      {"us", 1'000},
                                      {"ns", 1}}};

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

std::size_t digits_at(std::string_view text, std::size_t from) {
  std::size_t end = from;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - from;
}

/// 0.DECIMALS of a unit, where that is a whole number of nanoseconds.
std::optional<std::uint64_t> part_of(std::string_view decimals, std::uint64_t unit_ns) {
  while (!decimals.empty() && decimals.back() == '0') decimals.remove_suffix(1);
  if (decimals.size() > kDecimalsMax) return std::nullopt;
  std::uint64_t numerator = 0;
  std::uint64_t denominator = 1;
  for (const char digit : decimals) {
    numerator = numerator * 10 + static_cast<std::uint64_t>(digit - '0');
    denominator *= 10;
  }
  const std::uint64_t common = std::gcd(denominator, unit_ns);
  denominator /= common;
  if (numerator % denominator != 0) return std::nullopt;
  return numerator / denominator * (unit_ns / common);
}

/// The value in this unit, or "" where it needs endless decimals or is below one.
std::string in_unit(std::uint64_t value_ns, const Unit& unit) {
  std::string text = fmt::format("{}", value_ns / unit.length_ns);
  std::uint64_t rest = value_ns % unit.length_ns;
  if (value_ns < unit.length_ns) return {};
  if (rest != 0) text += '.';
  for (std::size_t decimal = 0; rest != 0; ++decimal) {
    if (decimal == kDecimalsMax) return {};
    rest *= 10;
    text += static_cast<char>('0' + rest / unit.length_ns);
    rest %= unit.length_ns;
  }
  return text.append(unit.name);
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  const std::size_t whole_digits = digits_at(text, 0);
  if (whole_digits == 0) return std::nullopt;
  std::size_t at = whole_digits;
  std::string_view decimals;
  if (at < text.size() && text[at] == '.') {
    decimals = text.substr(at + 1, digits_at(text, at + 1));
    if (decimals.empty()) return std::nullopt;
    at += 1 + decimals.size();
  }
  std::uint64_t whole = 0;
  if (std::from_chars(text.data(), text.data() + whole_digits, whole).ec != std::errc()) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (text.substr(at) != unit.name) continue;
    const std::optional<std::uint64_t> part = part_of(decimals, unit.length_ns);
    if (!part || whole > kDurationMax_ns / unit.length_ns) return std::nullopt;
    const std::uint64_t value_ns = whole * unit.length_ns + *part;
    if (value_ns > kDurationMax_ns) return std::nullopt;
    return Duration(static_cast<std::int64_t>(value_ns));
  }
  return std::nullopt;
}

std::string format_duration(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  const bool negative = duration < Duration::zero();
  const auto count = static_cast<std::uint64_t>(duration.count());
  const std::uint64_t value_ns = negative ? 0 - count : count;
  std::string shortest;
  for (const Unit& unit : kUnits) {
    const std::string text = in_unit(value_ns, unit);
    if (!text.empty() && (shortest.empty() || text.size() < shortest.size())) shortest = text;
  }
  return negative ? "-" + shortest : shortest;
}

}  // namespace tutti
