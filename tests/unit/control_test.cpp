// The control socket: whole messages, descriptors, and who sent them.
#include "shared/control.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>

#include "tests/catch.hpp"

namespace tutti {

TEST_CASE("control: a message arrives whole, with its descriptors and its sender", "[control]") {
  auto pair = make_control_pair();
  REQUIRE(pair);
  const ForkOrder order{.magic = kProtocolMagic, .isolate = 7, .generation = 3};
  const int ends[] = {pair->supervisor.get()};
  REQUIRE(send_message(pair->worker.get(), bytes_of(order), {}));

  ForkOrder received{};
  const Received got = receive_message(pair->supervisor.get(), writable_bytes_of(received), {});
  CHECK(got.kind == Received::Kind::message);
  CHECK(got.bytes == sizeof order);
  CHECK(got.sender == ::getpid());
  CHECK(received.isolate == 7);
  CHECK(received.generation == 3);

  REQUIRE(send_message(pair->supervisor.get(), bytes_of(order), ends));
  std::array<Descriptor, 2> descriptors;
  const Received with = receive_message(pair->worker.get(), writable_bytes_of(received), descriptors);
  CHECK(with.descriptors == 1);
  REQUIRE(descriptors[0].is_open());
  CHECK((::fcntl(descriptors[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("control: the supervisor's end does not block, keeps no descriptor and sees the end", "[control]") {
  auto pair = make_control_pair();
  REQUIRE(pair);
  ForkOrder received{};
  CHECK(receive_message(pair->supervisor.get(), writable_bytes_of(received), {}).kind ==
        Received::Kind::nothing);

  // Whether the kernel refuses them at once or the receiver closes them, none stays.
  const int probe = ::dup(0);
  ::close(probe);
  const std::array<int, 8> many{0, 0, 0, 0, 0, 0, 0, 0};
  const ForkOrder order{};
  if (send_message(pair->worker.get(), bytes_of(order), many)) {
    CHECK(receive_message(pair->supervisor.get(), writable_bytes_of(received), {}).kind ==
          Received::Kind::message);
  }
  const int next = ::dup(0);
  CHECK(next == probe);
  ::close(next);

  pair->worker.close();
  CHECK(receive_message(pair->supervisor.get(), writable_bytes_of(received), {}).kind ==
        Received::Kind::closed);
  CHECK_FALSE(send_message(pair->supervisor.get(), bytes_of(order), {}));
}

TEST_CASE("control: a message that is longer than expected tells its true length", "[control]") {
  auto pair = make_control_pair();
  REQUIRE(pair);
  const std::array<std::byte, 100> bytes{};
  REQUIRE(send_message(pair->worker.get(), bytes, {}));
  ForkOrder received{};
  const Received got = receive_message(pair->supervisor.get(), writable_bytes_of(received), {});
  CHECK(got.bytes == bytes.size());
}

}  // namespace tutti
