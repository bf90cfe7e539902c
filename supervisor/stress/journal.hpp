// What a stress run notes of every answer, and what it makes of them.
//
//   load ──ticket──▶ predict ──answered──▶ Journal: counts, latencies by window, a timeline, who voted again
//   nemesis ──open_window, close_window──▶   │
//
// A window is the time around one strike. Latencies of bystanders' votes in it are compared with those of the
// quiet stretches of the same run: the machine, the load and the models are then the same. Everything is
// behind one mutex; a note costs well below a microsecond.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/tutti.hpp"
#include "supervisor/watch/histogram.hpp"

namespace tutti::stress {

inline constexpr std::uint32_t kNobody = UINT32_MAX;
inline constexpr Duration kAnswerSlack =
    std::chrono::milliseconds(50);  // after its deadline an answer is late

/// What a request knows of the moment it was sent.
struct Ticket {
  Time sent;
  std::uint32_t target = kNobody;  // the member that is being struck
  std::size_t input = 0;
  bool changed = false;  // it carries a command to a stand-in
};

struct Counts {
  std::uint64_t sent = 0;
  std::uint64_t answered = 0;
  std::uint64_t unanswered = 0;  // too few votes
  std::uint64_t refused = 0;     // overloaded: told at once
  std::uint64_t failed = 0;      // any other error
  std::uint64_t late = 0;        // answered, or refused an answer, after deadline + kAnswerSlack
  std::uint64_t wrong = 0;
  std::uint64_t twice = 0;
  std::uint64_t lost = 0;
  std::uint64_t bystander_misses = 0;
};

struct Window {
  std::uint32_t target = kNobody;
  Time opened;
  std::uint64_t bystander_misses = 0;
  Histogram bystanders;             // latencies of their votes
  std::vector<Duration> overshoot;  // past the deadline, of answers that waited for the target in vain
};

/// A slice of the timeline.
struct Slice {
  Histogram latency;  // of answers
  std::uint64_t without = 0;
  std::uint64_t bad = 0;  // wrong, late, unanswered
};

/// What went wrong, in words; the same words are told once.
struct Problem {
  Duration first{};  // since the run's begin
  std::string text;
  std::uint64_t times = 1;
};

class Journal {
 public:
  /// length  what the timeline covers
  Journal(Time begun, Duration length, Duration deadline);

  // ---- load ----
  Ticket send(std::size_t input, bool changed);
  void refused();
  void answered(const Ticket& ticket, const Result<void>& outcome, const Prediction& prediction,
                const std::string& wrong);
  void lost(std::uint64_t count);
  void twice();

  // ---- nemesis ----
  /// Returns the window's number.
  std::size_t open_window(std::uint32_t target);
  /// From here on latencies count as quiet. A target that is not healed is no bystander until it votes again.
  void close_window(bool healed);
  /// From now on the first vote of the member on a request sent from now on is waited for.
  void watch_for(std::uint32_t member);
  /// When that vote's answer came.
  [[nodiscard]] std::optional<Time> seen_again() const;

  // ---- after the run ----
  [[nodiscard]] Counts counts() const;
  [[nodiscard]] const Window& window(std::size_t number) const { return windows_[number]; }
  [[nodiscard]] const Histogram& quiet() const noexcept { return quiet_; }
  [[nodiscard]] const Histogram& answers() const noexcept { return answers_; }
  [[nodiscard]] const std::vector<Slice>& timeline() const noexcept { return timeline_; }
  [[nodiscard]] Duration slice() const noexcept { return slice_; }
  /// The first few problems, in words.
  [[nodiscard]] const std::vector<Problem>& problems() const noexcept { return problems_; }

 private:
  void note_votes(const Ticket& ticket, Time now, Duration latency, const Prediction& prediction);
  void problem(Time now, const std::string& text);
  Slice& slice_at(Time now);

  mutable std::mutex mutex_;
  Time begun_;
  Duration slice_;
  Duration deadline_;
  Counts counts_;
  std::vector<Window> windows_;
  bool window_open_ = false;
  std::uint32_t target_ = kNobody;
  std::uint32_t unhealed_ = kNobody;
  std::uint32_t watched_ = kNobody;
  Time watched_since_;
  std::optional<Time> seen_again_;
  Histogram quiet_;
  Histogram answers_;
  std::vector<Slice> timeline_;
  std::vector<Problem> problems_;
};

}  // namespace tutti::stress
