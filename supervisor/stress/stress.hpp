// A stress run: load on an ensemble, faults in its members, and a check of everything that comes of it.
//
//   config ──with_stand_in()──▶ Ensemble ◀──ask── Load ──every answer──▶ Checker, Journal
//                                   ▲                                       │
//                    events ──▶ Nemesis ── strikes ──▶ windows ─────────────┴──▶ StressReport
//
// The ensemble is the user's own but for two things: a member is added that can be told to misbehave (with
// the user's quorum kept as the number of votes that it is), and nothing holds back a member that fails again
// and again: no backoff, budget or rate of restarts, no breaker. Faults come faster here than anywhere else.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "supervisor/stress/faults.hpp"
#include "supervisor/stress/footprint.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/nemesis.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

struct StressOptions {
  EnsembleConfig config;
  std::vector<Fault> faults;
  std::vector<std::string> members;  // struck from outside; empty: all
  Duration length = std::chrono::seconds(60);
  double rate = 200;  // requests a second beside the callers who ask as fast as they are answered
  std::uint64_t seed = 0;
  std::function<bool()> stopped;
  /// Told when the ensemble runs, and that it is about to end (null).
  std::function<Result<void>(Ensemble*)> on_ensemble;
  std::function<void(std::string_view doing, double share)> on_progress;
};

/// What came of one fault, over all its strikes.
struct FaultRow {
  Fault fault;
  std::size_t strikes = 0;
  std::optional<Duration> noticed;    // medians
  std::optional<Duration> overshoot;  // hangs: past the deadline, of answers without the member
  std::optional<Duration> healed;
  std::uint64_t bystander_misses = 0;
  Duration bystander_p99{};
  double p99_ratio = 0;               // against the quiet stretches
  std::vector<std::string> problems;  // empty: it held
};

struct StressReport {
  std::string ensemble;
  std::uint64_t seed = 0;
  Duration length{};
  Duration deadline{};
  bool interrupted = false;
  Counts counts;
  Quantiles answers;
  Quantiles quiet;  // latencies of votes in the quiet stretches
  std::vector<FaultRow> rows;
  std::vector<Fault> faults;  // that were chosen; Strike::fault counts them
  std::vector<Strike> strikes;
  std::vector<Slice> timeline;
  Duration slice{};
  Footprint before;
  Footprint after;
  std::string running_difference;  // while it ran: before the first strike and after the last
  Duration noticed_median{};       // of deaths by a signal
  Duration overshoot_median{};
  Duration healed_median{};
  std::vector<std::string> problems;  // the first in words, and all that concerns no single fault
  std::vector<std::string> notes;     // what was left out, and why
  [[nodiscard]] bool held() const;
};

/// Errors: those of launching; bad_usage (nothing to strike).
Result<StressReport> run_stress(StressOptions options);

/// Where the plug-in for stand-ins is: beside this program or installed in lib/tutti. Errors: system.
Result<std::string> find_stand_in();

}  // namespace tutti::stress
