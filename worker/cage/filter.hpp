// Filters of system calls: what each stage allows, and the program that the kernel runs for it.
//
//   policy (a verdict for each number) ──▶ runs of equal verdicts ──▶ binary search in BPF ──▶ install
//
// An allowlist in both stages: what is not named does not exist. While a model loads, that means ENOSYS,
// because libraries ask for much that they can do without; what only an attack asks for means death in both.
// Once it serves, what is not named means death. A filter sees numbers, never what a pointer points to: calls
// are allowed only where their numbers tell enough.
//
// Built at compile time: installing one costs its own system call and nothing else.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tutti::cage {

/// One past the last system call that the tables know; those beyond are unknown.
inline constexpr std::uint32_t kSystemCallsEnd = 480;

enum class Verdict : std::uint8_t {
  unknown,  // not named: ENOSYS while loading, death while serving
  allow,
  refuse,     // EPERM, and the model goes on
  no_file,    // EACCES: it asked for a file
  not_there,  // ENOSYS, so that the C library takes an older call
  kill,
  // Depends on the call's arguments:
  no_execute,            // mprotect: not executable memory
  counted,               // mmap: only memory that RLIMIT_DATA counts, or a file's
  counted_data,          // mmap: the same, and not executable
  threads_only,          // clone
  threads_and_isolates,  // clone: also a child of the parent, which is how a template makes isolates
  own_process,           // kill, tgkill: only this process
  not_our_handler,       // rt_sigaction: the handler of SIGSYS stays
  not_remove,            // madvise: MADV_REMOVE would punch holes into shared memory
  harmless_option,       // prctl
  terminal_question,     // ioctl: TCGETS, as isatty() asks it
  descriptor_question,   // fcntl: nothing that reaches other processes
  ask_only,              // prlimit64: own limits, not to change them
};

enum class Profile : std::uint8_t { load, serve, serve_with_threads, companion };

/// The verdict for each system call of this machine.
using Policy = std::array<Verdict, kSystemCallsEnd>;
const Policy& policy_of(Profile profile) noexcept;

/// The program for a profile. Its constant kOwnProcess must be replaced by the pid before it is installed.
std::span<const sock_filter> program_of(Profile profile) noexcept;
inline constexpr std::uint32_t kOwnProcess = 0xC0FF'EE01;

/// Binds all threads of this process, for good. 0, or errno.
int install(Profile profile, pid_t own_process) noexcept;

/// Takes SIGSYS: `violated` is told the number of the call, and the process dies of the signal.
void catch_violations(void (*violated)(int system_call) noexcept) noexcept;

}  // namespace tutti::cage
