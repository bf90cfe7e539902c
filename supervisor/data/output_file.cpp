#include "supervisor/data/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace tutti::table {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;
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

OutputFile::~OutputFile() { static_cast<void>(close()); }

Result<std::unique_ptr<OutputFile>> OutputFile::open(const std::string& path) {
  if (path == "-" || path == "/dev/stdout") {
    return std::unique_ptr<OutputFile>(new OutputFile(STDOUT_FILENO, false, "<stdout>", "", ""));
  }
  struct stat status{};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) return cannot_write(path, EISDIR);
  if (!exists || (S_ISREG(status.st_mode) && !names_descriptor(path))) return open_beside(path);
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return cannot_write(path, errno);
  return std::unique_ptr<OutputFile>(new OutputFile(descriptor, true, path, "", ""));
}

Result<std::unique_ptr<OutputFile>> OutputFile::open_beside(const std::string& path) {
  // Renaming onto a symbolic link would replace the link, not the file it names.
  std::error_code code;
  const std::filesystem::path target = std::filesystem::weakly_canonical(path, code);
  if (code) return cannot_write(path, code.value());
  if (!target.has_filename()) return cannot_write(path, path.empty() ? ENOENT : EISDIR);
  constexpr std::size_t kStemBytes = 200;  // a file's name has at most 255
  const std::string stem = target.filename().string().substr(0, kStemBytes);
  for (int number = 0; number < kNamesTried; ++number) {
    const std::string temporary =
        (target.parent_path() / fmt::format(".{}.tutti-{}-{}", stem, ::getpid(), number)).string();
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0 && errno == EEXIST) continue;
    if (descriptor < 0) return cannot_write(path, errno);
    struct stat older{};
    if (::stat(target.c_str(), &older) == 0) ::fchmod(descriptor, older.st_mode & 0777);
    return std::unique_ptr<OutputFile>(new OutputFile(descriptor, true, path, temporary, target.string()));
  }
  return cannot_write(path, EEXIST);
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

Result<void> OutputFile::close() {
  if (!closed_) {
    static_cast<void>(flush());
    closed_ = true;
    // EINTR from close() still closes on Linux; calling it again could close a stranger's descriptor.
    if (owned_ && ::close(descriptor_) != 0 && errno != EINTR) static_cast<void>(fail("close", errno));
    // Without one whole block there is nothing to keep, and an older file stays.
    const bool keep = !failure_ || flushed_ > 0;
    if (is_regular() && keep && ::rename(temporary_.c_str(), target_.c_str()) == 0)
      temporary_.clear();
    else if (is_regular() && keep)
      static_cast<void>(fail("rename", errno));
    if (is_regular()) ::unlink(temporary_.c_str());
  }
  return failure_ ? Result<void>(std::unexpected(*failure_)) : Result<void>();
}

}  // namespace tutti::table
