#include "shared/region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "shared/limits.hpp"
#include "tests/catch.hpp"

namespace tutti {

TEST_CASE("region: what the creator writes, an attached peer reads", "[region]") {
  auto region = Region::create("test", 2 * kPage, Writer::creator);
  REQUIRE(region);
  auto peer = Region::attach(Descriptor(::dup(region->descriptor())), 2 * kPage, false);
  REQUIRE(peer);
  std::memcpy(region->data() + kPage, "tutti", 5);
  CHECK(std::memcmp(peer->data() + kPage, "tutti", 5) == 0);
}

TEST_CASE("region: nobody but the creator can write the creator's region, by any route", "[region]") {
  // The routes of FAULTS.md section 9.
  auto region = Region::create("test", kPage, Writer::creator);
  REQUIRE(region);
  const int descriptor = region->descriptor();
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const Descriptor reopened(::open(path.c_str(), O_RDWR | O_CLOEXEC));  // root may, others may not

  for (const int way : {descriptor, reopened.get()}) {
    if (way < 0) continue;
    CHECK(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, way, 0) == MAP_FAILED);
    CHECK(::write(way, "x", 1) == -1);
    CHECK(::pwrite(way, "x", 1, 0) == -1);
    CHECK(::ftruncate(way, 0) == -1);
    CHECK(::ftruncate(way, 2 * kPage) == -1);
    CHECK(::fallocate(way, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kPage) == -1);
    CHECK(::fcntl(way, F_ADD_SEALS, F_SEAL_WRITE) == -1);
    void* read_only = ::mmap(nullptr, kPage, PROT_READ, MAP_SHARED, way, 0);
    REQUIRE(read_only != MAP_FAILED);
    CHECK(::mprotect(read_only, kPage, PROT_READ | PROT_WRITE) == -1);
    CHECK(::madvise(read_only, kPage, MADV_REMOVE) == -1);
    ::munmap(read_only, kPage);
  }
  region->data()[0] = std::byte{7};
  CHECK(region->data()[0] == std::byte{7});
}

TEST_CASE("region: a peer's region can be written by the peer but not resized", "[region]") {
  auto region = Region::create("test", kPage, Writer::peer);
  REQUIRE(region);
  auto peer = Region::attach(Descriptor(::dup(region->descriptor())), kPage, true);
  REQUIRE(peer);
  peer->data()[5] = std::byte{9};
  CHECK(region->data()[5] == std::byte{9});
  CHECK(::ftruncate(region->descriptor(), 0) == -1);
  CHECK(errno == EPERM);
}

TEST_CASE("region: what is not a sealed region of the right length is refused", "[region]") {
  auto region = Region::create("test", kPage, Writer::creator);
  REQUIRE(region);
  const auto wrong_length = Region::attach(Descriptor(::dup(region->descriptor())), 2 * kPage, false);
  REQUIRE_FALSE(wrong_length);
  CHECK(wrong_length.error().code == Errc::protocol);
  const auto unsealed = Region::attach(Descriptor(::memfd_create("unsealed", MFD_CLOEXEC)), 0, false);
  REQUIRE_FALSE(unsealed);
  CHECK(unsealed.error().code == Errc::protocol);
}

TEST_CASE("region: too much memory is refused before any is taken, and the error says what to lower",
          "[region]") {
  const auto region = Region::create("test", std::size_t{1} << 50U, Writer::creator);
  REQUIRE_FALSE(region);
  CHECK(region.error().code == Errc::system);
  CHECK(region.error().what == "1073741824 MiB of shared memory where a region may have 4096 MiB");
  CHECK(region.error().hint == "lower limits.rows or limits.in_flight");
}

}  // namespace tutti
