// What a process uses: memory and processor time, from /proc.
#pragma once

#include <optional>

#include "supervisor/status.hpp"

namespace tutti {

/// Nothing if the process is gone or may not be looked at. Costs two files, and for large processes a walk
/// over their page tables: never call it while holding the engine.
std::optional<Usage> usage_of(int pid);

}  // namespace tutti
