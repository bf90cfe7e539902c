// Nothing of tutti outlives its supervisor.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>

namespace tutti {

/// From now on the kernel ends this process with the supervisor (strictly, with the thread that started it; a
/// fork does not inherit this). False when the supervisor was gone before: its end of the control socket is
/// closed. getppid() would not tell: it is 0 in a new pid namespace.
inline bool die_with_supervisor(int control) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd state{.fd = control, .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 0;
}

}  // namespace tutti
