#include "supervisor/watch/status_socket.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti {
namespace {

constexpr int kBacklog = 16;
constexpr Duration kPatience = std::chrono::milliseconds(500);
constexpr std::size_t kDocumentMax = std::size_t{16} << 20U;

/// A folder that is held open: what is done in it cannot be led elsewhere by renaming, and no path is too
/// long.
struct Folder {
  Descriptor descriptor;
  std::string path;

  [[nodiscard]] std::string entry(const std::string& name) const {
    return fmt::format("/proc/self/fd/{}/{}", descriptor.get(), name);
  }
};

Result<Folder> open_folder(const std::string& path) {
  Folder folder{
      .descriptor = Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)),
      .path = path};
  if (!folder.descriptor.is_open()) {
    return std::unexpected(
        system_error("opening the folder of status sockets", errno, path, "it must be a folder, not a link"));
  }
  return folder;
}

// /tmp is everybody's: somebody else may have put something of that name there.
Result<Folder> open_own_folder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  const bool has_runtime = runtime != nullptr && *runtime == '/';
  const std::string path =
      has_runtime ? fmt::format("{}/tutti", runtime) : fmt::format("/tmp/tutti-{}", ::geteuid());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return std::unexpected(system_error("making the folder of status sockets", errno, path,
                                        "name a socket with --status-socket PATH, or \"off\""));
  }
  auto folder = open_folder(path);
  if (!folder) return folder;
  struct stat facts{};
  ::fstat(folder->descriptor.get(), &facts);
  if (facts.st_uid != ::geteuid() || (facts.st_mode & 0077U) != 0) {
    return std::unexpected(
        Error{Errc::system,
              fmt::format("belongs to user {} with mode {:o}, not to user {} with mode 700", facts.st_uid,
                          facts.st_mode & 07777U, ::geteuid()),
              path, "remove it, or set XDG_RUNTIME_DIR"});
  }
  return folder;
}

Result<sockaddr_un> address_of(const Folder& folder, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder.entry(name);
  if (path.size() >= sizeof address.sun_path) {
    return std::unexpected(Error{Errc::system, "is too long a name for a socket", folder.path + "/" + name,
                                 "choose a shorter one"});
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

/// Connects without waiting; nothing when nobody listens there, whatever the entry is.
Result<std::optional<Descriptor>> try_connect(const Folder& folder, const std::string& name) {
  const auto address = address_of(folder, name);
  if (!address) return std::unexpected(address.error());
  Descriptor client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!client.is_open()) return std::unexpected(system_error("socket", errno, folder.path));
  if (::connect(client.get(), generic(*address), sizeof *address) == 0) return client;
  if (errno == ECONNREFUSED || errno == ENOENT) return std::nullopt;
  return std::unexpected(system_error("connecting to the status socket", errno, folder.path + "/" + name,
                                      errno == EAGAIN ? "others are asking it; try again" : ""));
}

bool is_socket(const Folder& folder, const std::string& name) {
  struct stat facts{};
  return ::fstatat(folder.descriptor.get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISSOCK(facts.st_mode);
}

Result<std::vector<std::string>> sockets_in(const Folder& folder) {
  const int listing = ::openat(folder.descriptor.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(listing < 0 ? nullptr : ::fdopendir(listing),
                                                      ::closedir);
  if (!directory) {
    return std::unexpected(system_error("reading the folder of status sockets", errno, folder.path));
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name(entry->d_name);
    // One that begins with a dot is being made.
    if (!name.starts_with('.') && is_socket(folder, name)) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::pair<std::string, std::string> split(const std::string& path) {
  const std::filesystem::path whole(path);
  return {whole.has_parent_path() ? whole.parent_path().string() : ".", whole.filename().string()};
}

// Gives a client the document, as far as it takes it.
void serve(int client, const std::string& document) {
  const Time until = monotonic_now() + kPatience;
  for (std::size_t sent = 0; sent < document.size();) {
    const ssize_t count =
        ::send(client, document.data() + sent, document.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
      continue;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - monotonic_now()).count();
    pollfd writable{.fd = client, .events = POLLOUT, .revents = 0};
    if (errno != EAGAIN || left <= 0 || ::poll(&writable, 1, static_cast<int>(left)) <= 0) return;
  }
}

void serve_all(int listener, int stop, const std::function<std::string()>& document) {
  for (;;) {
    std::array<pollfd, 2> ready{
        {{.fd = listener, .events = POLLIN, .revents = 0}, {.fd = stop, .events = POLLIN, .revents = 0}}};
    ::poll(ready.data(), ready.size(), -1);
    if (ready[1].revents != 0) return;
    const Descriptor client(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client.is_open()) {
      serve(client.get(), document());
    } else if (errno == EMFILE || errno == ENFILE) {
      // The client stays in the queue: look again a little later rather than at once for ever.
      ::poll(&ready[1], 1, 100);
    }
  }
}

}  // namespace

Result<std::vector<std::string>> list_sockets() {
  auto folder = open_own_folder();
  if (!folder) return std::unexpected(folder.error());
  const auto names = sockets_in(*folder);
  if (!names) return std::unexpected(names.error());
  std::vector<std::string> paths;
  for (const std::string& name : *names) {
    const auto client = try_connect(*folder, name);
    // One that cannot be asked now, for whatever reason, is somebody's.
    if (client && !*client) {
      ::unlinkat(folder->descriptor.get(), name.c_str(), 0);
    } else {
      paths.push_back(folder->path + "/" + name);
    }
  }
  return paths;
}

std::size_t count_sockets(int pid) {
  const auto folder = open_own_folder();
  const auto names = folder ? sockets_in(*folder) : std::vector<std::string>();
  if (!names) return 0;
  const std::string own = fmt::format(".{}", pid);
  return static_cast<std::size_t>(std::ranges::count_if(
      *names, [&](const std::string& name) { return name.find(own) != std::string::npos; }));
}

bool remove_dead_socket(const std::string& path) {
  const auto [parent, name] = split(path);
  const auto folder = open_folder(parent);
  if (!folder || !is_socket(*folder, name)) return false;
  const auto client = try_connect(*folder, name);
  return client && !*client && ::unlinkat(folder->descriptor.get(), name.c_str(), 0) == 0;
}

Result<std::string> fetch_status(const std::string& path) {
  const auto [parent, name] = split(path);
  auto folder = open_folder(parent);
  if (!folder) return std::unexpected(folder.error());
  auto client = try_connect(*folder, name);
  if (!client) return std::unexpected(client.error());
  if (!*client) {
    return std::unexpected(
        Error{Errc::not_ready, "nobody listens there", path, "tutti status without a path lists what runs"});
  }
  std::string document;
  std::vector<char> buffer(65'536);
  const Time until = monotonic_now() + 4 * kPatience;
  while (document.size() < kDocumentMax) {
    const ssize_t count = ::recv((*client)->get(), buffer.data(), buffer.size(), 0);
    if (count == 0) return document;
    if (count > 0) {
      document.append(buffer.data(), static_cast<std::size_t>(count));
      continue;
    }
    if (errno == EINTR) continue;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - monotonic_now()).count();
    pollfd readable{.fd = (*client)->get(), .events = POLLIN, .revents = 0};
    if (errno != EAGAIN || left <= 0 || ::poll(&readable, 1, static_cast<int>(left)) <= 0) break;
  }
  return std::unexpected(Error{Errc::system, "the supervisor did not tell its status", path,
                               "is it stopped, or the machine overloaded? try again"});
}

Result<StatusSocket> StatusSocket::open(const std::string& path, const std::string& ensemble,
                                        std::function<std::string()> document,
                                        const std::function<void(const std::string& path)>& announce) {
  const auto [parent, given] = split(path);
  auto folder = path.empty() ? open_own_folder() : open_folder(parent);
  if (!folder) return std::unexpected(folder.error());
  std::string name = path.empty() ? fmt::format("{}.{}", ensemble, ::getpid()) : given;
  // A process may run one ensemble twice.
  for (int more = 2; path.empty() && is_socket(*folder, name) && more < 100; ++more) {
    const auto client = try_connect(*folder, name);
    if (!client || !*client) break;
    name = fmt::format("{}.{}.{}", ensemble, ::getpid(), more);
  }
  // Made under another name and renamed when it listens: list_sockets() would take one that does not for
  // dead.
  const std::string hidden = fmt::format(".{}.{}", name, ::getpid());
  const auto address = address_of(*folder, hidden);
  if (!address) return std::unexpected(address.error());
  for (const std::string& old : {name, hidden}) {
    if (announce) announce(folder->path + "/" + old);
    if (!is_socket(*folder, old)) continue;
    const auto client = try_connect(*folder, old);
    if (client && !*client) ::unlinkat(folder->descriptor.get(), old.c_str(), 0);
  }
  StatusSocket socket;
  socket.path_ = folder->path + "/" + name;
  socket.listener_ = Descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  socket.stop_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!socket.listener_.is_open() || !socket.stop_.is_open()) {
    return std::unexpected(system_error("socket", errno, socket.path_, "raise the descriptor limit"));
  }
  // Before bind(): the entry then never has any other mode.
  ::fchmod(socket.listener_.get(), 0600);
  if (::bind(socket.listener_.get(), generic(*address), sizeof *address) != 0 ||
      ::listen(socket.listener_.get(), kBacklog) != 0 ||
      ::renameat2(folder->descriptor.get(), hidden.c_str(), folder->descriptor.get(), name.c_str(),
                  RENAME_NOREPLACE) != 0) {
    const int error_number = errno;
    ::unlinkat(folder->descriptor.get(), hidden.c_str(), 0);
    return std::unexpected(system_error("making the status socket", error_number, socket.path_,
                                        "name another with --status-socket PATH, or \"off\""));
  }
  socket.folder_ = std::move(folder->descriptor);
  socket.thread_ = std::thread([listener = socket.listener_.get(), stop = socket.stop_.get(),
                                document = std::move(document)] { serve_all(listener, stop, document); });
  return socket;
}

StatusSocket::~StatusSocket() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
  ::unlinkat(folder_.get(), std::filesystem::path(path_).filename().c_str(), 0);
}

}  // namespace tutti
