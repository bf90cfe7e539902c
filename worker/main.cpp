// tutti-worker: a member's template, and by forking each of its isolates. Started by the supervisor with a
// control socket and nothing else.
//
//   receive StartBlock and input ── enter the cage (cage.hpp) ── load the model (template.hpp)
//                  ── fork or become isolates (isolate.hpp) ── serve until killed (loop.hpp)

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "shared/control.hpp"
#include "shared/message.hpp"
#include "shared/region.hpp"
#include "worker/cage.hpp"
#include "worker/die_with_supervisor.hpp"
#include "worker/fault_point.hpp"
#include "worker/jit/compiler.hpp"
#include "worker/last_words.hpp"
#include "worker/template.hpp"
#include "worker/try_cage.hpp"

namespace tutti {
namespace {

constexpr int kExitNotStartedByTutti = 64;

Result<Region> receive_start(int control, StartBlock& start) {
  std::array<Descriptor, kStartDescriptors> descriptors;
  const Received got = receive_message(control, writable_bytes_of(start), descriptors);
  if (got.kind != Received::Kind::message || got.bytes != sizeof start || start.magic != kProtocolMagic) {
    return std::unexpected(Error{Errc::protocol, "descriptor 3 is no control socket of tutti's", "start",
                                 "tutti-worker is started by tutti, not by hand"});
  }
  if (start.version != kProtocolVersion) {
    return std::unexpected(
        Error{Errc::protocol,
              fmt::format("protocol {} where this worker speaks {}", start.version, kProtocolVersion),
              "start", "install tutti and tutti-worker from the same build"});
  }
  return Region::attach(std::move(descriptors[0]), start.input_bytes, false);
}

/// Whether the model may be of a kind that is compiled.
bool compiles(const StartBlock& start) {
  const std::string_view kind = start.kind.view();
  return start.jit == JitLevel::full && start.jit_compile != 0 && kind != "plugin" && kind != "dense";
}

int run() {
  Descriptor control(kControlDescriptor);
  StartBlock start{};
  auto input = receive_start(control.get(), start);
  if (!input) {
    fmt::print(stderr, "tutti-worker: {}\n", describe(input.error()));
    return kExitNotStartedByTutti;
  }
  if (compiles(start)) {
    // Files may lie on what does not answer; the supervisor would wait for no such worker, nor may it stay
    // behind.
    if (!die_with_supervisor(control.get())) return 0;
    jit::open_compiler(start.cage.memory_bytes_max);
  }
  const auto caged = enter_cage(start.cage,
                                {.model = std::string(start.model.view()),
                                 .readable = std::string(start.readable.view()),
                                 .control_descriptor = control.get()},
                                tell_violation);
  arm_fault(start.fault.view());
  fault_point("before_load");
  return be_template(start, caged, std::move(control), *input);
}

}  // namespace
}  // namespace tutti

int main(int argument_count, char** arguments) {
  if (argument_count == 2 && std::string_view(arguments[1]) == tutti::kTryCage) return tutti::try_cage();
  return tutti::run();
}
