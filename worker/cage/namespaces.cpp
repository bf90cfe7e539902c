// Who the worker is, and what of the machine it can name: uid, namespaces, capabilities.
//
// As root it first becomes a uid that no other process has, keeping its capabilities; the user namespace that
// it then enters belongs to that uid. Without root it starts with the user namespace, where the machine
// allows that. In both cases no capability is left at the end, neither here nor, through exec, ever again.
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <optional>

#include "worker/cage/steps.hpp"

namespace tutti::cage {
namespace {

// Above what systemd hands out to containers (up to 1879048191), below what tools take for -1; the pid makes
// it this member's own: pids have 22 bits at most.
constexpr uid_t kFirstUid = 0x7000'0000;

using Capabilities = std::array<__user_cap_data_struct, 2>;

bool get_capabilities(Capabilities& capabilities) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capget, &header, capabilities.data()) == 0;
}

bool set_capabilities(Capabilities& capabilities) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  return ::syscall(SYS_capset, &header, capabilities.data()) == 0;
}

/// A change of uid clears the effective capabilities; with PR_SET_KEEPCAPS the permitted ones stay.
bool make_permitted_effective() {
  Capabilities capabilities{};
  if (!get_capabilities(capabilities)) return false;
  for (auto& word : capabilities) word.effective = word.permitted;
  return set_capabilities(capabilities);
}

/// Whether the model can be read by a uid with no rights but those that everybody has.
bool readable_as(uid_t uid, const char* path) {
  if (::setegid(uid) != 0) return false;
  bool readable = false;
  if (::seteuid(uid) == 0) {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    readable = file >= 0;
    if (file >= 0) ::close(file);
    if (::seteuid(0) != 0) return false;
  }
  return ::setegid(0) == 0 && readable;
}

bool write_file(const char* path, std::string_view text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool whole = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  return whole;
}

/// The worker keeps its numbers inside. Without this, files that it makes for its view would belong to
/// nobody.
void map_ids(uid_t uid, gid_t gid) {
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", fmt::format("{} {} 1", uid, uid));
  write_file("/proc/self/gid_map", fmt::format("{} {} 1", gid, gid));
}

struct Namespace {
  int flag;
  Wall wall;
};
constexpr std::array<Namespace, 6> kNamespaces{{{CLONE_NEWUSER, Wall::user_namespace},
                                                {CLONE_NEWPID, Wall::pid_namespace},
                                                {CLONE_NEWNET, Wall::net_namespace},
                                                {CLONE_NEWIPC, Wall::ipc_namespace},
                                                {CLONE_NEWNS, Wall::mount_namespace},
                                                {CLONE_NEWUTS, Wall::uts_namespace}}};

}  // namespace

bool is_root_of_machine() {
  // "0 0 4294967295": every uid means itself.
  std::array<char, 64> text{};
  const int file = ::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
  const ssize_t length = file < 0 ? 0 : ::read(file, text.data(), text.size());
  if (file >= 0) ::close(file);
  const bool whole =
      std::string_view(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0).contains("4294967295");
  // Where it cannot be told, it is assumed.
  return ::getuid() == 0 && (length <= 0 || whole);
}

void take_own_uid(const std::string& model, Progress& progress) {
  if (::geteuid() != 0 || ::getuid() != 0) return progress.miss(Wall::own_uid, "setresuid", EPERM);
  const uid_t uid = kFirstUid + static_cast<uid_t>(::getpid());
  // In a user namespace that maps few uids this one does not exist.
  if (::setgroups(0, nullptr) != 0) return progress.miss(Wall::own_uid, "setgroups", errno);
  if (!readable_as(uid, model.c_str())) {
    return progress.miss(Wall::own_uid, "the model as another user", EACCES);
  }
  ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0) {
    return progress.miss(Wall::own_uid, "setresuid", errno);
  }
  make_permitted_effective();
  // The change took the files of /proc/self from us, and the maps of the namespace are among them.
  ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  progress.walls.add(Wall::own_uid);
}

void enter_namespaces(Progress& progress) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  int all = 0;
  for (const Namespace& space : kNamespaces) all |= space.flag;
  if (::unshare(all) == 0) {
    for (const Namespace& space : kNamespaces) progress.walls.add(space.wall);
  } else {
    // One by one: the user namespace first, because the others may need the rights that it brings.
    for (const Namespace& space : kNamespaces) {
      if (::unshare(space.flag) == 0) {
        progress.walls.add(space.wall);
      } else {
        progress.miss(space.wall, "unshare", errno);
      }
    }
  }
  if (progress.walls.has(Wall::user_namespace)) map_ids(uid, gid);
}

void drop_capabilities(Progress& progress) {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // The bounding set ends where the kernel knows no more capabilities.
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  Capabilities none{};
  if (set_capabilities(none)) {
    progress.walls.add(Wall::no_capabilities);
  } else {
    progress.miss(Wall::no_capabilities, "capset", errno);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
    progress.walls.add(Wall::no_new_privileges);
  } else {
    progress.miss(Wall::no_new_privileges, "prctl", errno);
  }
}

}  // namespace tutti::cage
