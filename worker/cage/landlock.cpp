// Landlock: which files may be opened, and nobody outside may be signalled or connected to. Needs no
// privilege, and later layers can only take away. It binds the calling thread and what that one creates: the
// cage is entered while there is one thread.
//
// It does not see everything (stat, chmod, UDP): the filters forbid those calls.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "shared/region.hpp"
#include "worker/cage/steps.hpp"

namespace tutti::cage {
namespace {

// The kernel's interface, written down here because the headers of Debian 12 know a part of it only.
struct RulesetAttributes {
  std::uint64_t handled_files;
  std::uint64_t handled_network;  // since version 4
  std::uint64_t scoped;           // since version 6
};
struct [[gnu::packed]] PathRule {
  std::uint64_t allowed;
  std::int32_t parent;
};
constexpr unsigned kAskVersion = 1;
constexpr int kPathBeneath = 1;
constexpr std::uint64_t kReadFile = 1U << 2U;
constexpr std::uint64_t kReadDirectory = 1U << 3U;
constexpr std::uint64_t kAllNetwork = 3;  // bind and connect TCP
constexpr std::uint64_t kAllScopes = 3;   // abstract sockets and signals

/// Every right of a file that this version of Landlock knows.
constexpr std::uint64_t all_file_rights(long version) {
  const unsigned rights = version >= 5 ? 16 : version >= 3 ? 15 : version == 2 ? 14 : 13;
  return (std::uint64_t{1} << rights) - 1;
}

long version() { return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion); }

Descriptor make_ruleset(long version) {
  const RulesetAttributes attributes{.handled_files = all_file_rights(version),
                                     .handled_network = version >= 4 ? kAllNetwork : 0,
                                     .scoped = version >= 6 ? kAllScopes : 0};
  // An older kernel takes the bytes beyond what it knows if they are zero.
  return Descriptor(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
}

}  // namespace

void enter_landlock(const std::vector<Readable>& readable, Progress& progress) {
  const long known = version();
  if (known < 1) {
    for (const Wall wall : {Wall::landlock_files, Wall::landlock_network, Wall::landlock_scope})
      progress.miss(wall, "landlock_create_ruleset", errno);
    return;
  }
  const Descriptor ruleset = make_ruleset(known);
  if (!ruleset.is_open()) return progress.miss(Wall::landlock_files, "landlock_create_ruleset", errno);
  for (const Readable& source : readable) {
    const Descriptor parent(::open(source.path.c_str(), O_PATH | O_CLOEXEC));
    if (!parent.is_open()) continue;
    const PathRule rule{.allowed = source.directory ? kReadFile | kReadDirectory : kReadFile,
                        .parent = parent.get()};
    // A rule that is refused leaves the path closed: the model will say that it cannot be read.
    ::syscall(SYS_landlock_add_rule, ruleset.get(), kPathBeneath, &rule, 0);
  }
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0)
    return progress.miss(Wall::landlock_files, "landlock_restrict_self", errno);
  progress.walls.add(Wall::landlock_files);
  if (known >= 4) {
    progress.walls.add(Wall::landlock_network);
  } else {
    progress.miss(Wall::landlock_network, "Linux 6.7", ENOSYS);
  }
  if (known >= 6) {
    progress.walls.add(Wall::landlock_scope);
  } else {
    progress.miss(Wall::landlock_scope, "Linux 6.12", ENOSYS);
  }
}

bool close_landlock() noexcept {
  const long known = version();
  if (known < 1) return false;
  const Descriptor ruleset = make_ruleset(known);
  return ruleset.is_open() && ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) == 0;
}

}  // namespace tutti::cage
