// Writing a request's rows into shared memory.
#pragma once

#include <cstddef>

namespace tutti {

/// Copies `bytes` (a multiple of 4) to a 64-byte aligned place. From 16 KiB on with non-temporal stores:
/// lines that are dirty in this core's cache cost the readers more than lines in memory. The stores are
/// ordered before whatever is published after this returns.
void copy_in(void* to, const void* from, std::size_t bytes) noexcept;

}  // namespace tutti
