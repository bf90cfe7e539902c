#include "worker/isolate.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "shared/channel.hpp"
#include "worker/cage.hpp"
#include "worker/die_with_supervisor.hpp"
#include "worker/fault_point.hpp"
#include "worker/last_words.hpp"
#include "worker/loop.hpp"

namespace tutti {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitSupervisorGone = 0;
constexpr int kExitNoChannel = 65;
constexpr int kExitNotSealed = 67;

/// The two regions of an isolate as it maps them.
struct Channel {
  Region down;
  Region up;
};

Result<Channel> attach(IsolateDescriptors& descriptors, const ForkOrder& order) {
  // The start block says how long everything is; it lies in `down`, which only the supervisor can write.
  const off_t down_bytes = ::lseek(descriptors.down.get(), 0, SEEK_END);
  if (down_bytes < static_cast<off_t>(kPage)) {
    return std::unexpected(Error{Errc::protocol, "`down` is no region", "attach", "report this as a bug"});
  }
  auto down = Region::attach(std::move(descriptors.down), static_cast<std::size_t>(down_bytes), false);
  if (!down) return std::unexpected(down.error());
  const StartBlock& start = DownView<const std::byte>(down->data(), 0).start();
  if (start.magic != kProtocolMagic || start.version != kProtocolVersion ||
      start.generation != order.generation) {
    return std::unexpected(Error{Errc::protocol, fmt::format("`down` is for generation {}", start.generation),
                                 "attach", "report this as a bug"});
  }
  auto up = Region::attach(std::move(descriptors.up), start.up_bytes, true);
  if (!up) return std::unexpected(up.error());
  return Channel{.down = std::move(*down), .up = std::move(*up)};
}

// The supervisor adopts a process by the pid that the kernel names as this message's sender.
void announce(int control, const ForkOrder& order) {
  Notice notice{};
  notice.magic = kProtocolMagic;
  notice.version = kProtocolVersion;
  notice.kind = NoticeKind::born;
  notice.isolate = order.isolate;
  notice.generation = order.generation;
  if (!send_message(control, bytes_of(notice), {})) ::_exit(kExitSupervisorGone);
}

void say_hello(const LoopMemory& memory, const std::optional<Error>& error, Clock::time_point ordered) {
  const StartBlock& start = memory.down.start();
  HelloBlock& hello = memory.up.hello();
  hello.magic = kProtocolMagic;
  hello.version = kProtocolVersion;
  hello.features = start.features;
  hello.outputs = start.outputs;
  hello.load_ns = static_cast<std::uint64_t>((Clock::now() - ordered).count());
  HelloState state = HelloState::ready;
  if (error) {
    state = HelloState::failed;
    hello.error_code = static_cast<std::uint32_t>(error->code);
    hello.what.assign(error->what);
    hello.where.assign(error->where);
    hello.hint.assign(error->hint);
  }
  // release: pairs with the supervisor's acquire. Seeing the state means seeing the hello.
  memory.up.hello_state().store(static_cast<std::uint32_t>(state), std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(memory.bell, &one, sizeof one);
}

}  // namespace

void be_isolate(const ForkOrder& order, IsolateDescriptors descriptors, Descriptor control,
                const Region& input, Model& model) {
  const auto ordered = Clock::now();
  if (!die_with_supervisor(control.get())) ::_exit(kExitSupervisorGone);
  announce(control.get(), order);
  control.close();
  ::dup2(descriptors.output.get(), STDOUT_FILENO);
  ::dup2(descriptors.output.get(), STDERR_FILENO);
  descriptors.output.close();

  auto channel = attach(descriptors, order);
  if (!channel) {
    fmt::print(stderr, "tutti-worker: {}\n", describe(channel.error()));
    ::_exit(kExitNoChannel);
  }
  const StartBlock& start = DownView<const std::byte>(channel->down.data(), 0).start();
  ::prctl(PR_SET_NAME, std::string(start.name.view()).c_str());
  arm_fault(start.fault.view());
  const ChannelShape shape{.lines = start.lines, .rows_max = start.rows_max, .outputs = start.outputs};
  const LoopMemory loop{.input = input.data(),
                        .down = DownView<const std::byte>(channel->down.data(), start.lines),
                        .up = UpView<std::byte>(channel->up.data(), shape),
                        .bell = descriptors.bell.get()};
  fault_point("before_hello");
  keep_last_words(loop.up.hello().forbidden_call);
  const auto sealed = seal_cage(start.cage, model.may_start_threads());
  // Before the hello: whoever finds it ready finds out whether it has tiers.
  TierPublisher tiers(loop.up.tiers(), model);
  say_hello(loop, sealed ? std::nullopt : std::optional<Error>(sealed.error()), ordered);
  if (!sealed) ::_exit(kExitNotSealed);
  fault_point("after_hello");
  serve(loop, model, tiers);
}

}  // namespace tutti
