#include "tests/simulation/coverage.hpp"

#include <fmt/format.h>

namespace tutti::simulation {

bool Coverage::possible(std::size_t fault, std::size_t state) {
  const auto struck = static_cast<Struck>(state);
  switch (static_cast<Fault>(fault)) {
    case Fault::stall:
    case Fault::pause:
    case Fault::template_crash:
      return true;
    case Fault::operator_kill:
      return struck != Struck::waiting;
    case Fault::idle_lie:
      return struck == Struck::idle;
    case Fault::spawn_fails:
    case Fault::load_fails:
    case Fault::load_exits:
    case Fault::load_hangs:
    case Fault::template_no_fork:
      return struck == Struck::starting;
    case Fault::slow_death:
    case Fault::late_hello:
      return struck == Struck::dying;
    case Fault::astray:
      return struck == Struck::busy;
    default:
      return struck == Struck::busy || struck == Struck::hunting;
  }
}

std::size_t Coverage::empty() const {
  std::size_t count = 0;
  for (std::size_t fault = 0; fault < kFaults; ++fault) {
    for (std::size_t state = 0; state < kStruck; ++state) {
      if (possible(fault, state) && cells_[fault][state] == 0) ++count;
    }
  }
  return count;
}

std::string Coverage::text() const {
  std::string text = fmt::format("{:<22}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}\n", "fault", "waiting",
                                 "starting", "idle", "busy", "hunting", "dying");
  for (std::size_t fault = 0; fault < kFaults; ++fault) {
    text += fmt::format("{:<22}", name_of(static_cast<Fault>(fault)));
    for (std::size_t state = 0; state < kStruck; ++state) {
      text +=
          possible(fault, state) ? fmt::format("{:>10}", cells_[fault][state]) : fmt::format("{:>10}", ".");
    }
    text += "\n";
  }
  return text;
}

}  // namespace tutti::simulation
