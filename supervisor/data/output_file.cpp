#include "supervisor/data/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <expected>
#include <filesystem>
#include <system_error>
#include <utility>

#include "shared/region.hpp"

namespace tutti::table {
namespace {

constexpr std::size_t kBufferBytes = 64U << 10U;
constexpr int kNamesTried = 1000;  // temporaries of earlier runs with the same process id

/// Writes all, in as many calls as it takes; returns errno, 0 for success.
int write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {  // somebody made standard output non-blocking
      pollfd waited{.fd = descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&waited, 1, -1);
    } else if (count == 0 || errno != EINTR) {
      return count == 0 ? EIO : errno;
    }
  }
  return 0;
}

/// Names of an open descriptor, behind which may be a regular file that must not be replaced.
bool names_descriptor(const std::string& path) {
  return path == "/dev/stderr" || path.starts_with("/dev/fd/") || path.starts_with("/proc/");
}

/// The n-th hidden name beside a path. The name in it is cut: a file's name has at most 255 bytes.
std::string name_beside(const std::filesystem::path& target, int number) {
  constexpr std::size_t kStemBytes = 200;
  const std::string stem = target.filename().string().substr(0, kStemBytes);
  return (target.parent_path() / fmt::format(".{}.tutti-{}-{}", stem, ::getpid(), number)).string();
}

/// Where an open file is found while it has no name.
std::string path_of_descriptor(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

/// A file without a name, and -1 where the file system has none of these, or nothing could ever name it.
Descriptor open_nameless(const std::filesystem::path& target) {
  const std::string folder = target.parent_path().string();
  Descriptor file(::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666));
  if (file.is_open() && ::access(path_of_descriptor(file.get()).c_str(), F_OK) != 0) file.close();
  return file;
}

/// Tries names beside `target` until `take` succeeds with one: that name, or errno.
template <class Take>
std::expected<std::string, int> take_name_beside(const std::filesystem::path& target, Take take) {
  for (int number = 0; number < kNamesTried; ++number) {
    std::string name = name_beside(target, number);
    if (take(name)) return name;
    if (errno != EEXIST) return std::unexpected(errno);
  }
  return std::unexpected(EEXIST);
}

std::unexpected<Error> cannot_write(const std::string& path, int error_number) {
  return std::unexpected(
      system_error("open", error_number, path, "check the path of the output and its directory"));
}

}  // namespace

OutputFile::OutputFile(int descriptor, bool owned, std::string name, std::string temporary,
                       std::string target)
    : descriptor_(descriptor),
      owned_(owned),
      name_(std::move(name)),
      temporary_(std::move(temporary)),
      target_(std::move(target)) {}

OutputFile::~OutputFile() { static_cast<void>(close(Ending::cut_short)); }

Result<std::unique_ptr<OutputFile>> OutputFile::open(const std::string& path, Naming naming) {
  if (path == "-" || path == "/dev/stdout") {
    return std::unique_ptr<OutputFile>(new OutputFile(STDOUT_FILENO, false, "<stdout>", "", ""));
  }
  struct stat status{};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) return cannot_write(path, EISDIR);
  if (!exists || (S_ISREG(status.st_mode) && !names_descriptor(path))) return open_regular(path, naming);
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return cannot_write(path, errno);
  return std::unique_ptr<OutputFile>(new OutputFile(descriptor, true, path, "", ""));
}

Result<std::unique_ptr<OutputFile>> OutputFile::open_regular(const std::string& path, Naming naming) {
  // Renaming onto a symbolic link would replace the link, not the file it names.
  std::error_code code;
  const std::filesystem::path target = std::filesystem::weakly_canonical(path, code);
  if (code) return cannot_write(path, code.value());
  if (!target.has_filename()) return cannot_write(path, path.empty() ? ENOENT : EISDIR);
  Descriptor file = naming == Naming::at_close ? open_nameless(target) : Descriptor();
  std::string temporary;
  if (!file.is_open()) {
    auto name = take_name_beside(target, [&](const std::string& tried) {
      file = Descriptor(::open(tried.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      return file.is_open();
    });
    if (!name) return cannot_write(path, name.error());
    temporary = *std::move(name);
  }
  struct stat older{};
  if (::stat(target.c_str(), &older) == 0) ::fchmod(file.get(), older.st_mode & 0777);
  return std::unique_ptr<OutputFile>(
      new OutputFile(file.release(), true, path, std::move(temporary), target.string()));
}

Result<void> OutputFile::fail(std::string_view call, int error_number) {
  if (!failure_) {
    failure_ = system_error(call, error_number, name_,
                            error_number == EPIPE ? "whoever read the output has stopped"
                            : is_regular()        ? "the output lacks the rows from here on"
                                                  : "check where the output goes");
  }
  return std::unexpected(*failure_);
}

Result<void> OutputFile::end_block() {
  if (failure_) return std::unexpected(*failure_);
  ++blocks_;
  return buffer_.size() >= kBufferBytes ? flush() : Result<void>();
}

Result<void> OutputFile::flush() {
  assert(!closed_);
  if (failure_) return std::unexpected(*failure_);
  if (const int error_number = write_all(descriptor_, buffer_)) {
    // Part of the buffer may be in the file: back to where this flush began, a block's end.
    if (is_regular()) static_cast<void>(::ftruncate(descriptor_, static_cast<off_t>(flushed_)));
    return fail("write", error_number);
  }
  flushed_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<void> OutputFile::patch(std::uint64_t offset, std::string_view bytes) {
  assert(is_regular() && !closed_ && offset + bytes.size() <= flushed_);
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count <= 0 && errno == EINTR) continue;
    if (count <= 0) return fail("write", count == 0 ? EIO : errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<void> OutputFile::close(Ending ending) {
  if (!closed_) {
    static_cast<void>(flush());
    closed_ = true;
    // A network file system may tell of a full disk at close() only, so a file with a name is closed before
    // it is put in place. A nameless one would be gone.
    const bool nameless = is_regular() && temporary_.empty();
    if (!nameless) close_descriptor();
    if (is_regular())
      settle(ending);
    else
      kept_in_ = name_;
    if (nameless) close_descriptor();
  }
  return failure_ ? Result<void>(std::unexpected(*failure_)) : Result<void>();
}

void OutputFile::close_descriptor() {
  // EINTR from close() still closes on Linux; calling it again could close a stranger's descriptor.
  if (owned_ && ::close(descriptor_) != 0 && errno != EINTR) static_cast<void>(fail("close", errno));
}

/// Decides what becomes of a regular file.
void OutputFile::settle(Ending ending) {
  const bool whole = ending == Ending::whole && !failure_;
  const bool keep = whole || (flushed_ > 0 && blocks_ > 0);
  const bool replaces = ::access(target_.c_str(), F_OK) == 0;
  const std::string place = whole || !replaces ? target_ : target_ + ".partial";
  const int error_number = keep ? put(place) : 0;
  if (error_number != 0) static_cast<void>(fail("rename", error_number));
  if (keep && error_number == 0) kept_in_ = place == target_ ? name_ : place;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

/// Gives the file its name; returns errno, 0 for success. A nameless file takes a free name at once. To
/// replace an older file it needs a name to be renamed from: a kill right between these two calls leaves that
/// one.
int OutputFile::put(const std::string& place) {
  if (temporary_.empty()) {
    const std::string nameless = path_of_descriptor(descriptor_);
    const auto link_to = [&](const std::string& name) {
      return ::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
    };
    if (link_to(place)) return 0;
    if (errno != EEXIST) return errno;
    auto name = take_name_beside(place, link_to);
    if (!name) return name.error();
    temporary_ = *std::move(name);
  }
  if (::rename(temporary_.c_str(), place.c_str()) != 0) return errno;
  temporary_.clear();
  return 0;
}

}  // namespace tutti::table
