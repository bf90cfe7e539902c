#include "worker/dense/instruction_set.hpp"

#include "worker/instruction_set.hpp"

namespace tutti::dense {
namespace {

#if defined(__x86_64__)
constexpr const DenseKernels* kTables[] = {&kPortableDenseKernels, &kAvx2DenseKernels, &kAvx512DenseKernels};
#else
constexpr const DenseKernels* kTables[] = {&kPortableDenseKernels};
#endif

}  // namespace

std::span<const DenseKernels* const> runnable_kernels() noexcept {
  return std::span(kTables).first(static_cast<std::size_t>(widest_instruction_set()) + 1);
}

const DenseKernels& chosen_kernels() noexcept {
  return *kTables[static_cast<std::size_t>(chosen_instruction_set())];
}

}  // namespace tutti::dense
