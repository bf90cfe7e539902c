// The steps of a cage, in the order in which they are taken; cage.cpp takes them.
//
// Each does all it can, adds the walls that hold to `walls`, and notes why one does not. None fails the
// whole: that is decided at the end, from the walls.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "shared/cage.hpp"

namespace tutti::cage {

// Sanitizers need memory maps, files and threads of their own, which a cage takes away.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
#else
inline constexpr bool kSanitized = false;
#endif

/// What the steps have reached so far.
struct Progress {
  Walls walls;
  std::string missing;  // "user_namespace: unshare: Operation not permitted; …"

  void miss(Wall wall, std::string_view call, int error_number) {
    if (!missing.empty()) missing += "; ";
    missing += fmt::format("{}: {}: {}", name_of(wall), call, std::strerror(error_number));
  }
};

/// A path that the worker may read: a file, or a directory and all below.
struct Readable {
  std::string path;
  bool directory = false;
};

/// The runtime libraries, the model, and each line of `more`.
std::vector<Readable> readable_paths(const std::string& model, std::string_view more);

/// nice, rlimits, oom_score_adj, umask, working directory. RLIMIT_NPROC waits for `limit_processes`.
void set_limits(const CageRequest& request, Progress& progress);
/// Where neither uid nor user namespace are this member's own, strangers are counted too: the limit is looser
/// then, and only keeps the machine alive.
/// `counted`: the kernel counts this user's processes; it does not count those of the machine's root.
void limit_processes(const CageRequest& request, bool counted, Progress& progress);

/// Root of the machine, not of a user namespace.
bool is_root_of_machine();

/// As root: a uid of its own, if the model can be read with it. Keeps the capabilities for the next steps.
void take_own_uid(const std::string& model, Progress& progress);
/// User, pid, net, ipc, mount and uts namespaces; the pid namespace holds for children only.
void enter_namespaces(Progress& progress);
/// In a mount namespace: a root of its own that holds `readable`, read-only, and nothing else.
void enter_view(const std::vector<Readable>& readable, Progress& progress);
/// Gives up every capability, for good.
void drop_capabilities(Progress& progress);
/// Landlock: no file but `readable`, no TCP, no signal and no abstract socket to the outside.
void enter_landlock(const std::vector<Readable>& readable, Progress& progress);
/// Landlock once more, with nothing allowed: separates isolates of one member from each other. False: failed.
bool close_landlock() noexcept;

}  // namespace tutti::cage
