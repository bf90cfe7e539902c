// A file system of the worker's own: a root in memory, and in it, read-only, what the worker may read.
//
//   open_tree (copies of what stays)  ──▶  tmpfs over a directory  ──▶  mount the copies in it  ──▶
//   pivot_root
//
// No /proc, no /dev, no /tmp, no programs: what is not there needs no rule. The copies are taken before the
// tmpfs hides the directory it is mounted on, because the model may lie below that.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <memory>
#include <span>

#include "shared/region.hpp"
#include "worker/cage/steps.hpp"

namespace tutti::cage {
namespace {

// Where shared libraries lie, on every distribution that follows the Filesystem Hierarchy Standard. Links
// among them are made again as links.
constexpr std::array<std::string_view, 5> kLibraries{"/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib",
                                                     "/lib64"};
constexpr std::string_view kLinkerCache = "/etc/ld.so.cache";

// Any directory that is always there. A program without /usr would not have come so far.
constexpr const char* kScaffold = "/usr";

/// A path without links; as it was where that cannot be told.
std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

bool lies_below(std::string_view path, std::string_view directory) {
  return directory == "/" || path == directory ||
         (path.starts_with(directory) && path.substr(directory.size()).starts_with('/'));
}

/// A copy of a mount, or of a part of one, that is attached nowhere yet. Read-only, and nothing in it is a
/// device or changes who runs it.
Descriptor copy_of(const std::string& path) {
  constexpr unsigned kRecursive = AT_RECURSIVE;
  Descriptor tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | kRecursive));
  if (!tree.is_open()) return {};
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | kRecursive, &attributes, sizeof attributes) != 0)
    return {};
  return tree;
}

/// Makes every directory above `path`, below `root`.
void make_parents(const std::string& root, const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    ::mkdir((root + path.substr(0, slash)).c_str(), 0755);
  }
}

struct Part {
  Readable source;
  Descriptor copy;
  std::string link;  // for what is a link: where it points
};

std::string link_target(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  return length <= 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(length));
}

bool place(const Part& part, const std::string& root) {
  const std::string target = root + part.source.path;
  make_parents(root, part.source.path);
  if (!part.link.empty()) return ::symlink(part.link.c_str(), target.c_str()) == 0;
  if (part.source.directory) {
    ::mkdir(target.c_str(), 0755);
  } else if (const Descriptor file(::open(target.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0444));
             !file.is_open()) {
    return false;
  }
  return ::move_mount(part.copy.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

/// The call that failed, or null.
const char* build(const std::vector<Readable>& readable) {
  // Nothing that is mounted here may show outside.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "mount(private)";
  std::vector<Part> parts;
  for (const Readable& source : readable) {
    bool covered = false;
    for (const Part& part : parts)
      covered = covered ||
                (part.link.empty() && part.source.directory && lies_below(source.path, part.source.path));
    if (covered) continue;
    Part part{
        .source = source, .copy = {}, .link = source.directory ? link_target(source.path) : std::string()};
    if (part.link.empty()) part.copy = copy_of(source.path);
    if (!part.link.empty() || part.copy.is_open()) parts.push_back(std::move(part));
  }
  if (parts.empty()) return "open_tree";
  if (::mount("tmpfs", kScaffold, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=0755") != 0)
    return "mount(tmpfs)";
  for (const Part& part : parts) {
    if (!place(part, kScaffold)) {
      const int error_number = errno;
      ::umount2(kScaffold, MNT_DETACH);
      errno = error_number;
      return "move_mount";
    }
  }
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  // The new root is put over the old one, which is then let go.
  if (::mount_setattr(AT_FDCWD, kScaffold, 0, &attributes, sizeof attributes) != 0 ||
      ::chdir(kScaffold) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
      ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
    const int error_number = errno;
    ::umount2(kScaffold, MNT_DETACH);
    errno = error_number;
    return "pivot_root";
  }
  return nullptr;
}

}  // namespace

std::vector<Readable> readable_paths(const std::string& model, std::string_view more) {
  std::vector<Readable> readable;
  for (std::size_t end = more.find('\n'); end != std::string_view::npos; end = more.find('\n')) {
    const std::string path(more.substr(0, end));
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0) {
      const bool directory = S_ISDIR(status.st_mode);
      readable.push_back({path, directory});
      // A link is made again as a link: what it leads to must be there.
      if (const std::string real = real_path(path); directory && real != path)
        readable.push_back({real, true});
    }
    more.remove_prefix(end + 1);
  }
  for (const std::string_view library : kLibraries) readable.push_back({std::string(library), true});
  readable.push_back({std::string(kLinkerCache), false});
  readable.push_back({model, false});
  return readable;
}

void enter_view(const std::vector<Readable>& readable, Progress& progress) {
  if (!progress.walls.has(Wall::mount_namespace)) return;
  if (const char* failed = build(readable)) {
    progress.walls.remove(Wall::mount_namespace);
    progress.miss(Wall::mount_namespace, failed, errno);
  }
}

}  // namespace tutti::cage
