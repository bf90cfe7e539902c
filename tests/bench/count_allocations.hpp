#pragma once

#include <cstdint>

namespace tutti::bench {

/// Calls of malloc, calloc, realloc and their like in this process so far.
std::uint64_t allocations() noexcept;

}  // namespace tutti::bench
