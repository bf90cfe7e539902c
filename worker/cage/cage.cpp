#include "worker/cage.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "worker/cage/filter.hpp"
#include "worker/cage/steps.hpp"
#include "worker/die_with_supervisor.hpp"
#include "worker/fork_for_parent.hpp"

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
  return Error{.code = Errc::system,
               .what = fmt::format("isolation is not full: a model could {}", names_of_open_threats(walls)),
               .where = missing.empty() ? "cage" : missing,
               .hint =
                   "`tutti doctor` says what is missing and how to get it; isolation.require = "
                   "\"best_effort\" starts with what there is"};
}

/// Process 1 of the namespace: sleeps until the supervisor ends it, and the kernel with it whatever a model
/// left behind. Orphans are reaped by ignoring their signal.
[[noreturn]] void be_companion(int control) {
  if (!die_with_supervisor(control)) ::_exit(0);
  ::prctl(PR_SET_NAME, "tutti-companion");
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(SIGCHLD, SIG_IGN);
  ::close_range(0, ~0U, 0);
  cage::install(Profile::companion, ::getpid());
  for (;;) ::poll(nullptr, 0, -1);
}

/// Leaves the launcher behind: first the companion, then the process that goes on, in which this returns.
/// Errors: the errno of what failed, in the launcher.
int move_into_namespace(int control) {
  const pid_t companion = fork_for_parent();
  if (companion < 0) return errno;
  if (companion == 0) be_companion(control);
  const pid_t worker = fork_for_parent();
  if (worker < 0) return errno;
  if (worker > 0) ::_exit(0);
  return 0;
}

}  // namespace

Result<Caged> enter_cage(const CageRequest& request, const CageSite& site, ViolationListener violated) {
  if (!die_with_supervisor(site.control_descriptor)) return std::unexpected(gone());
  if (request.requirement == IsolationRequirement::none) return Caged{.missing = "isolation.require is none"};
  Progress progress;
  if constexpr (cage::kSanitized) {
    if (auto error = shortfall(request, {}, "built with sanitizers")) return std::unexpected(*error);
    return Caged{.missing = "built with sanitizers"};
  }
  const bool counted = !cage::is_root_of_machine();
  cage::set_limits(request, progress);
  cage::take_own_uid(site.model, progress);
  cage::enter_namespaces(progress);
  cage::limit_processes(request, counted, progress);
  const auto readable = cage::readable_paths(site.model, site.readable);
  cage::enter_view(readable, progress);
  cage::drop_capabilities(progress);
  cage::enter_landlock(readable, progress);
  if (progress.walls.has(Wall::pid_namespace)) {
    if (const int error_number = move_into_namespace(site.control_descriptor); error_number != 0) {
      return std::unexpected(system_error("clone", error_number, "cage", "raise isolation.processes"));
    }
  }
  // A change of credentials, and being a new process, took this away.
  if (!die_with_supervisor(site.control_descriptor)) return std::unexpected(gone());
  // A user namespace keeps others from our memory by itself, and lets the supervisor look at what it started.
  if (!progress.walls.has(Wall::user_namespace) && ::prctl(PR_SET_DUMPABLE, 0) == 0)
    progress.walls.add(Wall::not_dumpable);
  cage::catch_violations(violated);
  if (const int error_number = cage::install(Profile::load, ::getpid()); error_number == 0) {
    progress.walls.add(Wall::seccomp_load);
  } else {
    progress.miss(Wall::seccomp_load, "seccomp", error_number);
  }
  // The second filter can be installed where the first could.
  const Walls expected = progress.walls.has(Wall::seccomp_load) ? progress.walls | kServing : progress.walls;
  if (auto error = shortfall(request, expected, progress.missing)) return std::unexpected(*error);
  return Caged{.walls = progress.walls, .missing = std::move(progress.missing)};
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
