// What a stress run notes of every answer, and what it makes of them.
//
//   load ──ticket──▶ predict ──answered──▶ Journal: counts, latencies, a timeline, who voted again
//   nemesis ──open_window, close_window──▶   │     strike, stand_by
//
//   quiet │ window of a fault │ quiet │ window of another │ quiet      each request belongs to one of them
//
// A bystander is a member that nobody has struck, or that has recovered from it: it must not miss a vote. A
// member is no bystander from its strike until whoever struck it says that it stands by again, and neither
// for requests that were sent before that.
// Latencies of bystanders' votes in the windows of a fault are compared with those of the quiet stretches
// right before and after: machine, load and models are then the same. Everything is behind one mutex; a note
// costs well below a microsecond.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/tutti.hpp"
#include "supervisor/watch/histogram.hpp"

namespace tutti::stress {

inline constexpr std::uint32_t kNone = UINT32_MAX;
inline constexpr Duration kAnswerSlack =
    std::chrono::milliseconds(50);  // after its deadline an answer is late

/// What a request knows of the moment it was sent.
struct Ticket {
  Time sent;
  std::uint32_t fault = kNone;  // in whose window it was sent
  std::size_t input = 0;
  bool changed = false;  // it carries a command to a stand-in
};

/// What must not be.
struct Effects {
  std::uint64_t lost = 0;
  std::uint64_t twice = 0;
  std::uint64_t wrong = 0;
  std::uint64_t late = 0;    // answered, or refused an answer, after deadline + kAnswerSlack
  std::uint64_t failed = 0;  // any other error than too few votes
  std::uint64_t bystander_misses = 0;

  [[nodiscard]] bool none() const noexcept {
    return lost + twice + wrong + late + failed + bystander_misses == 0;
  }
};

struct Counts {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t unanswered = 0;  // too few votes
  std::uint64_t refused = 0;     // overloaded: told at once
  Effects effects;
};

/// All that was seen in the windows of one fault.
struct Tally {
  Effects effects;
  Histogram bystanders;             // latencies of their votes
  Histogram quiet;                  // the same in the quiet stretches right before and after
  std::vector<Duration> overshoot;  // past the deadline, of answers that waited for a struck member in vain
  std::uint64_t open = 0;           // requests sent and not answered
};

/// A slice of the timeline.
struct Slice {
  Histogram latency;  // of answers
  std::uint64_t without = 0;
  std::uint64_t bad = 0;  // wrong, late, unanswered

  void add(const Slice& other);
};

/// What went wrong, in words; the same words are told once.
struct Problem {
  Duration first{};  // since the run's begin
  std::string text;
  std::uint64_t times = 1;
};

class Journal {
 public:
  /// length  what the timeline is to cover; more is shown more coarsely
  Journal(Time begun, Duration length, Duration deadline, std::size_t members, std::size_t faults);

  // ---- load ----
  Ticket send(std::size_t input, bool changed);
  void refused(const Ticket& ticket);
  void answered(const Ticket& ticket, const Result<void>& outcome, const Prediction& prediction,
                const std::string& wrong);
  void twice(const Ticket& ticket);
  /// All patience is over: what was not answered is lost.
  void close();

  // ---- whoever strikes ----
  /// From here on all that happens is put down to the fault.
  void open_window(std::uint32_t fault);
  void close_window();
  /// The member is about to be struck.
  void strike(std::uint32_t member);
  /// It must vote on every request sent from `from` on.
  void stand_by(std::uint32_t member, Time from);
  /// It has not recovered in time: it stands by when it votes again.
  void stand_by_when_voting(std::uint32_t member);
  /// From now on the member's first vote on a request sent from `from` on is waited for.
  void watch_for(std::uint32_t member, Time from);
  /// When that vote's answer came.
  [[nodiscard]] std::optional<Time> seen_again(std::uint32_t member) const;

  // ---- after the run ----
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] const Tally& tally(std::size_t fault) const { return tallies_[fault]; }
  [[nodiscard]] const Histogram& quiet() const noexcept { return quiet_; }
  /// What 95 % of the quiet stretches stay below with their p99: more is no noise.
  [[nodiscard]] Duration quiet_p99_bound() const;
  [[nodiscard]] const Histogram& answers() const noexcept { return answers_; }
  /// Up to the last answer.
  [[nodiscard]] std::vector<Slice> timeline() const;
  [[nodiscard]] Duration slice() const noexcept { return slice_; }
  /// The first few problems, in words.
  [[nodiscard]] const std::vector<Problem>& problems() const noexcept { return problems_; }

 private:
  struct Standing {
    bool struck = false;
    bool returns_by_vote = false;
    Time bystander_from{};
    std::optional<Time> watched_from;
    std::optional<Time> seen_again;
  };
  void note_votes(const Ticket& ticket, Time now, Duration latency, const Prediction& prediction);
  void end_quiet(std::uint32_t next);
  void problem(Time now, const std::string& text);
  /// In whose window a request counts that is answered now: where it was sent, else where it is answered.
  [[nodiscard]] std::uint32_t fault_of(const Ticket& ticket) const {
    return ticket.fault != kNone ? ticket.fault : fault_;
  }
  Effects& effects_of(const Ticket& ticket);
  Slice& slice_at(Time now);

  mutable std::mutex mutex_;
  Time begun_;
  Duration slice_;
  Duration deadline_;
  Counts counts_;
  std::vector<Standing> standings_;  // [members]
  std::vector<Tally> tallies_;       // [faults], then one for what was quiet
  std::uint32_t fault_ = kNone;      // whose window is open
  std::uint32_t last_fault_ = kNone;
  bool closed_ = false;
  Histogram stretch_;  // of the quiet stretch that is on
  Histogram quiet_;
  std::vector<Duration> quiet_p99s_;
  Histogram answers_;
  std::vector<Slice> timeline_;
  std::size_t used_ = 0;  // slices that begin before the last answer
  std::vector<Problem> problems_;
};

}  // namespace tutti::stress
