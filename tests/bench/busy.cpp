// What a busy second costs beside time: system calls, page faults, allocations, of supervisor and worker.
//
//   pass 1, untraced:  faults, allocations and sleeps before and after a second of requests
//   pass 2, traced:    every system call between two marks (getppid) of the asking thread, by PTRACE_SYSCALL
//
// A stop under ptrace takes long enough for spins to run out, so pass 2 can count too many, never too few.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "count_allocations.hpp"
#include "duo.hpp"
#include "ensemble.hpp"
#include "process_facts.hpp"
#include "shared/doorbell.hpp"

// <sys/ptrace.h> and <linux/ptrace.h> cannot be included together; this is glibc's name for the same struct.
using SyscallInfo = struct __ptrace_syscall_info;

namespace tutti::bench {
namespace {

constexpr std::uint64_t kWarmUp = 5000;

struct Shared {
  std::atomic<std::uint32_t> state;  // 1: warm, 2: go, 3: done, 9: failed
  std::atomic<pid_t> worker;
  double requests;
  double allocations;
  double supervisor_faults;
  double worker_faults;
  double sleeps;
};

std::uint64_t own_faults() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_minflt + usage.ru_majflt);
}

std::uint64_t own_sleeps() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_nvcsw);
}

[[noreturn]] void ask_for_a_second(Shared& shared, const Options& options) {
  constexpr std::uint32_t kFeatures = 30;
  auto launched = idle_ensemble(1, kFeatures).launch();
  if (!launched) {
    shared.state.store(9);
    ::_exit(1);
  }
  const pid_t worker = launched->status().members[0].pids[0];
  if (options.cores.size() > 1) {
    pin(options.cores[1], worker);
    pin(options.cores[0]);
  }
  const std::vector<float> row(kFeatures, 0.5F);
  const MatrixView x{row.data(), 1, kFeatures};
  Prediction prediction;
  for (std::uint64_t i = 0; i < kWarmUp; ++i) (void)launched->predict(x, prediction);
  shared.worker.store(worker);
  shared.state.store(1, std::memory_order_release);
  while (shared.state.load(std::memory_order_acquire) != 2) wait_step(false);
  (void)launched->predict(x, prediction);  // the worker slept while we waited

  const ProcessFacts worker_before = facts_of(worker);
  std::uint64_t requests = 0;
  // The reading of /proc slept and allocated; the marks and counts lie inside it.
  (void)launched->predict(x, prediction);
  const std::uint64_t faults = own_faults();
  const std::uint64_t sleeps = own_sleeps();
  const std::uint64_t asked = allocations();
  ::syscall(SYS_getppid);
  const double until = now_ns() + (options.quick ? 0.3e9 : 1e9);
  while (now_ns() < until) {
    for (int i = 0; i < 16; ++i, ++requests) {
      if (!launched->predict(x, prediction) || prediction.degraded()) shared.state.store(9);
    }
  }
  ::syscall(SYS_getppid);
  const std::uint64_t asked_after = allocations();
  shared.supervisor_faults = static_cast<double>(own_faults() - faults);
  const std::uint64_t sleeps_after = own_sleeps();
  const ProcessFacts worker_after = facts_of(worker);
  shared.requests = static_cast<double>(requests);
  shared.allocations = static_cast<double>(asked_after - asked);
  shared.worker_faults = static_cast<double>(worker_after.page_faults - worker_before.page_faults);
  shared.sleeps = static_cast<double>(sleeps_after - sleeps + worker_after.sleeps - worker_before.sleeps);
  if (shared.state.load() != 9) shared.state.store(3);
  ::_exit(0);
}

pid_t fork_asker(Shared& shared, const Options& options) {
  const pid_t bench = ::getpid();
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != bench) ::_exit(0);
  ask_for_a_second(shared, options);
}

// A child that does not get there ends; its death is seen by the caller.
bool wait_warm(const Shared& shared, pid_t child) {
  const double until = now_ns() + 15e9;
  while (shared.state.load(std::memory_order_acquire) == 0 && now_ns() < until) ::usleep(1000);
  if (shared.state.load() == 1) return true;
  ::kill(child, SIGKILL);
  return false;
}

void reap(pid_t child) {
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
}

// ---- pass 2 ----

bool seize(pid_t thread) {
  if (::ptrace(PTRACE_SEIZE, thread, nullptr, PTRACE_O_TRACESYSGOOD) != 0) return false;
  ::ptrace(PTRACE_INTERRUPT, thread, nullptr, nullptr);
  int status = 0;
  return ::waitpid(thread, &status, __WALL) == thread && WIFSTOPPED(status) &&
         ::ptrace(PTRACE_SYSCALL, thread, nullptr, nullptr) == 0;
}

/// System calls by number, between the asker's two marks.
std::map<std::uint64_t, std::uint64_t> count_calls(pid_t asker, const std::vector<pid_t>& threads) {
  std::map<std::uint64_t, std::uint64_t> calls;
  int marks = 0;
  std::size_t alive = threads.size();
  ::alarm(15);  // default action: the bench ends rather than hangs; the guardian says so
  while (alive > 0) {
    int status = 0;
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) break;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      --alive;
      if (thread == asker) break;
      continue;
    }
    int deliver = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      SyscallInfo info{};
      ::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info);
      if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
        if (thread == asker && info.entry.nr == SYS_getppid) {
          ++marks;
        } else if (marks == 1) {
          ++calls[info.entry.nr];
        }
      }
    } else if (status >> 16 == 0) {
      deliver = WSTOPSIG(status);
    }
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, deliver);
  }
  ::alarm(0);
  return calls;
}

std::string name_of_call(std::uint64_t number) {
  static const std::map<std::uint64_t, std::string> kNames = {{SYS_futex, "futex"},
                                                              {SYS_write, "write"},
                                                              {SYS_read, "read"},
                                                              {SYS_epoll_wait, "epoll_wait"},
                                                              {SYS_timerfd_settime, "timerfd_settime"},
                                                              {SYS_sched_yield, "sched_yield"},
                                                              {SYS_clock_gettime, "clock_gettime"}};
  const auto found = kNames.find(number);
  return found == kNames.end() ? fmt::format("call {}", number) : found->second;
}

void add(Report& report, std::string name, double count, double requests, double bound,
         std::string note = {}) {
  Figure figure{.name = std::move(name),
                .unit = "",
                .value = {},
                .ratio = {},
                .against = {},
                .goal = Goal{Goal::Kind::at_most, bound},
                .note = fmt::format("{:.0f} in {:.0f} requests{}", count, requests, note)};
  figure.value.add(count / requests);
  report.add(std::move(figure));
}

}  // namespace

void busy_case(Report& report, const Options& options) {
  report.section("busy", "a request of a busy second costs beside time (1 member, 1 row of 30)");
  auto& shared = *new (shared_memory(sizeof(Shared))) Shared{};
  pid_t asker = fork_asker(shared, options);
  if (!wait_warm(shared, asker)) {
    reap(asker);
    return report.skip("all", "the ensemble did not start");
  }
  shared.state.store(2, std::memory_order_release);
  reap(asker);
  if (shared.state.load() != 3) return report.skip("all", "a request failed");
  add(report, "page faults, supervisor", shared.supervisor_faults, shared.requests, 0);
  add(report, "page faults, worker", shared.worker_faults, shared.requests, 0);
  add(report, "allocations, supervisor", shared.allocations, shared.requests, 0);
  add(report, "sleeps, both", shared.sleeps, shared.requests, 0.01);

  shared.state.store(0);
  asker = fork_asker(shared, options);
  bool traced = wait_warm(shared, asker);
  std::vector<pid_t> threads;
  if (traced) {
    threads = threads_of(asker);
    threads.push_back(shared.worker.load());
    for (const pid_t thread : threads) traced = seize(thread) && traced;
  }
  if (!traced) {
    ::kill(asker, SIGKILL);
    reap(asker);
    return report.skip("system calls", "ptrace is not allowed here");
  }
  shared.state.store(2, std::memory_order_release);
  const auto calls = count_calls(asker, threads);
  double total = 0;
  std::string note;
  for (const auto& [number, count] : calls) {
    total += static_cast<double>(count);
    note += fmt::format("{}{} {}", note.empty() ? ": " : ", ", name_of_call(number), count);
  }
  add(report, "system calls, supervisor and worker", total, shared.requests, 0.01, note);
}

}  // namespace tutti::bench
