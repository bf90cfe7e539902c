#include "supervisor/consume.hpp"

#include <cstring>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace tutti {
namespace {

// One isolate's answer ring and output slot, written by the test as a worker would or would not.
struct TestChannel {
  std::vector<RingLine> lines = std::vector<RingLine>(4);
  RingWriter<Answer> writer{lines};
  RingReader<Answer, ChannelLoad> reader{lines};
  std::vector<float> output = std::vector<float>(64, 0.25F);
  std::vector<float> part = std::vector<float>(6, -1.0F);
  AnswerForm form{.outputs = 2};
  std::optional<Expected> expected = Expected{.id = 77, .slot = 1, .rows = 3, .wanted = true};

  static Answer right() {
    return {.id = 77,
            .status = static_cast<std::uint32_t>(AnswerStatus::ok),
            .rows = 3,
            .outputs = 2,
            .compute_ns = 5};
  }
  Consumed consume() {
    return tutti::consume<ChannelLoad>(reader, expected, form, output.data(), part.data());
  }
};

}  // namespace

TEST_CASE("consume: a right answer is copied and counts", "[consume]") {
  TestChannel channel;
  channel.writer.publish(TestChannel::right());
  const Consumed consumed = channel.consume();
  CHECK(consumed.kind == Consumed::Kind::answer);
  CHECK(consumed.fate.state == VoteState::voted);
  CHECK(consumed.compute_ns == 5);
  CHECK(channel.part == std::vector<float>(6, 0.25F));
  CHECK(channel.consume().kind == Consumed::Kind::nothing);
}

TEST_CASE("consume: an answer to what was not asked is a violation", "[consume]") {
  for (const std::uint64_t id : std::initializer_list<std::uint64_t>{0, 76, 77 | (1ULL << 48U), UINT64_MAX}) {
    TestChannel channel;
    Answer answer = TestChannel::right();
    answer.id = id;
    channel.writer.publish(answer);
    CHECK(channel.consume().kind == Consumed::Kind::violation);
    CHECK(channel.part == std::vector<float>(6, -1.0F));
  }
  TestChannel idle;
  idle.expected.reset();
  idle.writer.publish(TestChannel::right());
  CHECK(idle.consume().kind == Consumed::Kind::violation);
}

TEST_CASE("consume: an unknown status is a violation", "[consume]") {
  for (const std::uint32_t status : {0U, 4U, UINT32_MAX}) {
    TestChannel channel;
    Answer answer = TestChannel::right();
    answer.status = status;
    channel.writer.publish(answer);
    CHECK(channel.consume().kind == Consumed::Kind::violation);
  }
}

TEST_CASE("consume: a wrong shape is rejected unread", "[consume]") {
  for (const auto& [rows, outputs] :
       {std::pair{2U, 2U}, {3U, 1U}, {UINT32_MAX, 2U}, {0U, 0U}, {1U << 31U, 1U << 31U}}) {
    TestChannel channel;
    Answer answer = TestChannel::right();
    answer.rows = rows;
    answer.outputs = outputs;
    channel.writer.publish(answer);
    const Consumed consumed = channel.consume();
    CHECK(consumed.fate ==
          VoteFate{.state = VoteState::rejected, .detail = static_cast<int>(Rejection::wrong_shape)});
    CHECK(channel.part == std::vector<float>(6, -1.0F));
  }
}

TEST_CASE("consume: numbers that are not finite are rejected; denormals and minus zero are numbers",
          "[consume]") {
  using Limits = std::numeric_limits<float>;
  for (const float bad :
       {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), -Limits::signaling_NaN()}) {
    for (std::size_t place = 0; place < 6; ++place) {
      TestChannel channel;
      channel.output[place] = bad;
      channel.writer.publish(TestChannel::right());
      CHECK(channel.consume().fate ==
            VoteFate{.state = VoteState::rejected, .detail = static_cast<int>(Rejection::not_valid)});
    }
  }
  TestChannel channel;
  channel.output = {Limits::denorm_min(), -0.0F, Limits::max(), Limits::lowest(), 0, 1};
  channel.writer.publish(TestChannel::right());
  CHECK(channel.consume().fate.state == VoteState::voted);
}

TEST_CASE("consume: where probabilities are asked for, other numbers are rejected", "[consume]") {
  for (const auto& [value, valid] : {std::pair{0.0F, true},
                                     {1.0F, true},
                                     {1.000001F, true},
                                     {1.1F, false},
                                     {-0.01F, false},
                                     {3e38F, false}}) {
    TestChannel channel;
    channel.form.probabilities = true;
    channel.output[4] = value;
    channel.writer.publish(TestChannel::right());
    CAPTURE(value);
    CHECK((channel.consume().fate.state == VoteState::voted) == valid);
  }
}

TEST_CASE("consume: a failed request brings the model's words, bounded and printable", "[consume]") {
  TestChannel channel;
  std::memcpy(channel.output.data(), "no\x1b[1mway", 8);
  Answer answer = TestChannel::right();
  answer.status = static_cast<std::uint32_t>(AnswerStatus::failed);
  answer.text_bytes = 8;
  channel.writer.publish(answer);
  const Consumed consumed = channel.consume();
  CHECK(consumed.fate.state == VoteState::failed);
  CHECK(consumed.text == "no?[1mwa");
  answer.text_bytes = UINT32_MAX;
  channel.writer.publish(answer);
  CHECK(channel.consume().text.size() == kAnswerTextMax);
}

TEST_CASE("consume: an answer that nobody waits for is not copied", "[consume]") {
  TestChannel channel;
  channel.expected->wanted = false;
  channel.expected->probe = GENERATE(false, true);
  channel.writer.publish(TestChannel::right());
  // Of a probe only whether it was worked on is asked.
  CHECK(channel.consume().fate.state == (channel.expected->probe ? VoteState::voted : VoteState::late));
  CHECK(channel.part == std::vector<float>(6, -1.0F));
}

}  // namespace tutti
