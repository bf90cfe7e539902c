// What a process does from the moment it is an isolate until its first request.
#pragma once

#include <cstdint>

#include "shared/control.hpp"
#include "shared/region.hpp"
#include "worker/model.hpp"

namespace tutti {

/// The descriptors that came with a ForkOrder.
struct IsolateDescriptors {
  Descriptor down;
  Descriptor up;
  Descriptor bell;    // eventfd that wakes the supervisor
  Descriptor output;  // becomes standard output and error
};

/// Announces itself, attaches its own memory, says hello and serves until the process ends. Ends the process
/// when the supervisor is gone.
[[noreturn]] void be_isolate(const ForkOrder& order, IsolateDescriptors descriptors, Descriptor control,
                             const Region& input, Model& model);

}  // namespace tutti
