// Which kernels this CPU runs, and which a test or a user asked for.
#pragma once

#include <span>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {

/// The kernels that this CPU can run, the fastest last. Never empty.
std::span<const Kernels* const> runnable_kernels() noexcept;

/// The fastest runnable ones, but none faster than the environment's TUTTI_CPU ("portable", "avx2", "avx512")
/// where it is set; other words are passed over. Looked up once.
const Kernels& chosen_kernels() noexcept;

}  // namespace tutti::trees
