#include "worker/trees/instruction_set.hpp"

#include <cstddef>

#include "worker/instruction_set.hpp"

namespace tutti::trees {
namespace {

#if defined(__x86_64__)
constexpr const Kernels* kTables[] = {&kPortableKernels, &kAvx2Kernels, &kAvx512Kernels};
#else
constexpr const Kernels* kTables[] = {&kPortableKernels};
#endif

}  // namespace

std::span<const Kernels* const> runnable_kernels() noexcept {
  return std::span(kTables).first(static_cast<std::size_t>(widest_instruction_set()) + 1);
}

const Kernels& chosen_kernels() noexcept {
  return *kTables[static_cast<std::size_t>(chosen_instruction_set())];
}

}  // namespace tutti::trees
