// What a worker said on its control socket, as far as the message alone can tell.
//
// Its sender is hostile until proved otherwise. A message of the wrong size, magic, version or kind, or one
// that brings descriptors, is a violation; texts are cut and made printable. Whether this sender may say this
// now is for template_link.hpp to judge.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "shared/cage.hpp"
#include "shared/control.hpp"
#include "shared/error.hpp"
#include "supervisor/core/time.hpp"

namespace tutti {

struct Heard {
  enum class Kind : std::uint8_t {
    nothing,
    closed,
    violation,
    loading,
    loaded,
    failed,
    born
  } kind = Kind::nothing;
  Duration load{};        // loaded
  Walls walls;            // loading: that hold it, by its word before any model code ran
  bool may_fork = false;  // loaded
  Error error{};          // failed, violation
  ForkOrder isolate{};    // born
  pid_t sender = 0;       // of every message, by the kernel's word
};

/// What was received, read. `notice` is looked at only as far as bytes of it came.
Heard read_notice(const Received& got, const Notice& notice);

/// What no correct worker says.
Heard violation(std::string what);

}  // namespace tutti
