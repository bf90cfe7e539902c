// The engine's third part: what it tells of itself, when it changes and when it is asked.
#include <algorithm>
#include <optional>

#include "supervisor/clock.hpp"
#include "supervisor/engine.hpp"

namespace tutti {

pid_t Engine::pid_of(std::uint32_t isolate) const {
  return links_[isolate] && links_[isolate]->has_process() ? links_[isolate]->process().pid() : 0;
}

void Engine::tell(Event::Kind kind, std::uint32_t isolate, Time now, VoteFate cause) {
  if (closing_) return;
  const IsolateLife& life = core_.life(isolate);
  events_->push({.kind = kind,
                 .isolate = notes_[isolate].name,
                 .pid = pid_of(isolate),
                 .generation = life.generation(),
                 .restarts = life.restarts(),
                 .cause = cause,
                 .members_ready = core_.members_ready(),
                 .quorum = core_.quorum(),
                 .at = now});
}

void Engine::tell_start(std::uint32_t isolate, Time now) {
  ++counters_.starts;
  tell(Event::Kind::started, isolate, now);
  log_->debug("{}: started, pid {}", notes_[isolate].name, pid_of(isolate));
}

void Engine::tell_kill(std::uint32_t isolate) {
  const auto* dying = std::get_if<Dying>(&core_.life(isolate).state());
  if (dying != nullptr) tell(Event::Kind::kill_sent, isolate, monotonic_now(), dying->cause);
}

void Engine::tell_row(const Action& action) {
  tell(Event::Kind::row_quarantined, action.isolate, monotonic_now(), quarantined_for_row(action.first_row));
  log_->warn(
      "{}: row {} of a batch of {} has killed it: no batch with that row is sent to {} for ten minutes",
      notes_[action.isolate].name, action.first_row, core_.pending(action.slot).rows,
      config_.members[action.member].name);
}

void Engine::tell_promotion(std::size_t member, Event::Kind kind, std::string text) {
  log_->log(kind == Event::Kind::promoted ? spdlog::level::info : spdlog::level::warn, "{}", text);
  events_->push({.kind = kind,
                 .isolate = config_.members[member].name,
                 .cause = {},
                 .members_ready = core_.members_ready(),
                 .quorum = core_.quorum(),
                 .at = monotonic_now(),
                 .note = told_.emplace_back(std::move(text))});
}

void Engine::tell_readiness(Time now) {
  const bool met = core_.members_ready() >= core_.quorum();
  if (met == quorum_seen_ || closing_) return;
  quorum_seen_ = met;
  events_->push({.kind = met ? Event::Kind::quorum_regained : Event::Kind::quorum_lost,
                 .isolate = {},
                 .members_ready = core_.members_ready(),
                 .quorum = core_.quorum(),
                 .at = now});
}

IsolateStatus Engine::isolate_status(std::uint32_t isolate, Time now) const {
  const IsolateLife& life = core_.life(isolate);
  IsolateStatus status{.name = notes_[isolate].name,
                       .last_end = core_.last_cause(isolate),
                       .last_error = notes_[isolate].last_error,
                       .generation = life.generation(),
                       .restarts = life.restarts(),
                       .pid = pid_of(isolate),
                       .outstanding = core_.outstanding(isolate),
                       .next_in = std::nullopt,
                       .usage = std::nullopt};
  if (const auto* waiting = std::get_if<Waiting>(&life.state())) {
    status.next_in = std::max(waiting->until - now, Duration::zero());
  } else {
    status.phase = std::holds_alternative<Starting>(life.state()) ? IsolatePhase::starting
                   : life.ready()                                 ? IsolatePhase::ready
                                                                  : IsolatePhase::dying;
  }
  return status;
}

void Engine::hear_tiers(std::uint32_t isolate) {
  if (!links_[isolate]) return;
  const std::uint32_t member = core_.member_of(isolate);
  ledgers_[member].hear(isolate - core_.first_isolate(member), links_[isolate]->tiers());
}

EnsembleStatus Engine::status(Time now) {
  EnsembleStatus status{.quorum = core_.quorum(),
                        .isolation = isolation_.value_or(IsolationLevel::none),
                        .members = {},
                        .in_flight = core_.in_flight(),
                        .counters = counters_,
                        .decisions = core_.counters(),
                        .supervisor = std::nullopt};
  status.counters.events_dropped = events_->dropped();
  for (std::uint32_t index = 0; index < core_.members(); ++index) {
    MemberStatus member{.name = config_.members[index].name,
                        .instances = core_.instances(index),
                        .pids = {},
                        .template_pid = templates_[index] ? templates_[index]->process().pid() : 0,
                        .last_error = template_notes_[index].last_error,
                        .load = template_notes_[index].load,
                        .walls = walls_of(index),
                        .tiers = {},
                        .isolates = {},
                        .missed = {}};
    for (std::uint32_t i = 0; i < member.instances; ++i) {
      const std::uint32_t isolate = core_.first_isolate(index) + i;
      IsolateStatus one = isolate_status(isolate, now);
      hear_tiers(isolate);
      if (one.phase == IsolatePhase::ready) ++member.ready;
      member.restarts += one.restarts;
      if (one.pid != 0) member.pids.push_back(one.pid);
      if (!one.last_error.empty()) member.last_error = one.last_error;
      member.load = std::max(member.load, notes_[isolate].load);
      member.isolates.push_back(std::move(one));
    }
    tallies_[index].tell(member);
    member.tiers = ledgers_[index].total();
    status.members.push_back(std::move(member));
  }
  const std::uint32_t ready = core_.members_ready();
  status.readiness = ready == core_.members()  ? Readiness::ready
                     : ready >= core_.quorum() ? Readiness::degraded
                                               : Readiness::not_ready;
  return status;
}

}  // namespace tutti
