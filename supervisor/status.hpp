// An ensemble as it is now: what status(), `tutti status` and the events say.
//
// Values only; an event's name is a view that lives as long as the callback.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/cage.hpp"
#include "shared/tier_use.hpp"
#include "supervisor/core/counters.hpp"
#include "supervisor/core/time.hpp"
#include "supervisor/core/vote.hpp"

namespace tutti {

enum class Readiness : std::uint8_t {
  ready,     // every member can vote
  degraded,  // the quorum can be met, but not with everyone
  not_ready,
};
std::string_view name_of(Readiness readiness) noexcept;

/// Where an isolate is in its life; core/isolate.hpp has the picture.
enum class IsolatePhase : std::uint8_t { waiting, starting, ready, dying };
std::string_view name_of(IsolatePhase phase) noexcept;

/// What a process uses, as the kernel counts it.
struct Usage {
  std::uint64_t pss_bytes = 0;       // its memory, what is shared divided by the number of sharers
  std::uint64_t unshared_bytes = 0;  // what would be free without it
  Duration cpu{};                    // processor time, user and system
};

/// How long answers took: nearest rank, at most 3 % off.
struct Quantiles {
  std::uint64_t count = 0;
  Duration p50{};
  Duration p99{};
  Duration p999{};
};

struct IsolateStatus {
  std::string name;  // "boosted/0"
  IsolatePhase phase = IsolatePhase::waiting;
  VoteFate last_end{.state = VoteState::not_ready};  // of its last incarnation; not_ready if none has ended
  std::string last_error;                            // why the last start failed or the last worker died
  std::uint16_t generation = 0;
  std::uint32_t restarts = 0;
  int pid = 0;                      // 0: no process
  std::uint32_t outstanding = 0;    // requests that it owes an answer
  std::optional<Duration> next_in;  // waiting: until its next start
  std::optional<Usage> usage;       // only where it was asked for and could be read
};

enum class TierPresence : std::uint8_t {
  unknown,  // no isolate has said yet
  none,     // the model is of a kind that knows no tiers
  present,
};

/// Whether compiling pays: once what it would have saved has come to what it costs.
struct PromotionForecast {
  Duration forgone{};  // what tier 2 would have saved so far
  Duration cost{};     // what compiling takes
};

/// How far a member's model has come on its way to faster tiers, by its isolates' word. Calls and rows are of
/// all isolates and their lives; the rest is of the slowest isolate that lives, times and sizes the largest.
struct TierStatus {
  TierPresence presence = TierPresence::unknown;
  std::uint32_t tier = 0;
  std::array<TierUse, kTierCount> tiers{};
  std::string kernels;           // of tiers 1 and 2: "avx512"
  std::string why_not;           // why it stays in its tier; "" while it may leave it, and in tier 2
  Duration build{};              // that building tier 1 took
  std::uint64_t bytes = 0;       // that tier 1 holds, in one isolate
  Duration compile{};            // that compiling tier 2 took
  std::uint64_t code_bytes = 0;  // that tier 2 holds beside
  std::optional<PromotionForecast> forecast;  // in tier 1, while it may be compiled
};

/// What a row took in one tier, over the calls that were timed; nothing before the first.
[[nodiscard]] inline std::optional<double> ns_per_row(const TierUse& use) noexcept {
  if (use.timed_rows == 0) return std::nullopt;
  return static_cast<double>(use.timed_ns) / static_cast<double>(use.timed_rows);
}

/// A member as it is now.
struct MemberStatus {
  std::string name;
  std::uint32_t instances = 0;
  std::uint32_t ready = 0;
  std::uint32_t restarts = 0;
  std::vector<int> pids;   // of its running workers
  int template_pid = 0;    // of the process that they are forked from; 0: none
  std::string last_error;  // why the last start failed or the last worker died; "" if none did
  Duration load{};         // what the last start took inside the worker
  Walls walls;             // around its processes
  TierStatus tiers;
  std::vector<IsolateStatus> isolates;
  Quantiles latency;  // of its votes, from the request to the vote
  std::uint64_t voted = 0;
  std::vector<std::pair<VoteState, std::uint64_t>> missed;  // votes missed by cause, none of them 0
};

/// What was counted since the launch, beside what the core decided.
struct EngineCounters {
  std::uint64_t answered = 0;    // requests with an answer
  std::uint64_t unanswered = 0;  // requests without one: too few votes
  std::uint64_t idle_bells = 0;  // rung without an answer
  std::uint64_t starts = 0;      // of workers
  std::uint64_t start_failures = 0;
  std::uint64_t events_dropped = 0;
};

struct EnsembleStatus {
  Readiness readiness = Readiness::not_ready;
  std::uint64_t config_generation = 1;  // counts reloads that succeeded
  std::uint64_t reloads_failed = 0;
  std::string last_reload_error;
  std::uint32_t quorum = 0;
  IsolationLevel isolation = IsolationLevel::none;  // the lowest that a member's workers have reached
  std::vector<MemberStatus> members;  // in the config's order, then the stacking model if there is one
  std::uint32_t in_flight = 0;        // requests accepted and not answered
  Duration uptime{};
  EngineCounters counters;
  Counters decisions;               // of the core: votes, attempts, restarts
  std::optional<Usage> supervisor;  // this process; only where it was asked for
};

/// Whether status() also reads what each process uses: some files of /proc for each.
enum class ReadUsage : std::uint8_t { no, yes };

/// One change of state.
struct Event {
  enum class Kind : std::uint8_t {
    started,       // a worker process runs, its model is not loaded yet
    start_failed,  // cause: what it ended with, if there was a process
    ready,
    violated,         // wrote what no correct worker writes
    kill_sent,        // cause: what for
    died,             // cause: of what
    row_quarantined,  // cause: which row of a batch has killed it
    quorum_lost,
    quorum_regained,
    promoted,      // note: a member's model is compiled, and why; isolate: the member's name
    not_promoted,  // note: it was tried and came to nothing, and why
  } kind = Kind::started;
  std::string_view isolate;  // "boosted/0"; "" for the quorum's
  int pid = 0;
  std::uint16_t generation = 0;
  std::uint32_t restarts = 0;
  VoteFate cause;
  std::uint32_t members_ready = 0;
  std::uint32_t quorum = 0;
  Time at;
  std::string_view note;  // for people; "" but for promotions
};
std::string_view name_of(Event::Kind kind) noexcept;

}  // namespace tutti
