// A fork whose child belongs to our own parent, the supervisor.
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace tutti {

/// The C library's fork() cannot make a child of our parent. What it does beside this, resetting locks that
/// other threads might hold, a process with one thread has no need of. clone() and not clone3(): a filter can
/// see the flags of the former.
inline pid_t fork_for_parent() noexcept {
  return static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

}  // namespace tutti
