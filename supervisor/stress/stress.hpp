// A stress run: load on an ensemble, faults in its members, and a check of everything that comes of it.
//
//   config ──with_stand_in()──▶ Ensemble ◀──ask── Load ──every answer──▶ Checker, Journal
//                                   ▲                                       │
//                    events ──▶ Nemesis ── strikes ──▶ windows ─────────────┴──▶ StressReport
//                          or Campaign ── kills
//
// A nemesis strikes one fault after the other and measures each; a campaign kills at random moments,
// thousands of times. The ensemble is the user's own but for two things: a member is added that can be told
// to misbehave (with the user's quorum kept as the number of votes that it is), and nothing holds back a
// member that fails again and again: no backoff, budget or rate of restarts, no breaker. Faults come faster
// here than anywhere else.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "supervisor/stress/campaign.hpp"
#include "supervisor/stress/faults.hpp"
#include "supervisor/stress/footprint.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/nemesis.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

struct StressOptions {
  EnsembleConfig config;
  std::vector<Fault> faults;
  std::uint64_t kills = 0;           // instead of the faults: so many kills at random moments
  std::vector<std::string> members;  // struck from outside; empty: all
  Duration length = std::chrono::seconds(60);
  double rate = 200;  // requests a second beside the callers who ask as fast as they are answered
  std::uint64_t seed = 0;
  std::function<bool()> stopped;
  /// Told when the ensemble runs, and that it is about to end (null).
  std::function<Result<void>(Ensemble*)> on_ensemble;
  std::function<void(std::string_view doing, double share)> on_progress;
  /// Told before the run what it will leave out, and why.
  std::function<void(std::string_view note)> on_note;
};

/// What came of one fault, over all its strikes.
struct FaultRow {
  Fault fault;
  std::uint64_t strikes = 0;
  std::optional<Duration> noticed;    // medians
  std::optional<Duration> overshoot;  // hangs: past the deadline, of answers without the member
  std::optional<Duration> healed;
  Effects effects;  // in its windows
  Duration bystander_p99{};
  Duration quiet_p99{};  // of the same members in the quiet stretches around
  double p99_ratio = 0;
  std::string left;                   // what it left behind; "" if nothing
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
  std::vector<Fault> faults;    // that were chosen; Strike::fault counts them
  std::vector<Strike> strikes;  // of a nemesis; a campaign's are not told one by one
  std::vector<Slice> timeline;
  Duration slice{};
  Footprint before;
  Footprint after;
  std::string running_difference;  // while it ran: between before the first strike and after the last
  Duration noticed_median{};       // of deaths by a signal
  Duration overshoot_median{};
  Duration healed_median{};
  std::vector<std::string> problems;  // the first in words, and all that concerns no single fault
  std::vector<std::string> notes;     // what was left out, and why
  [[nodiscard]] bool held() const;
  [[nodiscard]] std::uint64_t strikes_made() const;  // of all faults
};

/// Errors: those of launching; bad_usage (nothing to strike).
Result<StressReport> run_stress(StressOptions options);

/// Where the plug-in for stand-ins is: beside this program or installed in lib/tutti. Errors: system.
Result<std::string> find_stand_in();

}  // namespace tutti::stress
