// Limits on what a worker may use up. RLIMIT_DATA counts private memory while it is writable, RLIMIT_AS also
// addresses that are only reserved: the first is what a config means, the second what an attacker cannot get
// around, and therefore has some room. RLIMIT_RSS does nothing.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "worker/cage/steps.hpp"

namespace tutti::cage {
namespace {

// Of 1000: a worker goes before anything else that the machine runs, its supervisor above all.
constexpr int kOomScore = 800;

constexpr rlim_t kStackBytesMax = 8U << 20U;

/// Lowers a limit; one that is lower already is left alone. 0: done.
int lower(__rlimit_resource resource, rlim_t value) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return errno;
  limit.rlim_max = std::min(limit.rlim_max, value);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(resource, &limit) == 0 ? 0 : errno;
}

/// To a file of /proc, where there is such a file.
void write_number(const char* path, int number) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  std::array<char, 16> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  [[maybe_unused]] const ssize_t written =
      ::write(file, text.data(), static_cast<std::size_t>(end.ptr - text.data()));
  ::close(file);
}

/// Where the kernel shares processors by session (sched_autogroup) niceness counts within one only; a session
/// has its own, in a file. Whoever leads one speaks for the member.
void set_nice(int nice) {
  ::setpriority(PRIO_PROCESS, 0, nice);
  if (nice != 0 && ::getsid(0) == ::getpid()) write_number("/proc/self/autogroup", nice);
}

/// The first number of a file; 0 where it cannot be read.
rlim_t first_number(const char* path) {
  std::array<char, 64> text{};
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t length = ::read(file, text.data(), text.size());
  ::close(file);
  rlim_t number = 0;
  std::from_chars(text.data(), text.data() + std::max<ssize_t>(length, 0), number);
  return number;
}

rlim_t addresses_now() {
  return first_number("/proc/self/statm") * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

/// Threads of all processes. 0 where that cannot be read.
rlim_t tasks_of_machine() {
  // "0.20 0.18 0.12 1/80 11206": running and all of them stand in the fourth place.
  std::array<char, 128> text{};
  const int file = ::open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t length = ::read(file, text.data(), text.size());
  ::close(file);
  const std::string_view line(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::size_t slash = line.find('/');
  rlim_t tasks = 0;
  if (slash != std::string_view::npos)
    std::from_chars(line.data() + slash + 1, line.data() + line.size(), tasks);
  return tasks;
}

}  // namespace

void set_limits(const CageRequest& request, Progress& progress) {
  // The kernel's choice when memory runs out should be a worker. Raising one's own score needs no privilege.
  write_number("/proc/self/oom_score_adj", kOomScore);
  set_nice(request.nice);
  ::umask(077);
  int failure = ::chdir("/") == 0 ? 0 : errno;
  const auto limit = [&](__rlimit_resource resource, rlim_t value) {
    if (const int error_number = lower(resource, value); error_number != 0) failure = error_number;
  };
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_MSGQUEUE, 0);
  limit(RLIMIT_NOFILE, request.descriptors_max);
  limit(RLIMIT_FSIZE, request.file_bytes_max);
  // Private writable memory: the heap, not the shared regions. What a memory group counts beside this, page
  // cache and memfds, the filters and the file limit keep small.
  if (request.memory_bytes_max != 0) limit(RLIMIT_DATA, request.memory_bytes_max);
  limit(RLIMIT_STACK, kStackBytesMax);
  if (request.address_bytes_max != 0) limit(RLIMIT_AS, addresses_now() + request.address_bytes_max);
  if (failure == 0) {
    progress.walls.add(Wall::limits);
  } else {
    progress.miss(Wall::limits, "setrlimit", failure);
  }
}

void limit_processes(const CageRequest& request, bool counted, Progress& progress) {
  if (!counted && !progress.walls.has(Wall::own_uid)) {
    progress.walls.remove(Wall::limits);
    return progress.miss(Wall::limits, "RLIMIT_NPROC does not bind root, and others may not read the model",
                         EPERM);
  }
  const bool own = progress.walls.has(Wall::user_namespace) || progress.walls.has(Wall::own_uid);
  // Among strangers of the same uid: so many more than the whole machine has now, that the strangers can
  // grow.
  constexpr rlim_t kStrangersGrowth = 4096;
  const rlim_t most = own ? request.processes_max : tasks_of_machine() + kStrangersGrowth;
  if (const int error_number = lower(RLIMIT_NPROC, most); error_number != 0) {
    progress.walls.remove(Wall::limits);
    progress.miss(Wall::limits, "setrlimit(RLIMIT_NPROC)", error_number);
  }
}

}  // namespace tutti::cage
