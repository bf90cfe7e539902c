#include "shared/log.hpp"

#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace tutti {
namespace {

using namespace std::chrono_literals;

struct Collected {
  LineStrainer strainer;
  std::vector<std::string> lines;
  LineStrainer::Line line = [this](std::string_view text) { lines.emplace_back(text); };
};

}  // namespace

TEST_CASE("log: lines are put together from pieces", "[log]") {
  Collected log;
  log.strainer.feed("one\ntw", 0s, log.line);
  log.strainer.feed("o\n\nthree", 0s, log.line);
  log.strainer.finish(log.line);
  CHECK(log.lines == std::vector<std::string>{"one", "two", "", "three"});
}

TEST_CASE("log: a stranger's text cannot forge a line or drive a terminal", "[log]") {
  Collected log;
  log.strainer.feed("\x1b]0;x\x07\r{\"level\":\"error\"}\xff\n", 0s, log.line);
  CHECK(log.lines == std::vector<std::string>{"?]0;x??{\"level\":\"error\"}?"});
}

TEST_CASE("log: a long line is cut and says so", "[log]") {
  Collected log;
  log.strainer.feed(std::string(3 * kLogLineMax, 'a'), 0s, log.line);
  log.strainer.feed(std::string(10, 'b') + "\nnext\n", 0s, log.line);
  REQUIRE(log.lines.size() == 2);
  CHECK(log.lines[0] == std::string(kLogLineMax, 'a') + " [cut]");
  CHECK(log.lines[1] == "next");
}

TEST_CASE("log: a flood is counted exactly, and reported when it is over", "[log]") {
  Collected log;
  const std::string line(99, 'x');
  const std::size_t fit = kLogBytesPerSecondMax / 100;
  for (std::size_t i = 0; i < fit + 50; ++i) log.strainer.feed(line + "\n", 100ms, log.line);
  CHECK(log.lines.size() == fit);
  CHECK(log.strainer.flooded());
  CHECK(log.strainer.lines_dropped() == 50);
  log.strainer.feed("calm\n", 1200ms, log.line);
  REQUIRE(log.lines.size() == fit + 2);
  CHECK(log.lines[fit] == "dropped 50 lines");
  CHECK(log.lines[fit + 1] == "calm");
  CHECK_FALSE(log.strainer.flooded());
}

}  // namespace tutti
