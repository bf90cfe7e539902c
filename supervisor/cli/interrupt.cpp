#include "supervisor/cli/interrupt.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace tutti::cli {
namespace {

std::atomic<int> g_interrupted{0};  // a signal handler can reach nothing else
std::atomic<bool> g_reads_standard_input{false};
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// The first signal ends the input: what is in flight is finished. The second ends the program (SA_RESETHAND).
extern "C" void on_interrupt(int number) {
  g_interrupted.store(number);
  if (!g_reads_standard_input.load()) return;
  const int error_number = errno;
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  errno = error_number;
}

}  // namespace

void handle_signals() {
  struct sigaction action{};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESETHAND;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction inherited{};
    ::sigaction(number, nullptr, &inherited);
    // nohup and a shell's background jobs ignore some of them, and mean it; ReloadOnHangup takes SIGHUP.
    if (inherited.sa_handler == SIG_DFL) ::sigaction(number, &action, nullptr);
  }
}

const std::atomic<int>& interruption() noexcept { return g_interrupted; }

void end_standard_input_when_interrupted(bool reads) { g_reads_standard_input.store(reads); }

}  // namespace tutti::cli
