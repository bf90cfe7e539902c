// Strikes one fault after the other and watches what becomes of each, from outside.
//
//   quiet ── strike ──▶ noticed ──▶ replaced ──▶ votes again ── window closes ── quiet (seeded) ── next
//              t0         event       event        an answer
//
// Times are differences of one monotonic clock: the strike's is ours, the others' are of the ensemble's
// events and of the answers.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "supervisor/stress/faults.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/load.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

/// Keeps the ensemble's events for those who wait for one.
class EventBoard {
 public:
  void put(const Event& event);
  /// The first event of an isolate that is one of `kinds` and not before `since`; nothing if it does not come
  /// until `until`.
  std::optional<Event> wait(const std::string& isolate, std::initializer_list<Event::Kind> kinds, Time since,
                            Time until);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
};

/// What became of one strike.
struct Strike {
  std::size_t fault = 0;  // of those chosen
  std::string member;
  Duration at{};  // since the run's begin
  std::size_t window = 0;
  std::optional<Duration> noticed;  // strike to death, or to the answer without its vote
  std::optional<Duration> healed;   // from there to the first answer with its vote
  std::string problem;              // what did not hold; "" if it all did
  bool ended_by_us = false;         // it went on living, and was ended to clean up
};

class Nemesis {
 public:
  /// members  who is struck from outside; stand_in "" if there is none
  Nemesis(Ensemble& ensemble, Load& load, Journal& journal, EventBoard& board, std::vector<Fault> faults,
          const std::vector<std::string>& members, const std::string& stand_in, Time begun,
          std::uint64_t seed, std::function<bool()> stopped);

  /// Strikes until `until`, in rounds of every fault in a random order. `on_strike` is told before each.
  void run(Time until, const std::function<void(const Fault&, const std::string&)>& on_strike);
  [[nodiscard]] const std::vector<Strike>& strikes() const noexcept { return strikes_; }
  /// True if every fault struck every target at least once.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  struct Target {
    std::size_t fault;
    std::string member;
  };
  Strike strike(const Target& target);
  void command(const Fault& fault, Strike& strike, Time begun_at, const std::string& isolate);
  void heal(Strike& strike, const std::string& isolate, std::uint32_t member, Time since);
  void end_stand_in(Strike& strike, const std::string& isolate, std::uint32_t member, int pid);
  void rest(Duration length);
  [[nodiscard]] std::optional<IsolateStatus> pick(const std::string& member);
  [[nodiscard]] std::uint32_t index_of(const std::string& member) const;
  [[nodiscard]] Duration patience() const;

  Ensemble& ensemble_;
  Load& load_;
  Journal& journal_;
  EventBoard& board_;
  std::vector<Fault> faults_;
  std::vector<Target> targets_;
  Time begun_;
  std::mt19937_64 random_;
  std::function<bool()> stopped_;
  std::vector<Strike> strikes_;
  bool complete_ = false;
};

}  // namespace tutti::stress
