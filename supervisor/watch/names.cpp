// The words of status.hpp: stable, for programs.
#include "supervisor/status.hpp"

namespace tutti {

std::string_view name_of(Readiness readiness) noexcept {
  switch (readiness) {
    case Readiness::ready:
      return "ready";
    case Readiness::degraded:
      return "degraded";
    case Readiness::not_ready:
      return "not_ready";
  }
  return "unknown";
}

std::string_view name_of(IsolatePhase phase) noexcept {
  switch (phase) {
    case IsolatePhase::waiting:
      return "waiting";
    case IsolatePhase::starting:
      return "starting";
    case IsolatePhase::ready:
      return "ready";
    case IsolatePhase::dying:
      return "dying";
  }
  return "unknown";
}

std::string_view name_of(Event::Kind kind) noexcept {
  switch (kind) {
    case Event::Kind::started:
      return "started";
    case Event::Kind::start_failed:
      return "start_failed";
    case Event::Kind::ready:
      return "ready";
    case Event::Kind::violated:
      return "violated";
    case Event::Kind::kill_sent:
      return "kill_sent";
    case Event::Kind::died:
      return "died";
    case Event::Kind::row_quarantined:
      return "row_quarantined";
    case Event::Kind::quorum_lost:
      return "quorum_lost";
    case Event::Kind::quorum_regained:
      return "quorum_regained";
    case Event::Kind::promoted:
      return "promoted";
    case Event::Kind::not_promoted:
      return "not_promoted";
  }
  return "unknown";
}

}  // namespace tutti
