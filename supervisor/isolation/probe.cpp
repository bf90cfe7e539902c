#include "supervisor/isolation/probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>

#include "shared/log.hpp"
#include "shared/region.hpp"
#include "supervisor/isolation/control_group.hpp"

namespace tutti {
namespace {

constexpr std::size_t kReportBytesMax = 16'384;
constexpr int kPatienceMs = 10'000;

/// Starts it in a process group of its own, its standard output in `output`.
Result<pid_t> start(const std::string& program, int output) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::string name = "tutti-worker";
  std::string argument(kTryCage);
  std::array<char*, 3> arguments{name.data(), argument.data(), nullptr};
  std::array<char*, 1> environment{nullptr};
  pid_t child = 0;
  const int failure =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, arguments.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) return std::unexpected(system_error("posix_spawn", failure, program));
  return child;
}

/// Everything that comes until its end, within the limits of size and time.
std::string read_all(int pipe) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
  std::string text;
  std::array<char, 1024> part{};
  while (text.size() < kReportBytesMax && std::chrono::steady_clock::now() < until) {
    pollfd state{.fd = pipe, .events = POLLIN, .revents = 0};
    if (::poll(&state, 1, 100) <= 0) continue;
    const ssize_t got = ::read(pipe, part.data(), part.size());
    if (got <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  return text;
}

template <class Number>
bool read_number(std::string_view text, Number& number) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc() && end == text.data() + text.size();
}

bool read_line(std::string_view line, ProbeReport& report) {
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view key = line.substr(0, space);
  const std::string_view value = line.substr(space + 1);
  if (key == "protocol") return read_number(value, report.protocol);
  if (key == "took_ns") {
    std::int64_t nanoseconds = 0;
    const bool good = read_number(value, nanoseconds);
    report.took = Duration(nanoseconds);
    return good;
  }
  if (key == "wall") {
    const auto wall = wall_named(value);
    if (wall) report.walls.add(*wall);
    return wall.has_value();
  }
  if (key != "missing") return false;
  const std::size_t colon = value.find(": ");
  const auto wall = wall_named(value.substr(0, colon));
  if (wall && colon != std::string_view::npos) report.missing[*wall] = printable(value.substr(colon + 2));
  return true;
}

}  // namespace

Result<ProbeReport> probe_isolation(const std::string& program) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::unexpected(system_error("pipe2", errno));
  const Descriptor reading(ends[0]);
  Descriptor writing(ends[1]);
  const auto child = start(program, writing.get());
  writing.close();
  if (!child) return std::unexpected(child.error());
  // One that can be made can still refuse processes.
  constexpr std::uint64_t kTrialBytes = 64U << 20U;
  ControlGroup group = ControlGroup::create({.memory_bytes = kTrialBytes, .cpu_cores = 1, .processes = 16});
  group.add(*child);
  const std::string text = read_all(reading.get());
  // The launcher is gone, the companion sleeps: both are children of this process.
  ::kill(-*child, SIGKILL);
  while (::waitpid(-*child, nullptr, 0) > 0 || errno == EINTR) continue;

  ProbeReport report;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (!read_line(std::string_view(text).substr(at, end - at), report)) {
      return std::unexpected(
          Error{Errc::protocol,
                fmt::format("it said {}", printable(text.substr(at, std::min<std::size_t>(end - at, 200)))),
                program, "install tutti and tutti-worker from the same build"});
    }
    at = end + 1;
  }
  if (report.protocol == 0) {
    return std::unexpected(Error{Errc::system, "it ended without a report", program,
                                 "install tutti and tutti-worker from the same build"});
  }
  report.group_walls = group.walls();
  for (const Wall wall : {Wall::cgroup_memory, Wall::cgroup_processes, Wall::cgroup_cpu}) {
    if (!group.walls().has(wall)) report.missing[wall] = group.obstacle();
  }
  return report;
}

std::string_view remedy_of(Wall wall) noexcept {
  switch (wall) {
    case Wall::user_namespace:
      return "allow user namespaces: sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone "
             "above 0; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; in a container "
             "--security-opt "
             "seccomp=unconfined, or run tutti as root";
    case Wall::pid_namespace:
    case Wall::net_namespace:
    case Wall::ipc_namespace:
    case Wall::uts_namespace:
    case Wall::mount_namespace:
      return "comes with user namespaces, or with root and CAP_SYS_ADMIN";
    case Wall::own_uid:
      return "start tutti as root, with models that everybody may read";
    case Wall::limits:
      return "as root RLIMIT_NPROC binds nobody: it takes a uid of its own, so models that everybody may "
             "read and "
             "CAP_SETUID, or an ordinary user";
    case Wall::no_capabilities:
    case Wall::no_new_privileges:
      return "report this as a bug: nothing is needed for it";
    case Wall::not_dumpable:
      return "needed only where there is no user namespace";
    case Wall::landlock_files:
      return "Linux 5.13 with Landlock: add landlock to the kernel's lsm= list";
    case Wall::landlock_network:
      return "Linux 6.7 with Landlock";
    case Wall::landlock_scope:
      return "Linux 6.12 with Landlock";
    case Wall::seccomp_load:
    case Wall::seccomp_serve:
      return "a kernel with CONFIG_SECCOMP_FILTER, and a build without sanitizers";
    case Wall::cgroup_memory:
    case Wall::cgroup_processes:
    case Wall::cgroup_cpu:
      return "needs root, and cgroup v1 or a v2 group that hands controllers down; without it memory is "
             "limited process by process, and cores are not";
  }
  return "";
}

}  // namespace tutti
