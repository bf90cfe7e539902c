#include "shared/channel.hpp"
#include "shared/control.hpp"
#include "tests/catch.hpp"

namespace tutti {

TEST_CASE("message: the layout is the one that protocol 5 promised", "[message]") {
  // Goal: nobody changes shared bytes without raising kProtocolVersion. If this fails, raise it and update
  // here.
  CHECK(kProtocolVersion == 5);
  CHECK(sizeof(StartBlock) == 3296);
  CHECK(sizeof(ForkOrder) == 16);
  CHECK(sizeof(Notice) == 1600);
  CHECK(offsetof(StartBlock, name) == 136);
  CHECK(sizeof(HelloBlock) == 1592);
  CHECK(offsetof(HelloBlock, what) == 32);
  CHECK(sizeof(TierBlock) == 920);
  CHECK(ChannelShape::kUpTiers == 2048);
  CHECK(offsetof(Request, deadline_ns) == 16);
  CHECK(offsetof(Answer, compute_ns) == 24);
  CHECK(ChannelShape::kDownRing == 4224);
  CHECK(ChannelShape::kUpRing == 4224);
}

TEST_CASE("message: an id names generation, slot and counter, and nothing collides", "[message]") {
  CHECK(request_id(1, 2, 3) == 0x0001'0002'0000'0003);
  CHECK(request_id(0xffff, 0xffff, 0xffffffff) == UINT64_MAX);
  CHECK(request_id(1, 0, 0) != request_id(0, 1, 0));
  CHECK(request_id(0x10001, 0, 0) == request_id(1, 0, 0));
}

TEST_CASE("message: a bounded text cuts what is too long and survives a size that lies", "[message]") {
  BoundedText<4> text{};
  text.assign("abcdef");
  CHECK(text.view() == "abcd");
  text.assign("");
  CHECK(text.view().empty());
  text.size = UINT32_MAX;
  CHECK(text.view().size() == 4);
}

TEST_CASE("channel: places follow from the shape, do not overlap and stay inside", "[channel]") {
  for (const std::uint32_t lines : {2U, 16U, 1024U}) {
    for (const std::uint32_t outputs : {1U, 2U, 1000U}) {
      const ChannelShape shape{.lines = lines, .rows_max = 7, .outputs = outputs};
      CAPTURE(lines, outputs);
      CHECK(ChannelShape::kDownRing + lines * sizeof(RingLine) <= shape.down_bytes());
      CHECK(ChannelShape::kUpRing + lines * sizeof(RingLine) <= shape.outputs_offset());
      CHECK(shape.output_slot_bytes() >= std::size_t{7} * outputs * sizeof(float));
      CHECK(shape.output_slot_bytes() >= kAnswerTextMax);
      CHECK(shape.output_slot_bytes() % kCacheLine == 0);
      CHECK(shape.outputs_offset() + lines * shape.output_slot_bytes() <= shape.up_bytes());
      CHECK(shape.up_bytes() % kPage == 0);
    }
  }
}

}  // namespace tutti
