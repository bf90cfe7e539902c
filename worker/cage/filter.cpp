#include "worker/cage/filter.hpp"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cerrno>
#include <utility>

#include "worker/cage/policy.hpp"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

namespace tutti::cage {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "tutti's filters know the system calls of x86-64 and of arm64 only"
#endif
// Numbers from here on are the x32 interface: the same calls by another way.
constexpr std::uint32_t kX32 = 0x4000'0000;

constexpr std::uint32_t kNumberAt = offsetof(seccomp_data, nr);
constexpr std::uint32_t kArchitectureAt = offsetof(seccomp_data, arch);
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half of an argument comes first");
constexpr std::uint32_t low_half(std::uint32_t argument) {
  return static_cast<std::uint32_t>(offsetof(seccomp_data, args)) + 8 * argument;
}
constexpr std::uint32_t high_half(std::uint32_t argument) { return low_half(argument) + 4; }

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kViolation = SECCOMP_RET_TRAP;
constexpr std::uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr std::uint32_t failing_with(int error_number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number);
}

constexpr std::uint32_t kNewNamespaces = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                         CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_PTRACE |
                                         CLONE_UNTRACED;
constexpr std::uint32_t kSharedAnonymous = MAP_SHARED | MAP_ANONYMOUS;
constexpr std::uint32_t kThreadFlags = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;

/// BPF as it grows. Jumps of a condition reach 255 instructions, so far ones go through a jump of their own.
struct Program {
  std::array<sock_filter, 1024> code{};
  std::size_t size = 0;

  constexpr void add(std::uint32_t operation, std::uint32_t value, std::size_t if_true = 0,
                     std::size_t if_false = 0) {
    code[size++] = {static_cast<std::uint16_t>(operation), static_cast<std::uint8_t>(if_true),
                    static_cast<std::uint8_t>(if_false), value};
  }
  constexpr void load(std::uint32_t at) { add(BPF_LD | BPF_W | BPF_ABS, at); }
  constexpr void give(std::uint32_t result) { add(BPF_RET | BPF_K, result); }
  /// Returns `result` if the loaded value equals `value`; else goes on.
  constexpr void give_if_equal(std::uint32_t value, std::uint32_t result) {
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    give(result);
  }
  constexpr void give_if_any_bit(std::uint32_t bits, std::uint32_t result) {
    add(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
    give(result);
  }
  constexpr void give_if_from(std::uint32_t value, std::uint32_t result) {
    add(BPF_JMP | BPF_JGE | BPF_K, value, 0, 1);
    give(result);
  }
};

/// The end of a search: the verdict is known, arguments may decide.
constexpr void add_verdict(Program& program, Verdict verdict, std::uint32_t unknown) {
  switch (verdict) {
    case Verdict::unknown:
      return program.give(unknown);
    case Verdict::allow:
      return program.give(kAllow);
    case Verdict::refuse:
      return program.give(failing_with(EPERM));
    case Verdict::no_file:
      return program.give(failing_with(EACCES));
    case Verdict::not_there:
      return program.give(failing_with(ENOSYS));
    case Verdict::kill:
      return program.give(kViolation);
    case Verdict::no_execute:
      program.load(low_half(2));
      program.give_if_any_bit(PROT_EXEC, kViolation);
      return program.give(kAllow);
    case Verdict::counted_data:
      program.load(low_half(2));
      program.give_if_any_bit(PROT_EXEC, kViolation);
      [[fallthrough]];
    case Verdict::counted:
      program.load(low_half(3));
      program.give_if_any_bit(MAP_GROWSDOWN, failing_with(EPERM));
      program.add(BPF_ALU | BPF_AND | BPF_K, kSharedAnonymous);
      program.give_if_equal(kSharedAnonymous, failing_with(EPERM));
      return program.give(kAllow);
    case Verdict::threads_and_isolates:
      program.load(low_half(0));
      program.give_if_equal(CLONE_PARENT | SIGCHLD, kAllow);
      program.give_if_any_bit(kNewNamespaces, kViolation);
      program.add(BPF_ALU | BPF_AND | BPF_K, kThreadFlags);
      program.give_if_equal(kThreadFlags, kAllow);
      return program.give(failing_with(EPERM));
    case Verdict::threads_only:
      program.load(low_half(0));
      program.give_if_any_bit(kNewNamespaces, kViolation);
      program.add(BPF_ALU | BPF_AND | BPF_K, kThreadFlags);
      program.give_if_equal(kThreadFlags, kAllow);
      return program.give(kViolation);
    case Verdict::own_process:
      program.load(low_half(0));
      program.give_if_equal(kOwnProcess, kAllow);
      return program.give(failing_with(EPERM));
    case Verdict::not_our_handler:
      program.load(low_half(0));
      program.add(BPF_JMP | BPF_JEQ | BPF_K, SIGSYS, 1, 0);
      program.give(kAllow);
      // To ask is allowed: no new handler is given.
      program.load(low_half(1));
      program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
      program.give(failing_with(EPERM));
      program.load(high_half(1));
      program.give_if_equal(0, kAllow);
      return program.give(failing_with(EPERM));
    case Verdict::not_remove:
      program.load(low_half(2));
      program.give_if_equal(MADV_REMOVE, failing_with(EPERM));
      return program.give(kAllow);
    case Verdict::harmless_option:
      program.load(low_half(0));
      for (const std::uint32_t option : {PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE,
                                         PR_SET_NO_NEW_PRIVS, PR_SET_TIMERSLACK, PR_SET_THP_DISABLE})
        program.give_if_equal(option, kAllow);
      // To die with the supervisor may be asked for, and not be taken back.
      program.add(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_PDEATHSIG, 1, 0);
      program.give(failing_with(EINVAL));
      program.load(low_half(1));
      program.give_if_equal(SIGKILL, kAllow);
      return program.give(failing_with(EINVAL));
    case Verdict::terminal_question:
      program.load(low_half(1));
      program.give_if_equal(TCGETS, kAllow);
      program.give_if_equal(FIONREAD, kAllow);
      return program.give(failing_with(ENOTTY));
    case Verdict::descriptor_question:
      program.load(low_half(1));
      for (const std::uint32_t command :
           {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GET_SEALS})
        program.give_if_equal(command, kAllow);
      return program.give(failing_with(EPERM));
    case Verdict::ask_only:
      program.load(low_half(0));
      program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
      program.give(failing_with(EPERM));
      program.load(low_half(2));
      program.add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
      program.give(failing_with(EPERM));
      program.load(high_half(2));
      program.give_if_equal(0, kAllow);
      return program.give(failing_with(EPERM));
  }
}

/// Finds the verdict of a number in [first, end) by halving.
constexpr void add_search(Program& program, const Policy& policy, std::uint32_t first, std::uint32_t end,
                          std::uint32_t unknown) {
  // Where verdicts change, nearest to the middle: there the range is cut.
  const std::uint32_t middle = first + (end - first) / 2;
  std::uint32_t cut = 0;
  for (std::uint32_t distance = 0; distance < end - first && cut == 0; ++distance) {
    for (const std::uint32_t at : {middle - std::min(distance, middle), middle + distance}) {
      if (at > first && at < end && policy[at] != policy[at - 1]) cut = at;
    }
  }
  if (cut == 0) return add_verdict(program, policy[first], unknown);
  program.add(BPF_JMP | BPF_JGE | BPF_K, cut, 0, 1);
  const std::size_t far_jump = program.size;
  program.add(BPF_JMP | BPF_JA, 0);
  add_search(program, policy, first, cut, unknown);
  program.code[far_jump].k = static_cast<std::uint32_t>(program.size - far_jump - 1);
  add_search(program, policy, cut, end, unknown);
}

constexpr Program make_program(const Policy& policy, Profile profile) {
  const std::uint32_t unknown = profile == Profile::load ? failing_with(ENOSYS) : kViolation;
  Program program;
  program.load(kArchitectureAt);
  program.add(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0);
  program.give(kKill);
  program.load(kNumberAt);
  program.give_if_from(kX32, kKill);
  program.give_if_from(kSystemCallsEnd, unknown);
  add_search(program, policy, 0, kSystemCallsEnd, unknown);
  return program;
}

constexpr std::array<Profile, 4> kProfiles{Profile::load, Profile::serve, Profile::serve_with_threads,
                                           Profile::companion};
constexpr std::array<Policy, 4> kPolicies{make_policy(kProfiles[0]), make_policy(kProfiles[1]),
                                          make_policy(kProfiles[2]), make_policy(kProfiles[3])};
constexpr std::array<Program, 4> kPrograms{
    make_program(kPolicies[0], kProfiles[0]), make_program(kPolicies[1], kProfiles[1]),
    make_program(kPolicies[2], kProfiles[2]), make_program(kPolicies[3], kProfiles[3])};

// What a signal handler can reach.
std::atomic<void (*)(int) noexcept> violation_listener{nullptr};
static_assert(std::atomic<void (*)(int) noexcept>::is_always_lock_free);

void on_violation(int /*signal*/, siginfo_t* info, void* /*context*/) {
  if (const auto listener = violation_listener.load(std::memory_order_relaxed)) listener(info->si_syscall);
  // The signal is blocked while it is handled, so a second violation kills at once, by the default action:
  // the cause of death stays SIGSYS. Without a filter that forbids this call the exit below is reached.
  ::syscall(SYS_ptrace, -1, 0, 0, 0);
  ::_exit(128 + SIGSYS);
}

}  // namespace

const Policy& policy_of(Profile profile) noexcept { return kPolicies[static_cast<std::size_t>(profile)]; }

std::span<const sock_filter> program_of(Profile profile) noexcept {
  const Program& program = kPrograms[static_cast<std::size_t>(profile)];
  return {program.code.data(), program.size};
}

int install(Profile profile, pid_t own_process) noexcept {
  Program copy = kPrograms[static_cast<std::size_t>(profile)];
  for (sock_filter& instruction : copy.code) {
    if (instruction.k == kOwnProcess) instruction.k = static_cast<std::uint32_t>(own_process);
  }
  const sock_fprog program{.len = static_cast<unsigned short>(copy.size), .filter = copy.code.data()};
  // A thread that cannot be bound is named by its id: that is a failure too.
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  return result == 0 ? 0 : result > 0 ? EBUSY : errno;
}

void catch_violations(void (*violated)(int system_call) noexcept) noexcept {
  violation_listener.store(violated, std::memory_order_relaxed);
  struct sigaction action{};
  action.sa_sigaction = on_violation;
  action.sa_flags = SA_SIGINFO;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGSYS, &action, nullptr);
}

}  // namespace tutti::cage
