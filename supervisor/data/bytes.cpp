#include "supervisor/data/bytes.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

namespace tutti::table {
namespace {

/// Waits until a descriptor that somebody made non-blocking has bytes or has ended.
void wait_readable(int descriptor) {
  pollfd waited{.fd = descriptor, .events = POLLIN, .revents = 0};
  ::poll(&waited, 1, -1);
}

class DescriptorSource final : public ByteSource {
 public:
  DescriptorSource(int descriptor, bool owned, std::string name, const struct stat& status)
      : descriptor_(descriptor), owned_(owned), name_(std::move(name)), is_file_(S_ISREG(status.st_mode)) {
    if (!is_file_) return;
    // Standard input may stand in the middle of its file. /proc files say 0 and still have bytes.
    const off_t start = std::max<off_t>(0, ::lseek(descriptor_, 0, SEEK_CUR));
    if (status.st_size > start) size_ = static_cast<std::uint64_t>(status.st_size - start);
    ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }

  ~DescriptorSource() override {
    if (owned_) ::close(descriptor_);
  }

  Result<std::size_t> read(std::span<char> into) override {
    for (;;) {
      const ssize_t count = ::read(descriptor_, into.data(), into.size());
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno == EAGAIN) {
        wait_readable(descriptor_);
      } else if (errno != EINTR) {
        return std::unexpected(system_error("read", errno, name_, "the rows up to here were read"));
      }
    }
  }

  [[nodiscard]] bool ready() const override {
    if (is_file_) return true;
    pollfd asked{.fd = descriptor_, .events = POLLIN, .revents = 0};
    return ::poll(&asked, 1, 0) == 1;
  }
  [[nodiscard]] std::optional<std::uint64_t> size() const override { return size_; }
  [[nodiscard]] bool is_file() const override { return is_file_; }
  [[nodiscard]] const std::string& name() const override { return name_; }

 private:
  int descriptor_;
  bool owned_;
  std::string name_;
  bool is_file_;
  std::optional<std::uint64_t> size_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> open_source(const std::string& path) {
  const bool standard = path == "-";
  const std::string name = standard ? "<stdin>" : path;
  const int descriptor = standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return std::unexpected(system_error("open", errno, name, "check the path of the data"));
  struct stat status{};
  const int failed = ::fstat(descriptor, &status) != 0 ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
  if (failed != 0) {
    if (!standard) ::close(descriptor);
    return std::unexpected(system_error("open", failed, name, "name a CSV or NPY file"));
  }
  return std::make_unique<DescriptorSource>(descriptor, !standard, name, status);
}

Result<std::size_t> MemorySource::read(std::span<char> into) {
  const std::size_t count = std::min({into.size(), options_.piece, bytes_.size() - taken_});
  std::copy_n(bytes_.data() + taken_, count, into.data());
  taken_ += count;
  return count;
}

std::optional<std::uint64_t> MemorySource::size() const {
  if (!options_.as_file || bytes_.empty()) return std::nullopt;
  return bytes_.size();
}

ByteBuffer::ByteBuffer(std::unique_ptr<ByteSource> source, std::size_t step)
    : source_(std::move(source)), step_(step), storage_(step) {
  assert(source_ != nullptr && step_ > 0);
}

void ByteBuffer::consume(std::size_t count) {
  assert(count <= end_ - begin_);
  begin_ += count;
  consumed_ += count;
  if (begin_ == end_) begin_ = end_ = 0;
}

Result<bool> ByteBuffer::more() {
  if (at_end_) return false;
  make_room();
  const std::size_t room = std::min(storage_.size() - end_, step_);
  const Result<std::size_t> count = source_->read({storage_.data() + end_, room});
  if (!count) return std::unexpected(count.error());
  at_end_ = *count == 0;
  end_ += *count;
  return !at_end_;
}

/// Moves the view to the front when at least half of the storage is consumed, else doubles the storage: each
/// byte is moved a bounded number of times, whatever the sizes of lines and reads.
void ByteBuffer::make_room() {
  if (end_ < storage_.size()) return;
  if (begin_ >= storage_.size() - begin_) {
    std::memmove(storage_.data(), storage_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  } else {
    storage_.resize(storage_.size() * 2);
  }
}

}  // namespace tutti::table
