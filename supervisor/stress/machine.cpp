// The machine, the build and times, as a report writes them.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <ctime>
#include <fstream>
#include <string_view>

#include "supervisor/plan.hpp"
#include "supervisor/stress/report.hpp"

namespace tutti::stress {

Machine Machine::here() {
  Machine machine{.processor = "unknown processor", .cores = cores_available(), .version = TUTTI_VERSION};
  std::ifstream facts("/proc/cpuinfo");
  for (std::string line; std::getline(facts, line);) {
    const std::size_t colon = line.find(": ");
    if (!line.starts_with("model name") || colon == std::string::npos) continue;
    machine.processor = line.substr(colon + 2);
    break;
  }
  utsname names{};
  if (::uname(&names) == 0)
    machine.kernel = fmt::format("{} {} {}", names.sysname, names.release, names.machine);
#ifdef __clang__
  machine.compiler = fmt::format("clang {}.{}", __clang_major__, __clang_minor__);
#else
  machine.compiler = fmt::format("gcc {}.{}", __GNUC__, __GNUC_MINOR__);
#endif
  machine.when = fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(std::time(nullptr)));
  return machine;
}

std::string answers_text(const Effects& effects) {
  std::string text;
  const auto tell = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, what);
  };
  tell(effects.lost, "lost");
  tell(effects.twice, "twice");
  tell(effects.wrong, "wrong");
  tell(effects.late, "late");
  tell(effects.failed, "failed");
  return text.empty() ? "right" : text;
}

std::string time_text(std::optional<Duration> time) {
  if (!time) return "-";
  const auto ns = static_cast<double>(time->count());
  if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
  return ns < 1e9 ? fmt::format("{:.2f} ms", ns / 1e6) : fmt::format("{:.2f} s", ns / 1e9);
}

}  // namespace tutti::stress
