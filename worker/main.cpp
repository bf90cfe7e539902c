// tutti-worker: one isolate in one process. Started by the supervisor with four descriptors and nothing else.
//
//   attach input, down, up ── load the model ── warm it up ── say hello ── serve until killed
//
// Whatever goes wrong before the hello is told to the supervisor in the hello itself.

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared/channel.hpp"
#include "shared/region.hpp"
#include "worker/fault_point.hpp"
#include "worker/loop.hpp"
#include "worker/model.hpp"

namespace tutti {
namespace {

constexpr int kExitNotStartedByTutti = 64;

/// The three regions as the worker maps them.
struct Memory {
  Region input;
  Region down;
  Region up;
};

/// Ends this process when the supervisor ends, also if it ended a moment ago.
bool die_with_supervisor(std::int32_t supervisor_pid) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ::getppid() == supervisor_pid;
}

Result<Memory> attach() {
  // The start block says how long everything is; it lies in `down`, which only the supervisor can write.
  Descriptor down_descriptor(kDownDescriptor);
  const off_t down_bytes = ::lseek(kDownDescriptor, 0, SEEK_END);
  if (down_bytes < static_cast<off_t>(kPage)) {
    return std::unexpected(Error{Errc::protocol, "descriptor 4 is no region", "attach",
                                 "tutti-worker is started by tutti, not by hand"});
  }
  auto down = Region::attach(std::move(down_descriptor), static_cast<std::size_t>(down_bytes), false);
  if (!down) return std::unexpected(down.error());
  const StartBlock& start = DownView<const std::byte>(down->data(), 0).start();
  if (start.magic != kProtocolMagic || start.version != kProtocolVersion) {
    return std::unexpected(
        Error{Errc::protocol,
              fmt::format("protocol {} where this worker speaks {}", start.version, kProtocolVersion),
              "attach", "install tutti and tutti-worker from the same build"});
  }
  auto input = Region::attach(Descriptor(kInputDescriptor), start.input_bytes, false);
  if (!input) return std::unexpected(input.error());
  auto up = Region::attach(Descriptor(kUpDescriptor), start.up_bytes, true);
  if (!up) return std::unexpected(up.error());
  return Memory{.input = std::move(*input), .down = std::move(*down), .up = std::move(*up)};
}

/// One prediction of zeros, so that no first request pays for lazy work. Its result is not looked at.
void warm_up(Model& model, const StartBlock& start) {
  const std::vector<float> x(start.features, 0.0F);
  std::vector<float> out(start.outputs);
  (void)model.predict({x.data(), 1, start.features}, {out.data(), 1, start.outputs});
}

Result<std::unique_ptr<Model>> load(const StartBlock& start) {
  const ModelSource source{.path = std::string(start.model.view()),
                           .kind = std::string(start.kind.view()),
                           .classification = start.classification != 0,
                           .features = start.features,
                           .outputs = start.outputs,
                           .rows_max = start.rows_max};
  try {
    return load_model(source);
  } catch (const std::bad_alloc&) {
    return std::unexpected(Error{Errc::bad_model, "not enough memory to load the model", source.path,
                                 "raise the member's memory limit or use a smaller model"});
  } catch (const std::exception& exception) {
    return std::unexpected(Error{Errc::bad_model, exception.what(), source.path, "the file may be damaged"});
  }
}

void say_hello(const LoopMemory& memory, const std::optional<Error>& error, std::uint64_t load_ns) {
  const StartBlock& start = memory.down.start();
  HelloBlock& hello = memory.up.hello();
  hello.magic = kProtocolMagic;
  hello.version = kProtocolVersion;
  hello.features = start.features;
  hello.outputs = start.outputs;
  hello.load_ns = load_ns;
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

int run() {
  const auto begun = std::chrono::steady_clock::now();
  auto memory = attach();
  if (!memory) {
    fmt::print(stderr, "tutti-worker: {}\n", describe(memory.error()));
    return kExitNotStartedByTutti;
  }
  const StartBlock& start = DownView<const std::byte>(memory->down.data(), 0).start();
  if (!die_with_supervisor(start.supervisor_pid)) return 0;
  ::fcntl(kBellDescriptor, F_SETFD, FD_CLOEXEC);
  ::prctl(PR_SET_NAME, std::string(start.name.view()).c_str());
  arm_fault(start.fault.view());
  fault_point("before_load");

  const ChannelShape shape{.lines = start.lines, .rows_max = start.rows_max, .outputs = start.outputs};
  const LoopMemory loop{.input = memory->input.data(),
                        .down = DownView<const std::byte>(memory->down.data(), start.lines),
                        .up = UpView<std::byte>(memory->up.data(), shape),
                        .bell = kBellDescriptor};
  auto model = load(start);
  if (model) warm_up(**model, start);
  const auto load_ns = static_cast<std::uint64_t>((std::chrono::steady_clock::now() - begun).count());
  fault_point("before_hello");
  say_hello(loop, model ? std::nullopt : std::optional<Error>(model.error()), load_ns);
  if (!model) return 1;
  fault_point("after_hello");
  serve(loop, **model);
}

}  // namespace
}  // namespace tutti

int main() { return tutti::run(); }
