#include "supervisor/worker_link.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "shared/log.hpp"

namespace tutti {

Result<WorkerLink> WorkerLink::create(const WorkerPlan& plan, const MemberConfig& member,
                                      const WorkerOrder& order) {
  auto down = Region::create("tutti-down", plan.shape.down_bytes(), Writer::creator);
  if (!down) return std::unexpected(down.error());
  auto up = Region::create("tutti-up", plan.shape.up_bytes(), Writer::peer);
  if (!up) return std::unexpected(up.error());
  auto output = OutputPipe::create();
  if (!output) return std::unexpected(output.error());
  WorkerLink link;
  link.bell_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!link.bell_.is_open()) return std::unexpected(system_error("eventfd", errno, order.name));
  link.shape_ = plan.shape;
  link.features_ = plan.features;
  link.classification_ = plan.classification;
  link.down_region_ = std::move(*down);
  link.up_region_ = std::move(*up);
  link.output_ = std::move(*output);
  link.down_ = DownView<std::byte>(link.down_region_.data(), plan.shape.lines);
  link.up_ = UpView<const std::byte>(link.up_region_.data(), plan.shape);
  link.requests_ = RingWriter<Request>(link.down_.requests());
  link.answers_ = RingReader<Answer, ChannelLoad>(link.up_.answers());
  link.down_.start() = start_block(plan, member, order);
  return link;
}

std::array<int, kForkDescriptors> WorkerLink::descriptors() const noexcept {
  return {down_region_.descriptor(), up_region_.descriptor(), bell_.get(), output_.writing.get()};
}

Result<void> WorkerLink::start_whole(const WorkerPlan& plan, const MemberConfig& member,
                                     const WorkerOrder& order, std::uint32_t isolate) {
  // It writes to the same pipe while it loads and when it serves.
  Descriptor writing(::fcntl(output_.writing.get(), F_DUPFD_CLOEXEC, 0));
  if (!writing.is_open()) return std::unexpected(system_error("fcntl(F_DUPFD)", errno, order.name));
  auto started = TemplateLink::start(plan, member, order, {.reading = {}, .writing = std::move(writing)});
  if (!started) return std::unexpected(started.error());
  // The order waits in the socket until the model is loaded.
  const ForkOrder self{.magic = kProtocolMagic, .isolate = isolate, .generation = order.generation};
  if (auto ordered = started->order(self, descriptors()); !ordered) return ordered;
  output_.writing.close();
  whole_ = std::move(*started);
  return {};
}

Result<void> WorkerLink::order_fork(TemplateLink& from, std::uint32_t isolate, std::uint16_t generation) {
  const ForkOrder order{.magic = kProtocolMagic, .isolate = isolate, .generation = generation};
  auto ordered = from.order(order, descriptors());
  output_.writing.close();
  group_ = from.group();
  return ordered;
}

Result<void> WorkerLink::adopt(pid_t pid) {
  auto process = Process::adopt(pid);
  if (!process) return std::unexpected(process.error());
  process_ = std::move(*process);
  return {};
}

std::optional<Result<Hello>> WorkerLink::hello() const {
  // acquire: pairs with the release in the worker's say_hello().
  const auto state = static_cast<HelloState>(up_.hello_state().load(std::memory_order_acquire));
  if (state == HelloState::none) return std::nullopt;
  // The block is copied once; the copy is checked and used.
  const auto copy = std::make_unique<HelloBlock>();
  ChannelLoad::copy(copy.get(), &up_.hello(), sizeof(HelloBlock));
  const bool known_state = state == HelloState::ready || state == HelloState::failed;
  if (copy->magic != kProtocolMagic || copy->version != kProtocolVersion || !known_state) {
    return std::unexpected(Error{Errc::protocol, "the worker's hello cannot be read", "hello",
                                 "install tutti and tutti-worker from the same build"});
  }
  Hello hello{.error = std::nullopt, .load = Duration(static_cast<std::int64_t>(copy->load_ns & INT64_MAX))};
  if (state == HelloState::failed) {
    hello.error = Error{.code = copy->error_code == static_cast<std::uint32_t>(Errc::shape_mismatch)
                                    ? Errc::shape_mismatch
                                    : Errc::bad_model,
                        .what = printable(copy->what.view()),
                        .where = printable(copy->where.view()),
                        .hint = printable(copy->hint.view())};
  } else if (copy->features != features_ || copy->outputs != shape_.outputs) {
    return std::unexpected(Error{Errc::protocol, "the worker's hello names other shapes than it was given",
                                 "hello", "install tutti and tutti-worker from the same build"});
  }
  return hello;
}

std::optional<VoteFate> WorkerLink::reap() {
  auto seen = whole_ ? whole_->reap() : process_.reap();
  if (!seen) return seen;
  if (*seen == VoteFate{.state = VoteState::crashed, .detail = SIGSYS})
    seen = VoteFate{.state = VoteState::escape_attempt, .detail = -1};
  if (*seen == VoteFate{.state = VoteState::crashed, .detail = SIGKILL} && group_ &&
      group_->take_memory_kill())
    seen = VoteFate{.state = VoteState::out_of_memory};
  if (seen->state == VoteState::escape_attempt) seen->detail = forbidden_call();
  return seen;
}

// Its last word, and a stranger's: only a number that a system call can have is believed.
std::int32_t WorkerLink::forbidden_call() const {
  constexpr std::uint32_t kSystemCallsMax = 1024;
  std::uint32_t said = 0;
  ChannelLoad::copy(&said, &up_.hello().forbidden_call, sizeof said);
  return said > 0 && said <= kSystemCallsMax ? static_cast<std::int32_t>(said - 1) : -1;
}

void WorkerLink::wake() noexcept {
  down_.bell().fetch_add(1, std::memory_order_release);
  futex_wake(down_.bell());
}

}  // namespace tutti
