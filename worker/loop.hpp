// The worker's loop: take a request, ask the model, answer, and sleep when there is nothing to do.
//
//   down.requests ──take──▶ Model::predict(input rows → output slot) ──publish──▶ up.answers ──bell──▶
//
// The rows are read where the supervisor wrote them and the answer is written where the supervisor reads it:
// no copy, no allocation, no lock, and no system call while there is work.
#pragma once

#include "shared/channel.hpp"
#include "worker/model.hpp"
#include "worker/tier_publisher.hpp"

namespace tutti {

/// What the loop stands on; all of it outlives the loop.
struct LoopMemory {
  const std::byte* input = nullptr;
  DownView<const std::byte> down;
  UpView<std::byte> up;
  int bell = -1;  // eventfd that wakes the supervisor
};

/// Serves until the process ends.
[[noreturn]] void serve(const LoopMemory& memory, Model& model, TierPublisher& tiers);

}  // namespace tutti
