#include "worker/instruction_set.hpp"

#include <array>
#include <cstdlib>
#include <string_view>

namespace tutti {
namespace {

constexpr std::array<std::string_view, kInstructionSets> kNames{"portable", "avx2", "avx512"};

InstructionSet find_widest() noexcept {
#if defined(__x86_64__)
  // These ask the operating system too: it must save the wide registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("popcnt");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512) return InstructionSet::avx512;
  if (avx2) return InstructionSet::avx2;
#endif
  return InstructionSet::portable;
}

InstructionSet choose() noexcept {
  const InstructionSet widest = widest_instruction_set();
  if (const char* const wish = std::getenv("TUTTI_CPU"); wish != nullptr) {
    for (std::size_t set = 0; set <= static_cast<std::size_t>(widest); ++set) {
      if (wish == kNames[set]) return static_cast<InstructionSet>(set);
    }
  }
  return widest;
}

}  // namespace

InstructionSet widest_instruction_set() noexcept {
  static const InstructionSet widest = find_widest();
  return widest;
}

InstructionSet chosen_instruction_set() noexcept {
  static const InstructionSet chosen = choose();
  return chosen;
}

}  // namespace tutti
