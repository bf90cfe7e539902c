#include "supervisor/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "shared/message.hpp"
#include "supervisor/packaged_worker.hpp"

namespace tutti {
namespace {

constexpr int kFirstDescriptor = kInputDescriptor;
static_assert(kDownDescriptor == 4 && kUpDescriptor == 5 && kBellDescriptor == 6);

// The worker's environment: nothing of the supervisor's but what sanitizers need to speak.
std::vector<std::string> worker_environment() {
  std::vector<std::string> environment;
  for (const char* name : {"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) environment.push_back(fmt::format("{}={}", name, value));
  }
  return environment;
}

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }

  void open_null(int target) {
    ::posix_spawn_file_actions_addopen(&actions_, target, "/dev/null", O_RDONLY, 0);
  }
  void move(int from, int to) { ::posix_spawn_file_actions_adddup2(&actions_, from, to); }
  void close_from(int first) { ::posix_spawn_file_actions_addclosefrom_np(&actions_, first); }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// A worker starts with default signal handling and nothing blocked, whatever its parent does.
class SpawnAttributes {
 public:
  SpawnAttributes() {
    ::posix_spawnattr_init(&attributes_);
    sigset_t all;
    sigset_t none;
    ::sigfillset(&all);
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    // A group of its own: Ctrl-C at the terminal is the supervisor's to handle.
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;
  ~SpawnAttributes() { ::posix_spawnattr_destroy(&attributes_); }
  [[nodiscard]] const posix_spawnattr_t* get() const { return &attributes_; }

 private:
  posix_spawnattr_t attributes_;
};

bool executable(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

std::string directory_of_this_program() {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return {};
  const std::string_view whole(path.data(), static_cast<std::size_t>(length));
  return std::string(whole.substr(0, whole.rfind('/')));
}

}  // namespace

Result<Process> Process::spawn(const SpawnRequest& request) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0)
    return std::unexpected(system_error("pipe2", errno, request.program));
  Descriptor reading(pipe[0]);
  Descriptor writing(pipe[1]);
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);

  // dup2 onto 3 to 6 could overwrite a source that has such a number itself, so all are moved high first.
  SpawnActions actions;
  std::array<Descriptor, 4> high;
  for (std::size_t i = 0; i < high.size(); ++i) {
    high[i] = Descriptor(::fcntl(request.descriptors[i], F_DUPFD_CLOEXEC, 64));
    if (!high[i].is_open()) {
      return std::unexpected(
          system_error("fcntl(F_DUPFD)", errno, request.program, "raise the descriptor limit"));
    }
  }
  actions.open_null(STDIN_FILENO);
  actions.move(writing.get(), STDOUT_FILENO);
  actions.move(writing.get(), STDERR_FILENO);
  for (std::size_t i = 0; i < high.size(); ++i)
    actions.move(high[i].get(), kFirstDescriptor + static_cast<int>(i));
  actions.close_from(kBellDescriptor + 1);

  std::string name = "tutti-worker";
  std::array<char*, 2> arguments{name.data(), nullptr};
  std::vector<std::string> environment = worker_environment();
  std::vector<char*> environment_pointers;
  for (std::string& variable : environment) environment_pointers.push_back(variable.data());
  environment_pointers.push_back(nullptr);

  const SpawnAttributes attributes;
  Process process;
  const int failure = ::posix_spawn(&process.pid_, request.program.c_str(), actions.get(), attributes.get(),
                                    arguments.data(), environment_pointers.data());
  if (failure != 0) {
    return std::unexpected(system_error("posix_spawn", failure, request.program,
                                        "is tutti-worker installed beside tutti, and may it be executed?"));
  }
  // The child is ours and unreaped, so its pid cannot be another process's yet.
  process.pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!process.pidfd_.is_open()) {
    const int error_number = errno;
    ::kill(process.pid_, SIGKILL);
    ::waitpid(process.pid_, nullptr, 0);
    return std::unexpected(system_error("pidfd_open", error_number, request.program,
                                        error_number == EMFILE ? "raise the descriptor limit (ulimit -n)"
                                                               : "tutti needs Linux 5.3 or later"));
  }
  process.output_ = std::move(reading);
  return process;
}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    output_ = std::move(other.output_);
  }
  return *this;
}

void Process::signal(int number) const noexcept {
  if (running()) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

std::optional<VoteFate> Process::reap() noexcept {
  if (!running()) return std::nullopt;
  siginfo_t info{};
  int result = 0;
  do {
    result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOHANG);
  } while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == 0) return std::nullopt;
  pidfd_.close();
  // Somebody else reaped it (an embedding program that waits for any child): dead, but of what is lost.
  if (result != 0) return VoteFate{.state = VoteState::exited, .detail = -1};
  if (info.si_code == CLD_EXITED) return VoteFate{.state = VoteState::exited, .detail = info.si_status};
  return VoteFate{.state = VoteState::crashed, .detail = info.si_status};
}

void Process::end() noexcept {
  if (!running()) return;
  signal(SIGKILL);
  pollfd death{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  // A process in an uninterruptible state outlives its SIGKILL; it is left to the kernel.
  constexpr int kPatienceMs = 2000;
  ::poll(&death, 1, kPatienceMs);
  reap();
}

Result<std::string> find_worker() {
  if (const char* chosen = std::getenv("TUTTI_WORKER")) {
    if (executable(chosen)) return std::string(chosen);
    return std::unexpected(Error{Errc::system, "cannot be executed", fmt::format("TUTTI_WORKER={}", chosen),
                                 "unset it, or point it at tutti-worker"});
  }
  std::string places = directory_of_this_program() + "/tutti-worker";
  if (executable(places)) return places;
  if (kPackagedWorker != nullptr) {
    if (executable(kPackagedWorker)) return std::string(kPackagedWorker);
    places += fmt::format(" and {}", kPackagedWorker);
  }
  return std::unexpected(
      Error{Errc::system, "tutti-worker was not found", places, "set TUTTI_WORKER to its path"});
}

}  // namespace tutti
