// The cage of a worker, entered in two stages: before any model code runs, and before the first request.
//
//   launcher ──enter_cage──▶ limits, own uid, namespaces, view of files, capabilities, Landlock
//                │              ├── companion: process 1 of the namespace; ends it when the last worker is
//                gone │              └── template:  filter "load" ── loads the model ── forks isolates └──
//                exits                                             └── isolate ──seal_cage──▶ filter "serve"
//
// The template is not process 1 itself: that one cannot fork for its parent, and its end would end all
// isolates. Every wall is tried and, where the machine does not give it, left out and not reported; only a
// requirement of `full` makes that an error. Order matters: the uid is given up before a user namespace is
// entered, so that the namespace belongs to the new uid; files are arranged before Landlock, which forbids
// mounts; the filter comes last, because it forbids most of what stands before it.
#pragma once

#include <string>

#include "shared/cage.hpp"
#include "shared/error.hpp"

namespace tutti {

/// Async-signal-safe. Told when a system call that a filter forbids was tried; the process dies of SIGSYS
/// next.
using ViolationListener = void (*)(int system_call) noexcept;

/// Where the worker stands.
struct CageSite {
  std::string model;            // absolute path
  std::string readable{};       // absolute paths beside it, each followed by a newline
  int control_descriptor = -1;  // the control socket; its hang-up means that the supervisor is gone
};

/// What holds, and why the rest does not.
struct Caged {
  Walls walls;
  std::string missing;  // "user_namespace: unshare: Operation not permitted; …"
};

/// Stage 1, in a process that has one thread and has run no model code. Returns in the process that goes on,
/// which may be another one, a child of the same parent, in the same process group, with the control socket:
/// the walls that hold it. The companion is a child of that parent as well; who ends the group ends it.
/// Errors: system (the supervisor is gone, or `full` is required and a threat is not stopped: which, and
/// why).
Result<Caged> enter_cage(const CageRequest& request, const CageSite& site, ViolationListener violated);

/// Stage 2, in an isolate, after its model is loaded. `threads`: the model may start threads. All threads of
/// the process are bound. Returns the walls that it adds. From then on: no open, no socket, no exec, no fork.
/// Errors: system (`full` is required and the filter was not installed).
Result<Walls> seal_cage(const CageRequest& request, bool threads);

}  // namespace tutti
