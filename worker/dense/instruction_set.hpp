// The kernels of worker/instruction_set.hpp's sets.
#pragma once

#include <span>

#include "worker/dense/kernels.hpp"

namespace tutti::dense {

/// The kernels that this CPU can run, the fastest last. Never empty.
std::span<const DenseKernels* const> runnable_kernels() noexcept;

/// Those of chosen_instruction_set().
const DenseKernels& chosen_kernels() noexcept;

}  // namespace tutti::dense
