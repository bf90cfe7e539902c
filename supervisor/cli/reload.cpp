// tutti reload: has a running ensemble load its config anew, and waits until it has or has not.
#include "supervisor/cli/reload.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "shared/log.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/watch/status_socket.hpp"

namespace tutti::cli {
namespace {

std::atomic<int> g_hangups{-1};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void on_hangup(int /*number*/) {
  const int error_number = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(g_hangups.load(), &one, sizeof one);
  errno = error_number;
}

bool has_terminal() { return Descriptor(::open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY)).is_open(); }

// A stranger's text with its lines kept.
std::string lines_of(const std::string& text) {
  std::string lines;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find('\n', from), text.size());
    lines += (from == 0 ? "" : "\n") + printable(std::string_view(text).substr(from, end - from));
    from = end + 1;
  }
  return lines;
}

struct Reloads {
  int pid = 0;
  std::uint64_t generation = 0;
  std::uint64_t failed = 0;
  std::string error;
};

Result<Reloads> reloads_of(const std::string& socket) {
  const auto document = fetch_status(socket);
  if (!document) return std::unexpected(document.error());
  try {
    const auto status = nlohmann::json::parse(*document);
    return Reloads{.pid = status.at("pid").get<int>(),
                   .generation = status.at("config_generation").get<std::uint64_t>(),
                   .failed = status.at("reloads_failed").get<std::uint64_t>(),
                   .error = status.at("last_reload_error").get<std::string>()};
  } catch (const nlohmann::json::exception& exception) {
    return std::unexpected(Error{Errc::protocol,
                                 fmt::format("is no status of an ensemble: {}", exception.what()), socket,
                                 "is it a socket of this version's tutti?"});
  }
}

// Whether a process ignores SIGHUP, as what is started with nohup does. False where /proc does not say.
bool ignores_hangup(int pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  constexpr std::string_view kIgnored = "SigIgn:\t";
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(kIgnored)) continue;
    std::uint64_t ignored = 0;
    std::from_chars(line.data() + kIgnored.size(), line.data() + line.size(), ignored, 16);
    return (ignored >> (SIGHUP - 1U) & 1U) != 0;
  }
  return false;
}

// Sends the signal and waits for its effect.
Result<std::uint64_t> reload_one(const std::string& socket) {
  constexpr auto kPatience = std::chrono::seconds(60);
  constexpr auto kStep = std::chrono::milliseconds(20);
  const auto before = reloads_of(socket);
  if (!before) return std::unexpected(before.error());
  if (ignores_hangup(before->pid)) {
    return std::unexpected(Error{Errc::not_ready, "it ignores SIGHUP, which is what would make it reload",
                                 fmt::format("process {}", before->pid),
                                 "was it started with nohup? start it with setsid instead"});
  }
  if (before->pid <= 1 || ::kill(before->pid, SIGHUP) != 0) {
    return std::unexpected(system_error("kill(SIGHUP)", errno, fmt::format("process {}", before->pid)));
  }
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kStep);
    const auto now = reloads_of(socket);
    if (!now) return std::unexpected(now.error());
    if (now->generation != before->generation) return now->generation;
    if (now->failed != before->failed) {
      return std::unexpected(Error{Errc::bad_config, lines_of(now->error), socket, "the old config goes on"});
    }
  }
  return std::unexpected(Error{Errc::system, "it has not loaded its config in 60 s", socket,
                               "tutti status shows what its members do"});
}

}  // namespace

ReloadOnHangup::ReloadOnHangup(ConfigOptions config)
    : config_(std::move(config)), hangups_(::eventfd(0, EFD_CLOEXEC)), had_terminal_(has_terminal()) {
  struct sigaction inherited{};
  ::sigaction(SIGHUP, nullptr, &inherited);
  if (!hangups_.is_open() || inherited.sa_handler == SIG_IGN) return;  // nohup means it
  g_hangups.store(hangups_.get());
  thread_ = std::thread([this] { watch(); });
  struct sigaction action{};
  action.sa_handler = on_hangup;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGHUP, &action, nullptr);
}

ReloadOnHangup::~ReloadOnHangup() {
  if (!thread_.joinable()) return;
  ::signal(SIGHUP, SIG_IGN);  // the command ends anyway
  phase_.store(Phase::ending);
  phase_.notify_one();
  on_hangup(SIGHUP);
  thread_.join();
  g_hangups.store(-1);
}

void ReloadOnHangup::serve(Ensemble& ensemble) {
  ensemble_ = &ensemble;
  // release: pairs with the thread's acquire. Seeing the phase means seeing the ensemble.
  phase_.store(Phase::serving, std::memory_order_release);
  phase_.notify_one();
}

void ReloadOnHangup::watch() {
  for (;;) {
    std::uint64_t hangups = 0;
    if (::read(hangups_.get(), &hangups, sizeof hangups) < 0 && errno != EINTR) return;
    if (phase_.load() == Phase::ending) return;
    if (had_terminal_ && !has_terminal()) {
      ::kill(::getpid(), SIGTERM);
      return;
    }
    phase_.wait(Phase::launching, std::memory_order_acquire);
    if (phase_.load(std::memory_order_acquire) == Phase::ending) return;
    reload();
  }
}

void ReloadOnHangup::reload() {
  const auto done = ensemble_->reload(source_of(config_));
  if (!done) {
    complain(done.error());
    return;
  }
  say("{}: config loaded anew, generation {}\n", ensemble_->config().name,
      ensemble_->status().config_generation);
}

int reload(const ReloadOptions& options) {
  const auto sockets = sockets_of(options.what);
  if (!sockets) {
    complain(sockets.error());
    return kFailed;
  }
  if (sockets->size() > 1) {
    complain(
        {Errc::bad_usage, "several ensembles are running", "tutti reload", "name the one that is meant"});
    return kUsage;
  }
  const auto generation = reload_one(sockets->front());
  if (!generation) {
    complain(generation.error());
    return kFailed;
  }
  say("config loaded anew, generation {}\n", *generation);
  return kOk;
}

}  // namespace tutti::cli
