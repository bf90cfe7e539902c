// What is counted and told about an ensemble: latencies, events, what a process uses.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <random>

#include "supervisor/clock.hpp"
#include "supervisor/watch/events.hpp"
#include "supervisor/watch/histogram.hpp"
#include "supervisor/watch/tally.hpp"
#include "supervisor/watch/usage.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / (name + std::to_string(::getpid()))).string();
}

std::vector<nlohmann::json> lines_of(const std::string& path) {
  std::vector<nlohmann::json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("histogram: a quantile is within 3 % of the sorted values' own", "[watch]") {
  // Method: durations over nine decades; the oracle sorts them.
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(0, 11);
  Histogram histogram;
  std::vector<double> values;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(std::floor(std::pow(10.0, exponent(random))));
    histogram.add(Duration(static_cast<std::int64_t>(values.back())));
  }
  std::ranges::sort(values);
  CHECK(histogram.total() == values.size());
  for (const double q : {0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double right = values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
    CHECK(static_cast<double>(histogram.quantile(q).count()) == Approx(right).epsilon(0.03).margin(1));
  }
}

TEST_CASE("histogram: nothing, a negative time and an age are counted without harm", "[watch]") {
  Histogram histogram;
  CHECK(histogram.quantile(0.99) == Duration{});
  histogram.add(Duration(-5));
  CHECK(histogram.quantile(1) < Duration(2));
  histogram.add(Duration::max());
  CHECK(histogram.quantile(1) > std::chrono::hours(1));
  CHECK(histogram.total() == 2);
}

TEST_CASE("tally: votes and misses are told by cause", "[watch]") {
  MemberTally tally;
  tally.add({.state = VoteState::voted}, Duration(1000));
  tally.add({.state = VoteState::late}, Duration(5000));
  tally.add({.state = VoteState::late}, Duration(5000));
  MemberStatus member;
  tally.tell(member);
  CHECK(member.voted == 1);
  CHECK(member.latency.count == 1);
  REQUIRE(member.missed.size() == 1);
  CHECK(member.missed[0] == std::pair{VoteState::late, std::uint64_t{2}});
}

TEST_CASE("events: each is a line of JSON with both times, in order, and told to the listener", "[watch]") {
  const std::string path = temporary("tutti_events_");
  std::filesystem::remove(path);
  std::vector<Event::Kind> heard;
  {
    auto log = EventLog::open(path, "risk", [&](const Event& event) { heard.push_back(event.kind); });
    REQUIRE(log);
    (*log)->push({.kind = Event::Kind::died,
                  .isolate = "boosted/0",
                  .pid = 7,
                  .generation = 2,
                  .cause = {.state = VoteState::crashed, .detail = 9},
                  .at = monotonic_now()});
    (*log)->push({.kind = Event::Kind::quorum_lost, .isolate = {}, .quorum = 2, .at = monotonic_now()});
  }
  const auto lines = lines_of(path);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["event"] == "died");
  CHECK(lines[0]["isolate"] == "boosted/0");
  CHECK(lines[0]["cause"] == "crashed");
  CHECK(lines[0]["detail"] == "crashed: SIGKILL");
  CHECK(lines[0]["time"].get<std::string>().size() == 27);
  CHECK(lines[1]["event"] == "quorum_lost");
  CHECK(lines[1]["quorum"] == 2);
  CHECK(!lines[1].contains("isolate"));
  CHECK(lines[1]["at_ns"].get<std::int64_t>() >= lines[0]["at_ns"].get<std::int64_t>());
  CHECK(heard == std::vector{Event::Kind::died, Event::Kind::quorum_lost});
  std::filesystem::remove(path);
}

TEST_CASE("events: a reader that does not read costs events, not time, and they are counted", "[watch]") {
  // Method: a pipe that is full before the first event; a push that waited for it would never return.
  const std::string path = temporary("tutti_unread_");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  const std::string filler(4096, 'x');
  while (::write(reader, filler.data(), filler.size()) > 0) continue;
  auto log = EventLog::open(path, "risk", {});
  REQUIRE(log);
  constexpr std::uint64_t kPushed = 5000;
  for (std::uint64_t i = 0; i < kPushed; ++i) (*log)->push({.kind = Event::Kind::ready, .isolate = "a/0"});
  // At most a queue of 1024 waits, and one that is as long is on its way.
  CHECK((*log)->dropped() >= kPushed - 2048);
  CHECK((*log)->dropped() <= kPushed);
  log->reset();
  ::close(reader);
  std::filesystem::remove(path);
}

TEST_CASE("events: a place that cannot be written is an error that names it", "[watch]") {
  const auto log = EventLog::open("/nowhere/events.jsonl", "risk", {});
  REQUIRE(!log);
  CHECK(log.error().code == Errc::system);
  CHECK(log.error().where.find("/nowhere/events.jsonl") != std::string::npos);
}

TEST_CASE("usage: this process has memory and processor time, one that is not there has none", "[watch]") {
  const auto mine = usage_of(::getpid());
  REQUIRE(mine);
  CHECK(mine->pss_bytes >= mine->unshared_bytes);
  CHECK(mine->unshared_bytes > 0);
  // Method: memory that is written must show.
  constexpr std::size_t kBytes = std::size_t{32} << 20U;
  std::vector<char> ballast(kBytes, 1);
  const auto more = usage_of(::getpid());
  REQUIRE(more);
  CHECK(more->unshared_bytes >= mine->unshared_bytes + kBytes / 2);
  CHECK(ballast[kBytes / 2] == 1);
  CHECK(!usage_of(1 << 30));
}

}  // namespace tutti
