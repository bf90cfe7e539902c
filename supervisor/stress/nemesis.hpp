// Strikes one fault after the other and watches what becomes of each, from outside.
//
//   quiet ── strike ──▶ noticed ──▶ replaced ──▶ votes again ── window closes ── quiet ── next
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
#include <string>
#include <vector>

#include "supervisor/stress/faults.hpp"
#include "supervisor/stress/footprint.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/load.hpp"
#include "supervisor/stress/schedule.hpp"
#include "supervisor/stress/victim.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

/// Keeps the ensemble's events for those who wait for one.
class EventBoard {
 public:
  void put(const Event& event);
  /// What was put so far is waited for no more.
  void clear();
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
  Duration at{};                    // since the run's begin
  std::optional<Duration> noticed;  // strike to death, or to the answer without its vote
  std::optional<Duration> healed;   // from there to the first answer with its vote
  std::string problem;              // what did not hold; "" if it all did
  std::string left;                 // what it left behind, as Footprint::difference() says it
};

class Nemesis {
 public:
  /// footprint  of the ensemble at work, before anything is struck
  Nemesis(Ensemble& ensemble, Load& load, Journal& journal, EventBoard& board, Schedule& schedule, Time begun,
          const Footprint& footprint, std::function<bool()> stopped);

  /// Strikes until `until`, and until each fault has struck once. `on_strike` is told before each.
  void run(Time until, const std::function<void(const Target&)>& on_strike);
  [[nodiscard]] const std::vector<Strike>& strikes() const noexcept { return strikes_; }

 private:
  Strike strike(const Target& target);
  void hit(const Fault& fault, Strike& strike, const Victim& victim, Time struck);
  void command(const Fault& fault, Strike& strike, Time struck);
  void heal(Strike& strike, const Victim& victim, Time since);
  void end_stand_in(Strike& strike, const Victim& victim);
  void look_for_leavings(Strike& strike);
  void rest(Duration length);
  [[nodiscard]] Victim pick(const std::string& member);
  [[nodiscard]] std::uint32_t index_of(const std::string& member) const;
  [[nodiscard]] Duration patience() const;

  Ensemble& ensemble_;
  Load& load_;
  Journal& journal_;
  EventBoard& board_;
  Schedule& schedule_;
  Time begun_;
  Footprint footprint_;
  std::function<bool()> stopped_;
  std::vector<Strike> strikes_;
  std::size_t picked_ = 0;  // of several isolates each has its turn
};

}  // namespace tutti::stress
