// Every system call number against every profile: what the compiled filter does is what the policy says.
//
// The programs are run by an interpreter here, which knows the six instructions that they use; the kernel
// runs the same programs in cage_test.cpp.
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "tests/catch.hpp"
#include "worker/cage/filter.hpp"

using namespace tutti::cage;

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kHere = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kHere = AUDIT_ARCH_AARCH64;
#endif
constexpr std::uint32_t kEnd = 1000;  // well past what any kernel has

/// What the kernel would do with this call.
std::uint32_t decide(Profile profile, const seccomp_data& call) {
  const auto code = program_of(profile);
  std::uint32_t value = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const sock_filter& step = code[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        REQUIRE(step.k + 4 <= sizeof call);
        std::memcpy(&value, reinterpret_cast<const char*>(&call) + step.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        value &= step.k;
        break;
      case BPF_JMP | BPF_JA:
        at += step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += value == step.k ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += value >= step.k ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        at += (value & step.k) != 0 ? step.jt : step.jf;
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        FAIL("an instruction that no program of ours has: " << step.code);
    }
  }
  FAIL("the program ran past its end");
  return 0;
}

seccomp_data call_of(long number, std::initializer_list<std::uint64_t> arguments = {}) {
  seccomp_data call{};
  call.nr = static_cast<int>(number);
  call.arch = kHere;
  std::size_t index = 0;
  for (const std::uint64_t argument : arguments) call.args[index++] = argument;
  return call;
}

std::uint32_t decide(Profile profile, long number, std::initializer_list<std::uint64_t> arguments = {}) {
  return decide(profile, call_of(number, arguments));
}

constexpr std::uint32_t failing(int error_number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error_number);
}

constexpr std::array kProfiles{Profile::load, Profile::serve, Profile::serve_with_threads,
                               Profile::companion};

}  // namespace

TEST_CASE("filter: every number gets what the policy says of it, and unknown ones nothing", "[cage]") {
  for (const Profile profile : kProfiles) {
    const std::uint32_t unknown = profile == Profile::load ? failing(ENOSYS) : SECCOMP_RET_TRAP;
    for (std::uint32_t number = 0; number < kEnd; ++number) {
      const Verdict verdict = number < kSystemCallsEnd ? policy_of(profile)[number] : Verdict::unknown;
      const std::uint32_t done = decide(profile, static_cast<long>(number));
      INFO("profile " << static_cast<int>(profile) << " call " << number);
      if (verdict == Verdict::unknown) CHECK(done == unknown);
      if (verdict == Verdict::allow) CHECK(done == SECCOMP_RET_ALLOW);
      if (verdict == Verdict::refuse) CHECK(done == failing(EPERM));
      if (verdict == Verdict::no_file) CHECK(done == failing(EACCES));
      if (verdict == Verdict::kill) CHECK(done == SECCOMP_RET_TRAP);
    }
  }
}

TEST_CASE("filter: what serving allows is this list and no more", "[cage]") {
  // Goal: nobody widens the filter by the way. Method: the list once more, by another hand than the policy's.
  std::set<long> allowed;
  for (std::uint32_t number = 0; number < kEnd; ++number) {
    const auto call = static_cast<long>(number);
    if (decide(Profile::serve, call) == SECCOMP_RET_ALLOW) allowed.insert(call);
  }
  for (const long dangerous : {SYS_openat,
                               SYS_openat2,
                               SYS_socket,
                               SYS_socketpair,
                               SYS_connect,
                               SYS_sendmsg,
                               SYS_recvmsg,
                               SYS_clone,
                               SYS_clone3,
                               SYS_execve,
                               SYS_execveat,
                               SYS_ptrace,
                               SYS_memfd_create,
                               SYS_pidfd_open,
                               SYS_pidfd_getfd,
                               SYS_pidfd_send_signal,
                               SYS_tgkill,
                               SYS_kill,
                               SYS_tkill,
                               SYS_rt_sigqueueinfo,
                               SYS_rt_tgsigqueueinfo,
                               SYS_seccomp,
                               SYS_bpf,
                               SYS_io_uring_setup,
                               SYS_userfaultfd,
                               SYS_perf_event_open,
                               SYS_unshare,
                               SYS_setns,
                               SYS_mount,
                               SYS_chroot,
                               SYS_keyctl,
                               SYS_shmget,
                               SYS_mq_open,
                               SYS_process_vm_readv,
                               SYS_process_vm_writev,
                               SYS_setuid,
                               SYS_capset,

                               SYS_dup,
                               SYS_ftruncate,
                               SYS_fallocate,
                               SYS_pkey_mprotect,
                               SYS_remap_file_pages,
                               SYS_splice,
                               SYS_tee,
                               SYS_vmsplice,
                               SYS_sendfile,
                               SYS_copy_file_range,
                               SYS_personality,
                               SYS_reboot,
                               SYS_landlock_create_ruleset,
                               SYS_inotify_init1,
                               SYS_timer_create}) {
    INFO("call " << dangerous);
    CHECK(allowed.count(dangerous) == 0);
  }
  CHECK(allowed.size() < 80);
}

TEST_CASE("filter: another architecture or the x32 interface kills", "[cage]") {
  for (const Profile profile : kProfiles) {
    seccomp_data call = call_of(SYS_read);
    call.arch = AUDIT_ARCH_I386;
    CHECK(decide(profile, call) == SECCOMP_RET_KILL_PROCESS);
    CHECK(decide(profile, 0x4000'0000L | SYS_read) == SECCOMP_RET_KILL_PROCESS);
    CHECK(decide(profile, -1) == SECCOMP_RET_KILL_PROCESS);
  }
}

TEST_CASE("filter: arguments decide where a number does not say enough", "[cage]") {
  using enum Profile;
  const std::uint64_t anything = 0x1234'5678'9abc'def0;
  // Memory: never executable once serving.
  for (const long call : {SYS_mmap, SYS_mprotect}) {
    CHECK(decide(serve, call, {anything, 4096, PROT_READ | PROT_WRITE}) == SECCOMP_RET_ALLOW);
    CHECK(decide(serve, call, {anything, 4096, PROT_READ | PROT_EXEC}) == SECCOMP_RET_TRAP);
    CHECK(decide(load, call, {anything, 4096, PROT_READ | PROT_EXEC}) == SECCOMP_RET_ALLOW);
  }
  CHECK(decide(serve, SYS_madvise, {anything, 4096, MADV_DONTNEED}) == SECCOMP_RET_ALLOW);
  CHECK(decide(load, SYS_madvise, {anything, 4096, MADV_REMOVE}) == failing(EPERM));
  // Processes: forks while loading, threads where allowed, new namespaces never.
  const std::uint64_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;
  CHECK(decide(load, SYS_clone, {CLONE_PARENT | SIGCHLD}) == SECCOMP_RET_ALLOW);
  CHECK(decide(serve, SYS_clone, {thread}) == SECCOMP_RET_TRAP);
  CHECK(decide(serve_with_threads, SYS_clone, {thread}) == SECCOMP_RET_ALLOW);
  CHECK(decide(serve_with_threads, SYS_clone, {SIGCHLD}) == SECCOMP_RET_TRAP);
  CHECK(decide(serve_with_threads, SYS_clone, {CLONE_VM | CLONE_VFORK}) == SECCOMP_RET_TRAP);
  for (const std::uint64_t space : {CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWIPC}) {
    CHECK(decide(load, SYS_clone, {space | SIGCHLD}) == SECCOMP_RET_TRAP);
    CHECK(decide(serve_with_threads, SYS_clone, {thread | space}) == SECCOMP_RET_TRAP);
  }
  // Signals: this process only, by any name that it does not have.
  for (const long call : {SYS_kill, SYS_tgkill}) {
    CHECK(decide(serve, call, {kOwnProcess, 1, 9}) == SECCOMP_RET_ALLOW);
    for (const std::uint64_t other : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}, anything})
      CHECK(decide(serve, call, {other, 1, 9}) == failing(EPERM));
  }
  // The handler of SIGSYS: may be asked for, not changed, whichever half the pointer differs in.
  CHECK(decide(serve, SYS_rt_sigaction, {SIGSEGV, anything}) == SECCOMP_RET_ALLOW);
  CHECK(decide(serve, SYS_rt_sigaction, {SIGSYS, 0, anything}) == SECCOMP_RET_ALLOW);
  CHECK(decide(serve, SYS_rt_sigaction, {SIGSYS, 0x1000}) == failing(EPERM));
  CHECK(decide(load, SYS_rt_sigaction, {SIGSYS, 0x7fff'0000'0000}) == failing(EPERM));
  // Limits may be asked for.
  CHECK(decide(serve, SYS_prlimit64, {0, 7, 0, anything}) == SECCOMP_RET_ALLOW);
  CHECK(decide(serve, SYS_prlimit64, {0, 7, anything}) == failing(EPERM));
  CHECK(decide(serve, SYS_prlimit64, {1, 7, 0, anything}) == failing(EPERM));
  CHECK(decide(serve, SYS_prctl, {PR_SET_NAME, anything}) == SECCOMP_RET_ALLOW);
  CHECK(decide(load, SYS_prctl, {PR_SET_DUMPABLE, 1}) == failing(EINVAL));
}

TEST_CASE("filter: programs are within what the kernel takes", "[cage]") {
  for (const Profile profile : kProfiles) {
    CHECK(!program_of(profile).empty());
    CHECK(program_of(profile).size() <= BPF_MAXINSNS);
  }
}
