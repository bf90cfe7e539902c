// What this machine gives: every wall tried by a worker of its own, nothing guessed from versions.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "shared/cage.hpp"
#include "shared/error.hpp"
#include "supervisor/core/time.hpp"

namespace tutti {

struct ProbeReport {
  std::uint32_t protocol = 0;  // that the worker speaks
  Walls walls;
  Walls group_walls;                    // of a control group, which is made only for what a config limits
  std::map<Wall, std::string> missing;  // why a wall does not hold: "unshare: Operation not permitted"
  Duration took{};                      // to enter the cage and to seal it
};

/// Starts the worker `program` so that it tries its walls, and reads what it says. Waits for it, 10 s at
/// most. Errors: system (it cannot be started, or ended without a report), protocol (it said something else).
Result<ProbeReport> probe_isolation(const std::string& program);

/// What to do to get a wall that is missing, in one sentence.
std::string_view remedy_of(Wall wall) noexcept;

}  // namespace tutti
