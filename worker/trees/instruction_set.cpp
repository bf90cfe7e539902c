#include "worker/trees/instruction_set.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <string_view>

namespace tutti::trees {
namespace {

struct Runnable {
  std::array<const Kernels*, 3> kernels{};
  std::size_t count = 0;

  void add(const Kernels& one) noexcept { kernels[count++] = &one; }
};

Runnable find_runnable() noexcept {
  Runnable found;
  found.add(kPortableKernels);
#if defined(__x86_64__)
  // These ask the operating system too: it must save the wide registers.
  const bool bits =
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool avx2 = bits && __builtin_cpu_supports("avx2");
  if (avx2) found.add(kAvx2Kernels);
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    found.add(kAvx512Kernels);
  }
#endif
  return found;
}

const Kernels& choose() noexcept {
  const std::span<const Kernels* const> runnable = runnable_kernels();
  if (const char* const wish = std::getenv("TUTTI_CPU"); wish != nullptr) {
    for (const Kernels* const kernels : runnable) {
      if (std::string_view(wish) == kernels->name) return *kernels;
    }
  }
  return *runnable.back();
}

}  // namespace

std::span<const Kernels* const> runnable_kernels() noexcept {
  static const Runnable runnable = find_runnable();
  return {runnable.kernels.data(), runnable.count};
}

const Kernels& chosen_kernels() noexcept {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace tutti::trees
