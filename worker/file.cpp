#include "worker/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>

#include "shared/limits.hpp"
#include "worker/text.hpp"

namespace tutti {
namespace {

constexpr std::size_t kNameShownMax = 120;  // bytes of a file's name in an error

Error bad_file(const std::string& path, std::string what, std::string hint) {
  return {
      .code = Errc::bad_model, .what = std::move(what), .where = file_name(path), .hint = std::move(hint)};
}

Error failed_call(std::string_view call, int error_number, const std::string& path) {
  return system_error(call, error_number, file_name(path),
                      fmt::format("the worker could not read {}; check that it exists and may be read",
                                  one_line(path, 2 * kNameShownMax)));
}

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

/// Fills `bytes` from the file's start. Errors: as read_model_file.
Result<void> read_exactly(int descriptor, std::span<std::byte> bytes, const std::string& path) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(descriptor, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::unexpected(failed_call("read", errno, path));
    if (got == 0) {
      return std::unexpected(bad_file(
          path, fmt::format("the file ended at byte {}, its size was {}", done, bytes.size()),
          "something truncated it while it was read; replace model files by renaming a complete one"));
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace

std::string file_name(std::string_view path) {
  const std::size_t slash = path.find_last_of('/');
  return one_line(slash == std::string_view::npos ? path : path.substr(slash + 1), kNameShownMax);
}

Result<FileBytes> read_model_head(const std::string& path, std::size_t bytes_max) {
  // O_NONBLOCK: opening a FIFO would wait for its writer. It means nothing for the regular files we accept.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.number() < 0) return std::unexpected(failed_call("open", errno, path));
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) return std::unexpected(failed_call("fstat", errno, path));
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(bad_file(path,
                                    S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file",
                                    "name the model file itself"));
  }
  const auto size = static_cast<std::uint64_t>(std::max<off_t>(status.st_size, 0));
  if (size == 0) return std::unexpected(bad_file(path, "is empty", "save the model again"));
  if (size > kModelBytesMax) {
    return std::unexpected(bad_file(path, fmt::format("has {} bytes, more than {}", size, kModelBytesMax),
                                    "a model file may have 4 GiB; save fewer trees or smaller weights"));
  }

  FileBytes bytes;
  bytes.size = std::min(static_cast<std::size_t>(size), bytes_max);
  // Not make_unique: it would write zeros over memory that read() fills, and throws where an error is due.
  bytes.data.reset(new (std::nothrow) std::byte[bytes.size]);
  if (!bytes.data) {
    return std::unexpected(bad_file(path, fmt::format("no memory for its {} bytes", bytes.size),
                                    "raise the worker's memory limit or use a smaller model"));
  }
  const Result<void> read = read_exactly(file.number(), {bytes.data.get(), bytes.size}, path);
  if (!read) return std::unexpected(read.error());
  return bytes;
}

Result<FileBytes> read_model_file(const std::string& path) {
  return read_model_head(path, std::numeric_limits<std::size_t>::max());
}

}  // namespace tutti
