// The bases and tutti's own hand-over, as techniques of a Duo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "duo.hpp"
#include "shared/channel.hpp"
#include "shared/region.hpp"

namespace tutti::bench {

/// One cache line to and fro: R on two cores; with `yields`, the bare sched_yield ping-pong of one core.
class Bounce : public Technique {
 public:
  explicit Bounce(bool yields);
  void ask(std::uint64_t rounds) override;
  void serve(std::uint64_t rounds) override;

 private:
  void wait_for(std::uint64_t value) const;
  bool yields_;
  std::uint64_t round_ = 0;  // of this side
  std::atomic<std::uint64_t>* line_;
};

/// Request and answer in one line, with the sleep protocol: what the ring is held against.
class Mailbox : public Technique {
 public:
  Mailbox();
  void ask(std::uint64_t rounds) override;
  void serve(std::uint64_t rounds) override;

 private:
  struct Lines;
  std::uint64_t round_ = 0;
  Lines* lines_;
};

/// A channel as the supervisor and the worker use it (WorkerLink, worker/loop.cpp), nobody asleep, one
/// request in flight. The regions are memfds, mapped by each side as a supervisor and a worker map them.
class Channel : public Technique {
 public:
  struct Shape {
    std::uint32_t lines = 2 * kInFlightDefault;
    std::size_t payload = 0;    // bytes of a row, copied in before each request; a multiple of 4
    bool workers_loop = false;  // serve with worker/loop.cpp and a model that does nothing
    bool yields = false;
  };
  static Result<std::unique_ptr<Channel>> create(Shape shape);
  Result<void> open_server() override;
  void ask(std::uint64_t rounds) override;
  void serve(std::uint64_t rounds) override;

 private:
  explicit Channel(Shape shape) : shape_(shape) {}
  [[noreturn]] void serve_with_loop();
  [[nodiscard]] std::uint32_t features() const noexcept {
    return static_cast<std::uint32_t>(shape_.payload / sizeof(float));
  }

  Shape shape_;
  ChannelShape layout_;
  std::vector<float> row_;
  Region input_;
  Region down_;
  Region up_;
  Descriptor bell_;
  Region workers_down_;
  Region workers_up_;
  RingWriter<Request> requests_;
  RingReader<Answer> answers_;
  RingReader<Request> workers_requests_;
  RingWriter<Answer> workers_answers_;
};

}  // namespace tutti::bench
