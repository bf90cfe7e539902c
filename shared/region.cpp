#include "shared/region.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <cerrno>
#include <fstream>
#include <utility>

#include "shared/limits.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

namespace tutti {
namespace {

namespace ipc = boost::interprocess;

// What mapped_region needs to know of a descriptor.
class Mappable {
 public:
  explicit Mappable(int descriptor) : descriptor_(descriptor) {}
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const {
    return ipc::ipcdetail::mapping_handle_from_file_handle(descriptor_);
  }

 private:
  int descriptor_;
};

Result<ipc::mapped_region> map(int descriptor, std::size_t bytes, bool writable) {
  try {
    ipc::mapped_region mapping(Mappable(descriptor), writable ? ipc::read_write : ipc::read_only, 0, bytes);
    // Page tables are filled now, so that no request faults. An old kernel says EINVAL and fills them later.
    ::madvise(mapping.get_address(), bytes, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    return mapping;
  } catch (const ipc::interprocess_exception& exception) {
    return std::unexpected(system_error("mmap", exception.get_native_error(), {},
                                        "the address space or RLIMIT_AS may be too small"));
  }
}

// Bytes that can be had without anybody being killed for them; no limit where the kernel does not say.
std::uint64_t memory_available() {
  std::ifstream lines("/proc/meminfo");
  std::string name;
  std::uint64_t kibibytes = 0;
  std::string unit;
  while (lines >> name >> kibibytes) {
    if (name == "MemAvailable:") return kibibytes * 1024;
    std::getline(lines, unit);
  }
  return UINT64_MAX;
}

// Allocating more than there is would not fail: it would have the kernel kill processes until it fits.
Result<void> check_size(const std::string& name, std::size_t bytes) {
  const std::uint64_t available = memory_available();
  if (bytes <= kRegionBytesMax && bytes <= available) return {};
  const bool too_long = bytes > kRegionBytesMax;
  return std::unexpected(Error{.code = Errc::system,
                               .what = fmt::format("{} MiB of shared memory where {} {} MiB", bytes >> 20U,
                                                   too_long ? "a region may have" : "the machine has",
                                                   (too_long ? kRegionBytesMax : available) >> 20U),
                               .where = name,
                               .hint = "lower limits.rows or limits.in_flight"});
}

Result<Descriptor> allocate(const std::string& name, std::size_t bytes) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Descriptor descriptor(::memfd_create(name.c_str(), flags | MFD_NOEXEC_SEAL));
  if (!descriptor.is_open() && errno == EINVAL) {  // before Linux 6.3
    descriptor = Descriptor(::memfd_create(name.c_str(), flags));
  }
  if (!descriptor.is_open()) {
    return std::unexpected(
        system_error("memfd_create", errno, name, "raise the descriptor limit (ulimit -n)"));
  }
  if (::ftruncate(descriptor.get(), static_cast<off_t>(bytes)) != 0) {
    return std::unexpected(system_error("ftruncate", errno, name, "RLIMIT_FSIZE may be too small"));
  }
  int failure = 0;
  do {
    failure = ::posix_fallocate(descriptor.get(), 0, static_cast<off_t>(bytes));
  } while (failure == EINTR);
  if (failure != 0) {
    return std::unexpected(system_error(fmt::format("allocating {} MiB of shared memory", bytes >> 20U),
                                        failure, name,
                                        "lower limits.rows or limits.in_flight, or free memory"));
  }
  return descriptor;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    close();
    value_ = other.release();
  }
  return *this;
}

void Descriptor::close() noexcept {
  if (value_ >= 0) ::close(release());
}

Region::Region(Descriptor descriptor, ipc::mapped_region mapping) noexcept
    : descriptor_(std::move(descriptor)), mapping_(std::move(mapping)) {}

Result<Region> Region::create(const std::string& name, std::size_t bytes, Writer writer) {
  if (auto checked = check_size(name, bytes); !checked) return std::unexpected(checked.error());
  auto descriptor = allocate(name, bytes);
  if (!descriptor) return std::unexpected(descriptor.error());
  auto mapping = map(descriptor->get(), bytes, writer == Writer::creator);
  if (!mapping) return std::unexpected(mapping.error());
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (writer == Writer::creator) {
    seals |= F_SEAL_FUTURE_WRITE;
    // The seal is what holds. The mode keeps other users from reopening it writable in the first place.
    ::fchmod(descriptor->get(), S_IRUSR);
  }
  if (::fcntl(descriptor->get(), F_ADD_SEALS, seals) != 0) {
    return std::unexpected(system_error("fcntl(F_ADD_SEALS)", errno, name, "tutti needs Linux 5.1 or later"));
  }
  return Region(std::move(*descriptor), std::move(*mapping));
}

Result<Region> Region::attach(Descriptor descriptor, std::size_t bytes, bool writable) {
  struct stat status{};
  if (::fstat(descriptor.get(), &status) != 0) return std::unexpected(system_error("fstat", errno));
  const int seals = ::fcntl(descriptor.get(), F_GET_SEALS);
  // A region that could still shrink could end us with SIGBUS.
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || static_cast<std::size_t>(status.st_size) != bytes) {
    return std::unexpected(Error{
        .code = Errc::protocol,
        .what = fmt::format("descriptor {} is not a sealed region of {} bytes", descriptor.get(), bytes),
        .where = "attach",
        .hint = "tutti-worker is started by tutti, not by hand"});
  }
  auto mapping = map(descriptor.get(), bytes, writable);
  if (!mapping) return std::unexpected(mapping.error());
  return Region(std::move(descriptor), std::move(*mapping));
}

}  // namespace tutti
