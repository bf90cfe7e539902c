// Text to numbers, correctly rounded: the value nearest to the decimal, ties to even.
//
//   "12.375"  ──▶  mantissa 12375, exponent -3  ──▶  12375.0 / 1e3 in double  ──▶  float32
//
// The short way holds for a mantissa up to 2^53 and a power of ten up to 1e22: both are exact doubles, so one
// division or multiplication rounds once. Rounding that double to float32 rounds a second time, which differs
// from rounding once only where the double is exactly half way between two float32 (rounding is monotonic and
// every half-way point is a double): those, and everything longer, go to std::from_chars.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string_view>

namespace tutti::table {

enum class NumberKind : std::uint8_t {
  number,
  missing,       // "", "nan", "NaN", "NA" or "?"
  infinite,      // "inf" or "infinity" in any case, signed or not
  too_large,     // a decimal beyond the largest finite value; one too small for the type is a number: 0
  not_a_number,  // any other text
};

template <class T>
struct Number {
  NumberKind kind = NumberKind::not_a_number;
  T value{};  // NaN for missing; else only set for number
};

/// The text without spaces and tabs round it.
std::string_view trim(std::string_view text) noexcept;

/// Reads a whole field: [spaces] [+-] digits [. digits] [e [+-] digits] [spaces]. T is float or double.
/// A decimal point needs a digit on one side. Linear in the text, no allocation, no locale.
template <class T>
Number<T> read_number(std::string_view text) noexcept;

inline constexpr std::array<double, 23> kPowersOfTen = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                        1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

inline bool is_digit(char byte) noexcept { return static_cast<unsigned char>(byte - '0') < 10; }

/// Adds digits to the mantissa (which may wrap; the caller counts them) and returns where they end.
inline const char* read_digits(const char* at, const char* end, std::uint64_t& mantissa) noexcept {
  for (; at != end && is_digit(*at); ++at) mantissa = mantissa * 10 + static_cast<std::uint64_t>(*at - '0');
  return at;
}

/// The short way. Returns where the number ends, or nullptr for what only read_number() can tell.
inline const char* read_short_decimal(const char* at, const char* end, float& value) noexcept {
  const bool negative = at != end && *at == '-';
  if (negative) ++at;
  std::uint64_t mantissa = 0;
  const char* const whole = at;
  at = read_digits(at, end, mantissa);
  std::ptrdiff_t digits = at - whole;
  std::ptrdiff_t exponent = 0;
  if (at != end && *at == '.') {
    const char* const fraction = ++at;
    at = read_digits(at, end, mantissa);
    exponent = fraction - at;
    digits -= exponent;
  }
  if (digits == 0 || digits > 19) return nullptr;  // 19 digits fit 64 bits
  if (at != end && (*at == 'e' || *at == 'E')) {
    ++at;
    const bool shrinks = at != end && *at == '-';
    if (at != end && (*at == '-' || *at == '+')) ++at;
    std::uint64_t power = 0;
    const char* const start = at;
    at = read_digits(at, end, power);
    if (at == start || at - start > 3) return nullptr;
    exponent += shrinks ? -static_cast<std::ptrdiff_t>(power) : static_cast<std::ptrdiff_t>(power);
  }
  if (mantissa > (1ULL << 53) || exponent < -22 || exponent > 22) return nullptr;
  const double exact = static_cast<double>(mantissa);
  const double rounded = exponent < 0 ? exact / kPowersOfTen[static_cast<std::size_t>(-exponent)]
                                      : exact * kPowersOfTen[static_cast<std::size_t>(exponent)];
  // Half way between two float32: of a double's 52 fraction bits the last 29 are 1000…0. The range here is
  // [1e-22, 1e38], where float32 is normal.
  constexpr std::uint64_t kBelowFloat = (1ULL << 29) - 1;
  if ((std::bit_cast<std::uint64_t>(rounded) & kBelowFloat) == 1ULL << 28) return nullptr;
  value = static_cast<float>(negative ? -rounded : rounded);
  return at;
}

}  // namespace tutti::table
