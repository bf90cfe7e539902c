// A region: shared memory without a name, sealed so that nobody can resize it, and nobody but its creator
// can write it unless that was meant.
//
//   create ── allocate pages ── map ── seal ──▶ descriptor may leave
//
// All regions are memfds made by the supervisor, before the worker exists. `Writer::creator` adds
// F_SEAL_FUTURE_WRITE after the creator has mapped it: a peer can map it read-only and no other way, not even
// through /proc (a read-only descriptor alone is no protection: it can be reopened). `Writer::peer` is mapped
// read-only here. Pages are allocated by the creator, so that no page is charged to a worker or faulted in
// later, and a full machine is an error at start instead of a SIGBUS at work.
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "shared/error.hpp"

namespace tutti {

/// An open file descriptor with one owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int value) noexcept : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  [[nodiscard]] int get() const noexcept { return value_; }
  [[nodiscard]] bool is_open() const noexcept { return value_ >= 0; }
  int release() noexcept {
    const int value = value_;
    value_ = -1;
    return value;
  }
  void close() noexcept;

 private:
  int value_ = -1;
};

enum class Writer : std::uint8_t { creator, peer };

/// A mapped region and its descriptor.
class Region {
 public:
  Region() = default;

  /// A new region of `bytes` zero bytes, allocated, mapped here and sealed. `name` shows in /proc/PID/maps.
  /// Errors: system (no memory, no descriptors; the hint says which limit).
  static Result<Region> create(const std::string& name, std::size_t bytes, Writer writer);

  /// Maps a region that a peer made. Errors: protocol (not `bytes` long, or not a memfd), system.
  static Result<Region> attach(Descriptor descriptor, std::size_t bytes, bool writable);

  [[nodiscard]] std::byte* data() noexcept { return static_cast<std::byte*>(mapping_.get_address()); }
  [[nodiscard]] const std::byte* data() const noexcept {
    return static_cast<const std::byte*>(mapping_.get_address());
  }
  [[nodiscard]] std::size_t size() const noexcept { return mapping_.get_size(); }
  [[nodiscard]] int descriptor() const noexcept { return descriptor_.get(); }

 private:
  Region(Descriptor descriptor, boost::interprocess::mapped_region mapping) noexcept;
  Descriptor descriptor_;
  boost::interprocess::mapped_region mapping_;
};

}  // namespace tutti
