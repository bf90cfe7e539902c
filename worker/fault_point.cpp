#include "worker/fault_point.hpp"

#if defined(TUTTI_FAULT_POINTS)

#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string>

namespace tutti {
namespace {

struct Fault {
  std::string action;
  std::string step;
  int passes_left = 0;
};

Fault& armed() {
  static Fault fault;
  return fault;
}

[[noreturn]] void refuse(std::string_view spec) {
  ::dprintf(STDERR_FILENO, "fault point: cannot read '%.*s'\n", static_cast<int>(spec.size()), spec.data());
  ::_exit(97);
}

}  // namespace

void arm_fault(std::string_view spec) noexcept {
  armed() = {};
  if (spec.empty()) return;
  const std::size_t at = spec.find('@');
  if (at == std::string_view::npos) refuse(spec);
  const std::size_t colon = spec.find(":n=");
  Fault& fault = armed();
  fault.action = spec.substr(0, at);
  fault.step = spec.substr(at + 1, colon == std::string_view::npos ? colon : colon - at - 1);
  if (colon != std::string_view::npos) {
    const std::string_view count = spec.substr(colon + 3);
    if (std::from_chars(count.begin(), count.end(), fault.passes_left).ec != std::errc{}) refuse(spec);
  }
}

void fault_point(std::string_view step) noexcept {
  Fault& fault = armed();
  if (fault.step != step || fault.passes_left-- > 0) return;
  if (fault.action == "kill") ::raise(SIGKILL);
  if (fault.action == "segv") {
    ::signal(SIGSEGV, SIG_DFL);
    ::raise(SIGSEGV);
  }
  if (fault.action == "abort") std::abort();
  if (fault.action == "stop") ::raise(SIGSTOP);
  if (fault.action == "exit") ::_exit(0);
}

}  // namespace tutti

#endif
