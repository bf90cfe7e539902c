#include "supervisor/plan.hpp"

#include <sched.h>
#include <unistd.h>

namespace tutti {

SpinPlan spin_plan(const EnsembleConfig& config) {
  constexpr Duration kAutomatic = std::chrono::microseconds(50);  // about what a wake costs
  return {.spin = config.spin.automatic ? kAutomatic : config.spin.duration,
          .yields = isolates_of(config) >= cores_available()};
}

std::uint64_t memory_of(const IsolationConfig& isolation) noexcept {
  const auto machine = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                       static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return isolation.memory.value_or(machine / 2);
}

std::uint32_t isolates_of(const EnsembleConfig& config) noexcept {
  std::uint32_t count = 0;
  for (const MemberConfig& member : config.members) count += member.instances;
  return count;
}

std::uint32_t cores_available() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(CPU_COUNT(&set));
}

}  // namespace tutti
