// The kernels of worker/instruction_set.hpp's sets.
#pragma once

#include <span>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {

/// The kernels that this CPU can run, the fastest last. Never empty.
std::span<const Kernels* const> runnable_kernels() noexcept;

/// Those of chosen_instruction_set().
const Kernels& chosen_kernels() noexcept;

}  // namespace tutti::trees
