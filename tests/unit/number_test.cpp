// Text to float32: every value must be the one nearest to the decimal, whichever way read it.
#include "supervisor/data/number.hpp"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include "tests/catch.hpp"

using namespace tutti::table;

namespace {

/// Both ways against strtof, bit for bit. Returns whether the short way took it.
bool agrees(const std::string& text) {
  const float expected = std::strtof(text.c_str(), nullptr);
  const Number<float> general = read_number<float>(text);
  INFO(text);
  if (std::isinf(expected)) {
    CHECK(general.kind == NumberKind::too_large);
  } else {
    CHECK(general.kind == NumberKind::number);
    CHECK(std::bit_cast<std::uint32_t>(general.value) == std::bit_cast<std::uint32_t>(expected));
  }
  float fast = 0;
  const char* const stop = read_short_decimal(text.data(), text.data() + text.size(), fast);
  if (stop == nullptr) return false;
  CHECK(stop == text.data() + text.size());
  CHECK(std::bit_cast<std::uint32_t>(fast) == std::bit_cast<std::uint32_t>(expected));
  return true;
}

/// A float's neighbours' middle, exactly, as a decimal: where rounding twice would go wrong.
std::string half_way(float value) {
  const double next = std::nextafter(value, std::numeric_limits<float>::infinity());
  return fmt::format("{:.80f}", (static_cast<double>(value) + next) / 2);
}

std::string without_zeros_behind(std::string text) {
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

}  // namespace

TEST_CASE("number: the short way and from_chars both round as strtof does", "[number]") {
  // Goal: the float32 is the correctly rounded one. Method: decimals of every length and size, by the C
  // library.
  std::mt19937_64 random(1);
  int by_short_way = 0;
  for (int round = 0; round < 200'000; ++round) {
    const int digits = 1 + static_cast<int>(random() % 19);
    std::string text = random() % 2 == 0 ? "-" : "";
    for (int digit = 0; digit < digits; ++digit) text += static_cast<char>('0' + random() % 10);
    if (random() % 4 != 0) text.insert(text.size() - random() % static_cast<std::size_t>(digits), 1, '.');
    if (random() % 3 == 0) text += fmt::format("e{}", static_cast<int>(random() % 100) - 50);
    by_short_way += agrees(text) ? 1 : 0;
  }
  CHECK(by_short_way > 50'000);  // else this test would prove little about the short way
}

TEST_CASE("number: every kind of float32 reads back from its shortest and its longest decimal", "[number]") {
  std::mt19937_64 random(2);
  for (int round = 0; round < 100'000; ++round) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    agrees(fmt::format("{}", value));
    agrees(fmt::format("{:.17g}", static_cast<double>(value)));
  }
}

TEST_CASE("number: decimals half way between two float32, and next to it, round once", "[number]") {
  // Goal: no double rounding. Method: exact middles, and middles with a digit far behind that decides.
  std::mt19937_64 random(3);
  for (int round = 0; round < 20'000; ++round) {
    // Up to 2^24 the middle has few digits, so that the short way is tempted.
    const float value =
        std::ldexp(static_cast<float>(random() % (1U << 24)), -static_cast<int>(random() % 30));
    const std::string middle = without_zeros_behind(half_way(value));
    agrees(middle);
    // 16 digits: the decimal next to the middle, whose nearest double often is the middle itself.
    agrees(fmt::format("{:.15e}", std::strtod(middle.c_str(), nullptr)));
    agrees(middle + "00000001");
    agrees(middle + "1");
    std::string below = middle;
    if (below.back() >= '1' && below.back() <= '9') --below.back();
    agrees(below);
    agrees(below + "9999");
  }
}

TEST_CASE("number: edges of both ways", "[number]") {
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "-0.0e5",
                           "1.",
                           ".5",
                           "-.5",
                           "1e22",
                           "1e23",
                           "1e-22",
                           "1e-23",
                           "9007199254740992",
                           "9007199254740993",
                           "9007199254740993e22",
                           "9999999999999999999",
                           "99999999999999999999",
                           "16777217",
                           "16777219",
                           "33554433",
                           "3.4028235e38",
                           "3.4028236e38",
                           "3.40282356779733e38",
                           "1.1754944e-38",
                           "1.17549435e-38",
                           "1e-45",
                           "1.4e-45",
                           "7e-46",
                           "7.1e-46",
                           "0.1",
                           "0.2",
                           "0.3",
                           "1e+5",
                           "1E5",
                           "1e05",
                           "1e0000000000000000001",
                           "000000000000000000000000000001",
                           "0.00000000000000000000000000000000000001"}) {
    agrees(text);
  }
}

TEST_CASE("number: too large is told from too small", "[number]") {
  for (const char* text : {"1e39", "-1e39", "1e400", "1e99999999999999999999", "3.5e38"}) {
    INFO(text);
    CHECK(read_number<float>(text).kind == NumberKind::too_large);
  }
  CHECK(read_number<float>("1" + std::string(400, '0')).kind == NumberKind::too_large);
  CHECK(read_number<float>("0." + std::string(400, '0') + "1e440").kind == NumberKind::too_large);
  CHECK(read_number<float>("0." + std::string(400, '0') + "1e405").value == 10000);
  for (const char* text :
       {"1e-46", "1e-400", "-1e-99999999999999999999", "0e400", "0e999999999999999999999"}) {
    const Number<float> number = read_number<float>(text);
    INFO(text);
    CHECK(number.kind == NumberKind::number);
    CHECK(number.value == 0);
    CHECK(std::signbit(number.value) == (text[0] == '-'));
  }
  CHECK(read_number<double>("1e309").kind == NumberKind::too_large);
  CHECK(read_number<double>("1e-400").kind == NumberKind::number);
}

TEST_CASE("number: missing, infinite and what is no number", "[number]") {
  for (const char* text : {"", " ", "\t", "nan", "NaN", "NA", "?", " NA "}) {
    INFO(text);
    CHECK(read_number<float>(text).kind == NumberKind::missing);
    CHECK(std::isnan(read_number<float>(text).value));
  }
  for (const char* text : {"inf", "-inf", "+Inf", "INFINITY", " -infinity "}) {
    INFO(text);
    CHECK(read_number<float>(text).kind == NumberKind::infinite);
  }
  for (const char* text :
       {"x",   "-",    "+",   ".",     "-.",     "e5",   "1e", "1e+",     "1.2.3", "1 2", "--1", "+-1",
        "-+1", "0x10", "1,5", "1_000", "nan(7)", "-nan", "1f", "infinit", "\r1",   "1\r", "12a"}) {
    INFO(text);
    CHECK(read_number<float>(text).kind == NumberKind::not_a_number);
  }
  CHECK(read_number<float>("  +1.5\t").value == 1.5F);
}
