#include "techniques.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <new>

#include "shared/doorbell.hpp"
#include "supervisor/consume.hpp"
#include "supervisor/copy_in.hpp"
#include "worker/loop.hpp"
#include "worker/tier_publisher.hpp"

namespace tutti::bench {

// ---- one line ----

Bounce::Bounce(bool yields)
    : yields_(yields), line_(new(shared_memory(kPage)) std::atomic<std::uint64_t>{0}) {}

void Bounce::wait_for(std::uint64_t value) const {
  while (line_->load(std::memory_order_acquire) != value) wait_step(yields_);
}

void Bounce::ask(std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    round_ += 2;
    line_->store(round_ - 1, std::memory_order_release);
    wait_for(round_);
  }
}

void Bounce::serve(std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    round_ += 2;
    wait_for(round_ - 1);
    line_->store(round_, std::memory_order_release);
  }
}

// ---- mailbox ----

struct Mailbox::Lines {
  RingLine line;
  WakeWord client_sleeps;
  WakeWord server_sleeps;
};

Mailbox::Mailbox() : lines_(new(shared_memory(sizeof(Lines))) Lines{}) {}

namespace {

void fill(RingLine& line, std::uint64_t sequence) {
  for (auto& word : line.words) word.store(sequence, std::memory_order_relaxed);
  line.sequence.store(sequence, std::memory_order_release);
}

void await(const RingLine& line, std::uint64_t sequence) {
  while (line.sequence.load(std::memory_order_acquire) != sequence) wait_step(false);
  for (const auto& word : line.words) (void)word.load(std::memory_order_relaxed);
}

void look_whether_asleep(const WakeWord& flag) {
  wake_fence();
  if (flag.value.load(std::memory_order_relaxed) != 0) futex_wake(flag.value);
}

}  // namespace

void Mailbox::ask(std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    round_ += 2;
    fill(lines_->line, round_ - 1);
    look_whether_asleep(lines_->server_sleeps);
    await(lines_->line, round_);
  }
}

void Mailbox::serve(std::uint64_t rounds) {
  for (; rounds > 0; --rounds) {
    round_ += 2;
    await(lines_->line, round_ - 1);
    fill(lines_->line, round_);
    look_whether_asleep(lines_->client_sleeps);
  }
}

// ---- tutti's channel ----

Result<std::unique_ptr<Channel>> Channel::create(Shape shape) {
  std::unique_ptr<Channel> channel(new Channel(shape));
  channel->layout_ = {.lines = shape.lines, .rows_max = 1, .outputs = 1};
  channel->row_.assign(channel->features(), 0.5F);
  const std::size_t input_bytes = ChannelShape::round_up(std::max(shape.payload, kCacheLine), kPage);
  auto input = Region::create("bench-input", input_bytes, Writer::creator);
  auto down = Region::create("bench-down", channel->layout_.down_bytes(), Writer::creator);
  auto up = Region::create("bench-up", channel->layout_.up_bytes(), Writer::peer);
  for (const auto* made : {&input, &down, &up}) {
    if (!*made) return std::unexpected(made->error());
  }
  channel->input_ = std::move(*input);
  channel->down_ = std::move(*down);
  channel->up_ = std::move(*up);
  channel->bell_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const DownView<std::byte> down_view(channel->down_.data(), shape.lines);
  const UpView<const std::byte> up_view(channel->up_.data(), channel->layout_);
  channel->requests_ = RingWriter<Request>(down_view.requests());
  channel->answers_ = RingReader<Answer>(up_view.answers());
  StartBlock& start = down_view.start();
  start.features = channel->features();
  start.outputs = 1;
  start.spin_ns = 50'000;
  start.yields = shape.yields ? 1 : 0;
  return channel;
}

Result<void> Channel::open_server() {
  auto down = Region::attach(Descriptor(::dup(down_.descriptor())), layout_.down_bytes(), false);
  auto up = Region::attach(Descriptor(::dup(up_.descriptor())), layout_.up_bytes(), true);
  if (!down) return std::unexpected(down.error());
  if (!up) return std::unexpected(up.error());
  workers_down_ = std::move(*down);
  workers_up_ = std::move(*up);
  const auto* base = static_cast<const Region&>(workers_down_).data();
  workers_requests_ = RingReader<Request>(DownView<const std::byte>(base, shape_.lines).requests());
  workers_answers_ = RingWriter<Answer>(UpView<std::byte>(workers_up_.data(), layout_).answers());
  return {};
}

// As Engine::submit, WorkerLink::publish, wake_if_sleeping and consume do it.
void Channel::ask(std::uint64_t rounds) {
  const DownView<std::byte> down(down_.data(), shape_.lines);
  const UpView<const std::byte> up(static_cast<const Region&>(up_).data(), layout_);
  for (; rounds > 0; --rounds) {
    if (shape_.payload > 0) copy_in(input_.data(), row_.data(), shape_.payload);
    requests_.publish({.id = requests_.published() + 1,
                       .input_offset = 0,
                       .deadline_ns = std::numeric_limits<std::int64_t>::max(),
                       .rows = 1,
                       .reserved0 = 0,
                       .reserved = {}});
    wake_fence();
    if (up.sleeping().load(std::memory_order_relaxed) != 0) {
      down.bell().fetch_add(1, std::memory_order_release);
      futex_wake(down.bell());
    }
    Answer answer;
    while (answers_.take(answer) != Take::taken) wait_step(shape_.yields);
    float part = 0;
    ChannelLoad::copy(&part, up.output(answers_.last_line()), sizeof part);
  }
}

void Channel::serve(std::uint64_t rounds) {
  if (shape_.workers_loop) serve_with_loop();
  const auto* base = static_cast<const Region&>(workers_down_).data();
  const DownView<const std::byte> down(base, shape_.lines);
  const UpView<std::byte> up(workers_up_.data(), layout_);
  for (; rounds > 0; --rounds) {
    Request request;
    while (workers_requests_.take(request) != Take::taken) wait_step(shape_.yields);
    *up.output(workers_answers_.next_line()) = 0.5F;
    workers_answers_.publish({.id = request.id,
                              .status = static_cast<std::uint32_t>(AnswerStatus::ok),
                              .rows = request.rows,
                              .outputs = 1,
                              .text_bytes = 0,
                              .compute_ns = 0,
                              .reserved = {}});
    wake_fence();
    if (down.sleeping().load(std::memory_order_relaxed) != 0) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(bell_.get(), &one, sizeof one);
    }
  }
}

void Channel::serve_with_loop() {
  class Nothing : public Model {
   public:
    explicit Nothing(std::uint32_t features) : features_(features) {}
    [[nodiscard]] ModelShape shape() const noexcept override { return {.features = features_, .outputs = 1}; }
    Result<void> predict(MatrixView, MutableMatrixView out) override {
      out.data[0] = 0.5F;
      return {};
    }

   private:
    std::uint32_t features_;
  };
  Nothing model(features());
  const auto* base = static_cast<const Region&>(workers_down_).data();
  const LoopMemory memory{.input = static_cast<const Region&>(input_).data(),
                          .down = DownView<const std::byte>(base, shape_.lines),
                          .up = UpView<std::byte>(workers_up_.data(), layout_),
                          .bell = bell_.get()};
  TierPublisher tiers(memory.up.tiers(), model);
  tutti::serve(memory, model, tiers);
}

}  // namespace tutti::bench
