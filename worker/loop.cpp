#include "worker/loop.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#include "worker/fault_point.hpp"

namespace tutti {
namespace {

std::int64_t monotonic_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Loop {
 public:
  Loop(const LoopMemory& memory, Model& model, TierPublisher& tiers)
      : memory_(memory),
        start_(memory.down.start()),
        model_(model),
        requests_(memory.down.requests()),
        answers_(memory.up.answers()),
        tiers_(tiers) {}

  [[noreturn]] void run() {
    Request request;
    for (;;) {
      fault_point("before_take");
      if (requests_.take(request) == Take::taken) {
        fault_point("after_take");
        answer(request);
      } else {
        wait();
      }
    }
  }

 private:
  void answer(const Request& request) {
    float* output = memory_.up.output(answers_.next_line());
    Answer answer{.id = request.id,
                  .status = static_cast<std::uint32_t>(AnswerStatus::ok),
                  .rows = request.rows,
                  .outputs = start_.outputs,
                  .text_bytes = 0,
                  .compute_ns = 0,
                  .reserved = {}};
    const std::int64_t begun = monotonic_ns();
    if (begun >= request.deadline_ns) {
      answer.status = static_cast<std::uint32_t>(AnswerStatus::expired);
    } else {
      predict(request, output, answer);
      answer.compute_ns = static_cast<std::uint64_t>(monotonic_ns() - begun);
    }
    fault_point("before_publish");
    answers_.publish(answer);
    fault_point("after_publish");
    wake_supervisor();
    fault_point("after_wake");
    tiers_.after_answer();
  }

  void predict(const Request& request, float* output, Answer& answer) {
    const MatrixView x{reinterpret_cast<const float*>(memory_.input + request.input_offset), request.rows,
                       start_.features};
    const auto done = model_.predict(x, {output, request.rows, start_.outputs});
    fault_point("mid_write");
    if (done) return;
    answer.status = static_cast<std::uint32_t>(AnswerStatus::failed);
    const std::string text = describe_failure(done.error());
    answer.text_bytes = static_cast<std::uint32_t>(std::min(text.size(), kAnswerTextMax));
    std::memcpy(output, text.data(), answer.text_bytes);
  }

  static std::string describe_failure(const Error& error) {
    return error.where.empty() ? error.what : error.where + ": " + error.what;
  }

  void wake_supervisor() {
    wake_fence();
    if (memory_.down.sleeping().load(std::memory_order_relaxed) == 0) return;
    const std::uint64_t one = 1;
    // A full counter means that the supervisor is awake already.
    [[maybe_unused]] const ssize_t written = ::write(memory_.bell, &one, sizeof one);
  }

  void wait() {
    const std::int64_t until = monotonic_ns() + start_.spin_ns;
    do {
      // The clock costs more than a look; it is read once in sixteen.
      for (int look = 0; look < 16; ++look) {
        if (requests_.has_news()) return;
        wait_step(start_.yields != 0);
      }
    } while (monotonic_ns() < until);
    sleep();
  }

  void sleep() {
    tiers_.before_sleep();
    const std::uint32_t bell = memory_.down.bell().load(std::memory_order_acquire);
    memory_.up.sleeping().store(1, std::memory_order_relaxed);
    wake_fence();
    // The second look: a request published before the flag was seen would otherwise wait for the next one.
    if (!requests_.has_news()) futex_wait(memory_.down.bell(), bell, std::chrono::nanoseconds(-1));
    memory_.up.sleeping().store(0, std::memory_order_relaxed);
  }

  LoopMemory memory_;
  const StartBlock& start_;
  Model& model_;
  RingReader<Request> requests_;
  RingWriter<Answer> answers_;
  TierPublisher& tiers_;
};

}  // namespace

void serve(const LoopMemory& memory, Model& model, TierPublisher& tiers) { Loop(memory, model, tiers).run(); }

}  // namespace tutti
