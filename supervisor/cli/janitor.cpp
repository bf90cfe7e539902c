#include "supervisor/cli/janitor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "supervisor/isolation/control_group.hpp"
#include "supervisor/watch/status_socket.hpp"

namespace tutti::cli {
namespace {

constexpr int kPatienceMs = 1000;  // for its end
constexpr int kGroupRounds = 8;
constexpr useconds_t kGroupWaitUs = 50'000;
constexpr std::size_t kNotesMax = 65'536;  // bytes of paths

// Its own session: what ends the supervisor's does not end it. No signal but SIGKILL and SIGSTOP reaches it.
pid_t spawn(int pipe) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0) return -1;
  if (::posix_spawnattr_init(&attributes) != 0) {
    ::posix_spawn_file_actions_destroy(&actions);
    return -1;
  }
  sigset_t all;
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &all);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  ::posix_spawn_file_actions_adddup2(&actions, pipe, STDIN_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  std::array<char, 16> name{"tutti"};
  std::array<char, 16> argument{};
  std::ranges::copy(std::string_view(kJanitorArgument), argument.begin());
  const std::array<char*, 3> arguments{name.data(), argument.data(), nullptr};
  pid_t pid = -1;
  const int failure = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return failure == 0 ? pid : -1;
}

}  // namespace

Janitor::Janitor() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  pid_ = spawn(reading.get());
  if (pid_ > 0) pipe_ = std::move(writing);
}

Janitor::Janitor(Janitor&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pipe_(std::move(other.pipe_)) {}

void Janitor::note(const std::string& path) {
  if (!pipe_.is_open()) return;
  // A path of kPathMax fits an empty pipe; one that does not is not waited for.
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  [[maybe_unused]] const ssize_t written = ::write(pipe_.get(), path.c_str(), path.size() + 1);
}

Janitor::~Janitor() {
  if (pid_ <= 0) return;
  pipe_.close();
  const Descriptor end(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd ended{.fd = end.get(), .events = POLLIN, .revents = 0};
  // One that was stopped from outside would be waited for for ever.
  if (!end.is_open() || ::poll(&ended, 1, kPatienceMs) != 1) ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

int be_janitor() {
  ::prctl(PR_SET_NAME, "tutti-janitor");
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  std::string notes;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::read(STDIN_FILENO, buffer.data(), buffer.size())) > 0;) {
    const std::size_t room = kNotesMax - std::min(notes.size(), kNotesMax);
    notes.append(buffer.data(), std::min(static_cast<std::size_t>(count), room));
  }
  bool killed = false;
  for (std::size_t at = 0; at < notes.size();) {
    const std::size_t end = notes.find('\0', at);
    if (end == std::string::npos) break;  // its writer was killed over it: nothing was made yet
    killed = remove_dead_socket(notes.substr(at, end - at)) || killed;
    at = end + 1;
  }
  // A group can go when the last of its processes is dead, which may take a moment yet.
  for (int round = 0; killed && round < kGroupRounds; ++round) {
    remove_stale_groups();
    ::usleep(kGroupWaitUs);
  }
  return 0;
}

}  // namespace tutti::cli
