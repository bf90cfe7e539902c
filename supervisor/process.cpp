#include "supervisor/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "shared/control.hpp"
#include "supervisor/packaged_worker.hpp"

namespace tutti {
namespace {

constexpr int kFirstHighDescriptor = 64;
static_assert(kControlDescriptor < kFirstHighDescriptor);

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
    // A session of its own, so a group as well: Ctrl-C at the terminal is the supervisor's to handle, and
    // where the kernel shares processors by session (sched_autogroup) a worker with eight busy threads gets
    // the share of one, not of eight.
    ::posix_spawnattr_setflags(&attributes_,
                               POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
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

Result<OutputPipe> OutputPipe::create() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return std::unexpected(system_error("pipe2", errno, {}, "raise the descriptor limit (ulimit -n)"));
  }
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return OutputPipe{.reading = Descriptor(ends[0]), .writing = Descriptor(ends[1])};
}

Result<Process> Process::spawn(const SpawnRequest& request) {
  // dup2 onto 1 to 3 could overwrite a source that has such a number itself, so both are moved high first.
  const Descriptor control(::fcntl(request.control, F_DUPFD_CLOEXEC, kFirstHighDescriptor));
  const Descriptor output(::fcntl(request.output, F_DUPFD_CLOEXEC, kFirstHighDescriptor));
  if (!control.is_open() || !output.is_open()) {
    return std::unexpected(
        system_error("fcntl(F_DUPFD)", errno, request.program,
                     "raise the descriptor limit (ulimit -n); tutti plan says how many are "
                     "needed"));
  }
  SpawnActions actions;
  actions.open_null(STDIN_FILENO);
  actions.move(output.get(), STDOUT_FILENO);
  actions.move(output.get(), STDERR_FILENO);
  actions.move(control.get(), kControlDescriptor);
  actions.close_from(kControlDescriptor + 1);

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
  if (auto opened = process.open(); !opened) {
    ::kill(process.pid_, SIGKILL);
    ::waitpid(process.pid_, nullptr, 0);
    return std::unexpected(opened.error());
  }
  return process;
}

Result<Process> Process::adopt(pid_t pid) {
  // A look that reaps nothing: it fails unless the process is our child.
  siginfo_t info{};
  if (pid <= 0 || ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    return std::unexpected(Error{Errc::protocol, fmt::format("process {} is no child of the supervisor", pid),
                                 "adopting a worker", "the worker that reported it is not to be trusted"});
  }
  Process process;
  process.pid_ = pid;
  if (auto opened = process.open(); !opened) return std::unexpected(opened.error());
  return process;
}

// The child is ours and unreaped, so its pid cannot be another process's yet.
Result<void> Process::open() {
  pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (pidfd_.is_open()) return {};
  return std::unexpected(system_error(
      "pidfd_open", errno, fmt::format("process {}", pid_),
      errno == EMFILE ? "raise the descriptor limit (ulimit -n)" : "tutti needs Linux 5.3 or later"));
}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    end();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    anchor_ = std::exchange(other.anchor_, false);
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
    result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info,
                      WEXITED | WNOHANG | (anchor_ ? WNOWAIT : 0));
  } while (result != 0 && errno == EINTR);
  if (result == 0 && info.si_pid == 0) return std::nullopt;
  pidfd_.close();
  // Somebody else reaped it (an embedding program that waits for any child): dead, but of what is lost.
  if (result != 0) return VoteFate{.state = VoteState::exited, .detail = -1};
  if (info.si_code == CLD_EXITED) return VoteFate{.state = VoteState::exited, .detail = info.si_status};
  return VoteFate{.state = VoteState::crashed, .detail = info.si_status};
}

void Process::release_anchor() noexcept {
  anchor_ = false;
  siginfo_t info{};
  // What it died of was told when its death was seen.
  if (!running() && pid_ > 0) ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
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

bool ProcessGroup::take_memory_kill() {
  if (limits_.memory_kills() <= memory_kills_) return false;
  ++memory_kills_;
  return true;
}

ProcessGroup::~ProcessGroup() {
  ::kill(-leader_, SIGKILL);
  // One in an uninterruptible state outlives its SIGKILL; it is left to the kernel.
  constexpr int kLooks = 10'000;
  constexpr timespec kPause{.tv_sec = 0, .tv_nsec = 200'000};
  for (int look = 0; look < kLooks; ++look) {
    siginfo_t info{};
    const int result = ::waitid(P_PGID, static_cast<id_t>(leader_), &info, WEXITED | WNOHANG);
    if (result != 0 && errno == ECHILD) return;
    if (result == 0 && info.si_pid == 0) ::nanosleep(&kPause, nullptr);
  }
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
