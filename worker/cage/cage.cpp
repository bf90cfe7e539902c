#include "worker/cage.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "worker/cage/filter.hpp"
#include "worker/cage/steps.hpp"

namespace tutti {
namespace {

using cage::Profile;
using cage::Progress;

constexpr Walls kServing{Wall::seccomp_serve};

Error gone() {
  return {Errc::system, "the supervisor is gone", "cage", "nothing to do: the worker ends as well"};
}

/// What was missed of `full`: the threats that are not stopped, and the walls that failed.
std::optional<Error> shortfall(const CageRequest& request, Walls walls, const std::string& missing) {
  if (request.requirement != IsolationRequirement::full || level_of(walls) == IsolationLevel::full) return {};
  std::string open;
  for (const Threat& threat : threats()) {
    if (threat.stopped_by(walls)) continue;
    if (!open.empty()) open += "; ";
    open += threat.name;
  }
  return Error{.code = Errc::system,
               .what = fmt::format("isolation is not full: a model could {}", open),
               .where = missing.empty() ? "cage" : missing,
               .hint =
                   "`tutti doctor` says what is missing and how to get it; isolation.require = "
                   "\"best_effort\" starts with what there is"};
}

/// The kernel ends this process with the supervisor from now on. False: it was gone before. getppid() could
/// not tell, it is 0 in a pid namespace of one's own.
bool die_with_supervisor(int control) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd state{.fd = control, .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 0;
}

// The child's parent is ours, the supervisor. The C library's fork() cannot do that; what it does beside,
// resetting locks of other threads, a process with one thread has no need of.
pid_t fork_for_parent() noexcept {
  return static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

/// Process 1 of the namespace: sleeps until the supervisor ends it, and the kernel with it whatever a model
/// left behind. Orphans are reaped by ignoring their signal.
[[noreturn]] void be_companion(const CageRequest& request) {
  if (!die_with_supervisor(request.control_descriptor)) ::_exit(0);
  ::prctl(PR_SET_NAME, "tutti-companion");
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(SIGCHLD, SIG_IGN);
  ::close_range(0, ~0U, 0);
  cage::install(Profile::companion, ::getpid());
  for (;;) ::poll(nullptr, 0, -1);
}

/// Leaves the launcher behind: first the companion, then the process that goes on, in which this returns.
/// Errors: the errno of what failed, in the launcher.
int move_into_namespace(const CageRequest& request) {
  const pid_t companion = fork_for_parent();
  if (companion < 0) return errno;
  if (companion == 0) be_companion(request);
  const pid_t worker = fork_for_parent();
  if (worker < 0) return errno;
  if (worker > 0) ::_exit(0);
  return 0;
}

}  // namespace

Result<Walls> enter_cage(const CageRequest& request, ViolationListener violated) {
  if (!die_with_supervisor(request.control_descriptor)) return std::unexpected(gone());
  if (request.requirement == IsolationRequirement::none) return Walls{};
  Progress progress;
  if constexpr (cage::kSanitized) {
    if (auto error = shortfall(request, {}, "built with sanitizers")) return std::unexpected(*error);
    return Walls{};
  }
  cage::set_limits(request, progress);
  cage::take_own_uid(request, progress);
  cage::enter_namespaces(progress);
  cage::limit_processes(request, progress);
  const auto readable = cage::readable_paths(request);
  cage::enter_view(readable, progress);
  cage::drop_capabilities(progress);
  cage::enter_landlock(readable, progress);
  if (progress.walls.has(Wall::pid_namespace)) {
    if (const int error_number = move_into_namespace(request); error_number != 0) {
      return std::unexpected(system_error("clone", error_number, "cage", "raise isolation.processes"));
    }
  }
  // A change of credentials, and being a new process, took this away.
  if (!die_with_supervisor(request.control_descriptor)) return std::unexpected(gone());
  if (::prctl(PR_SET_DUMPABLE, 0) == 0) progress.walls.add(Wall::not_dumpable);
  cage::catch_violations(violated);
  if (const int error_number = cage::install(Profile::load, ::getpid()); error_number == 0) {
    progress.walls.add(Wall::seccomp_load);
  } else {
    progress.miss(Wall::seccomp_load, "seccomp", error_number);
  }
  // The second filter can be installed where the first could.
  const Walls expected = progress.walls.has(Wall::seccomp_load) ? progress.walls | kServing : progress.walls;
  if (auto error = shortfall(request, expected, progress.missing)) return std::unexpected(*error);
  return progress.walls;
}

Result<Walls> seal_cage(const CageRequest& request, bool threads) {
  if (cage::kSanitized || request.requirement == IsolationRequirement::none) return Walls{};
  cage::close_landlock();
  const int error_number = cage::install(threads ? Profile::serve_with_threads : Profile::serve, ::getpid());
  if (error_number == 0) return kServing;
  if (request.requirement == IsolationRequirement::full) {
    return std::unexpected(system_error("seccomp", error_number, "cage", "see `tutti doctor`"));
  }
  return Walls{};
}

}  // namespace tutti
