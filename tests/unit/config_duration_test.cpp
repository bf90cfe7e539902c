#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/config/config.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

TEST_CASE("duration: a number and a unit are read exactly", "[config]") {
  const std::vector<std::pair<std::string, Duration>> cases{
      {"20ms", 20ms},    {"1.5s", 1500ms},         {"500us", 500us},
      {"2m", 2min},      {"10ns", 10ns},           {"24h", 24h},
      {"0s", 0s},        {"0.5ms", 500us},         {"0.000000001s", 1ns},
      {"007s", 7s},      {"1.500s", 1500ms},       {"0.5h", 30min},
      {"1.1us", 1100ns}, {"0.000000000005h", 18ns}};
  for (const auto& [text, duration] : cases) {
    INFO(text);
    CHECK(parse_duration(text) == duration);
  }
}

TEST_CASE("duration: anything else is no duration", "[config]") {
  for (const std::string text : {"",
                                 "5",
                                 "ms",
                                 "5 ms",
                                 " 5ms",
                                 "5ms ",
                                 "-5ms",
                                 "+5ms",
                                 ".5s",
                                 "5.s",
                                 "1e3s",
                                 "5S",
                                 "5 parsecs",
                                 "5sec",
                                 "1s2ms",
                                 "0.5ns",
                                 "1.0000000001s",
                                 "24.1h",
                                 "25h",
                                 "1441m",
                                 "99999999999999999999s",
                                 "18446744073709551615ns",
                                 "nan",
                                 "0x10s",
                                 "1_0s",
                                 "1,5s"}) {
    INFO(text);
    CHECK(parse_duration(text) == std::nullopt);
  }
}

TEST_CASE("duration: the shortest exact form is written", "[config]") {
  const std::vector<std::pair<Duration, std::string>> cases{
      {20ms, "20ms"},    {1500ms, "1.5s"}, {100ms, "100ms"},
      {60s, "1m"},       {90s, "90s"},     {24h, "24h"},
      {1ns, "1ns"},      {0s, "0s"},       {1s + 1ns, "1.000000001s"},
      {1001us, "1001us"}};
  for (const auto& [duration, text] : cases) CHECK(format_duration(duration) == text);
}

TEST_CASE("duration: whatever is written reads back to the same nanosecond", "[config]") {
  // Method: random lengths of every magnitude, and the edges; the seed is fixed.
  std::mt19937_64 random(7);
  for (int round = 0; round < 20'000; ++round) {
    const std::int64_t range = std::int64_t{1} << (1 + random() % 46);
    const Duration duration(static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(range)) %
                            (24h / 1ns + 1));
    INFO(duration.count() << " ns as " << format_duration(duration));
    REQUIRE(parse_duration(format_duration(duration)) == duration);
  }
  CHECK(parse_duration(format_duration(24h)) == 24h);
}

}  // namespace
}  // namespace tutti
