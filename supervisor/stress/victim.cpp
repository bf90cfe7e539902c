#include "supervisor/stress/victim.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace tutti::stress {
namespace {

struct Seen {
  int pid = 0;
  std::uint16_t generation = 0;
  bool operator==(const Seen&) const = default;
};

Seen look(const Ensemble& ensemble, const std::string& name) {
  for (const MemberStatus& member : ensemble.status().members) {
    if (member.name == name) return {.pid = member.template_pid};
    for (const IsolateStatus& isolate : member.isolates) {
      if (isolate.name == name) return {.pid = isolate.pid, .generation = isolate.generation};
    }
  }
  return {};
}

}  // namespace

Victim Victim::hold(const Ensemble& ensemble, const std::string& name) {
  Victim victim;
  const Seen seen = look(ensemble, name);
  if (seen.pid == 0) return victim;
  Descriptor descriptor(static_cast<int>(::syscall(SYS_pidfd_open, seen.pid, 0)));
  // Still the ensemble's own, so it was not reaped before the descriptor was there.
  if (!descriptor.is_open() || look(ensemble, name) != seen) return victim;
  victim.descriptor_ = std::move(descriptor);
  victim.name_ = name;
  victim.generation_ = seen.generation;
  return victim;
}

bool Victim::strike(int signal) const {
  return ::syscall(SYS_pidfd_send_signal, descriptor_.get(), signal, nullptr, 0) == 0;
}

}  // namespace tutti::stress
