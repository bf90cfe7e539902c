// What the supervisor sees of a worker's walls, from outside, in /proc.
//
// A worker says which walls hold it before it runs any model code; here that is compared with what the kernel
// says. A wall that is claimed and seen not to stand means a worker that is not what it should be: it is
// killed. Some walls can be seen only by a supervisor with the right to look (namespaces, without root and
// with another uid); what cannot be seen stays as it was claimed.
#pragma once

#include <sys/types.h>

#include <cstddef>

#include "shared/cage.hpp"
#include "shared/error.hpp"

namespace tutti {

/// Compares what `claimed` says of `pid` with /proc, for each of its threads. Some 100 us.
/// Errors: protocol (a wall is claimed and does not stand; `what` names it), system (the process is gone).
Result<void> verify_from_outside(pid_t pid, Walls claimed);

/// Living children of this process whose session that of `leader` is. 0 where the kernel does not list them.
std::size_t children_in_session(pid_t leader);

}  // namespace tutti
