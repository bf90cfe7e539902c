#include "shared/ring.hpp"

#include <memory>
#include <thread>
#include <vector>

#include "tests/catch.hpp"

namespace tutti {
namespace {

struct TestRing {
  explicit TestRing(std::size_t count) : lines(count), writer(lines), reader(lines) {}

  void publish(std::uint64_t id) { writer.publish({.id = id, .rows = static_cast<std::uint32_t>(id)}); }

  std::vector<RingLine> lines;
  RingWriter<Request> writer;
  RingReader<Request> reader;
};

}  // namespace

TEST_CASE("ring: what is published is taken, in order, over many laps", "[ring]") {
  TestRing ring(4);
  Request request{};
  CHECK(ring.reader.take(request) == Take::nothing);
  for (std::uint64_t id = 1; id <= 100; ++id) {
    CHECK_FALSE(ring.reader.has_news());
    ring.publish(id);
    CHECK(ring.reader.has_news());
    REQUIRE(ring.reader.take(request) == Take::taken);
    CHECK(request.id == id);
    CHECK(request.rows == id);
    CHECK(ring.reader.last_line() == (id - 1) % 4);
    CHECK(ring.reader.take(request) == Take::nothing);
  }
}

TEST_CASE("ring: a full lap can be outstanding", "[ring]") {
  TestRing ring(8);
  for (int lap = 0; lap < 3; ++lap) {
    for (std::uint64_t i = 0; i < 8; ++i) ring.publish(i);
    Request request{};
    for (std::uint64_t i = 0; i < 8; ++i) {
      REQUIRE(ring.reader.take(request) == Take::taken);
      CHECK(request.id == i);
    }
    CHECK(ring.reader.take(request) == Take::nothing);
  }
}

TEST_CASE("ring: a descriptor that changes after it was taken is never looked at again", "[ring]") {
  // Goal: a corrupt peer costs one isolate, never the supervisor's memory.
  // Method: rewrite the line after take(), as a hostile writer would.
  TestRing ring(4);
  ring.publish(2);
  Request taken{};
  REQUIRE(ring.reader.take(taken) == Take::taken);
  for (auto& word : ring.lines[0].words) word.store(UINT64_MAX);
  CHECK(taken.id == 2);
  CHECK(taken.rows == 2);
}

TEST_CASE("ring: a sequence that no correct writer can have stored is a violation", "[ring]") {
  // Goal: every lie of FAULTS 22 (ahead, behind, wrapped, huge) is seen, on the first and on a later lap.
  for (const std::uint64_t before : {0U, 6U}) {
    for (const std::uint64_t lie : {std::uint64_t{before + 2}, std::uint64_t{before + 9},
                                    std::uint64_t{1} << 63U, UINT64_MAX, UINT64_MAX - 3}) {
      TestRing ring(4);
      Request request{};
      for (std::uint64_t i = 0; i < before; ++i) {
        ring.publish(i);
        REQUIRE(ring.reader.take(request) == Take::taken);
      }
      ring.lines[before % 4].sequence.store(lie);
      CAPTURE(before, lie);
      CHECK(ring.reader.has_news());
      CHECK(ring.reader.take(request) == Take::violation);
      CHECK(ring.reader.taken() == before);
    }
  }
}

TEST_CASE("ring: two threads exchange a hundred thousand descriptors without loss, tear or reordering",
          "[ring]") {
  // Method: the answer is the credit, as in a channel; every word of a descriptor carries its number.
  constexpr std::uint64_t kCount = 100'000;
  std::vector<RingLine> down(8);
  std::vector<RingLine> up(8);
  std::thread worker([&] {
    RingReader<Request> requests(down);
    RingWriter<Answer> answers(up);
    Request request{};
    for (std::uint64_t i = 0; i < kCount;) {
      if (requests.take(request) != Take::taken) {
        std::this_thread::yield();
        continue;
      }
      answers.publish({.id = request.id, .rows = request.rows, .compute_ns = request.input_offset});
      ++i;
    }
  });
  RingWriter<Request> requests(down);
  RingReader<Answer> answers(up);
  std::uint64_t wrong = 0;
  for (std::uint64_t answered = 0; answered < kCount;) {
    while (requests.published() < kCount && requests.published() - answered < 8) {
      const std::uint64_t id = requests.published();
      requests.publish({.id = id, .input_offset = id * 3, .rows = static_cast<std::uint32_t>(id * 7)});
    }
    Answer answer{};
    if (answers.take(answer) != Take::taken) {
      std::this_thread::yield();
      continue;
    }
    const bool right = answer.id == answered && answer.compute_ns == answered * 3 &&
                       answer.rows == static_cast<std::uint32_t>(answered * 7);
    wrong += right ? 0 : 1;
    ++answered;
  }
  worker.join();
  CHECK(wrong == 0);
}

}  // namespace tutti
