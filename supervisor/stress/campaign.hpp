// Thousands of kills at random moments, many a second, under full load.
//
//   pick a process ── hold it ── 0 to 1 ms ── SIGKILL ──▶ died ──▶ ready ──▶ must vote again
//        ▲ whichever it is: at work, starting, or the template that the others are forked from
//        └── 0 to 4 ms; never so many members down that no quorum is left
//
// A kill here waits for nothing: it strikes a worker between any two instructions of its life, and often one
// that has just replaced another. What a kill does is known from the ensemble's events; what it must not do,
// from the answers (Journal).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "supervisor/stress/journal.hpp"
#include "supervisor/stress/victim.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

class Campaign {
 public:
  /// members  whose processes are killed
  Campaign(const EnsembleConfig& config, const std::vector<std::string>& members, std::uint64_t seed);

  /// To be told of every event from the launch on, in any thread.
  void on_event(const Event& event);

  /// Kills `count` times, or until `until` or `stopped`, or until nobody can be killed for long; then waits
  /// for the last to recover. The last kills strike every isolate once: what an older template made is then
  /// gone.
  void run(Ensemble& ensemble, Journal& journal, std::uint64_t count, Time until,
           const std::function<bool()>& stopped, const std::function<void(std::uint64_t killed)>& on_kill);

  struct Toll {
    std::uint64_t kills = 0;
    std::uint64_t template_kills = 0;   // of them
    std::vector<std::string> problems;  // the first few: deaths that it did not cause, members that stay away
    std::vector<Duration> noticed;      // from a kill to the death's event
    std::vector<Duration> healed;       // from there to the member's next vote, if it was not struck before
  };
  [[nodiscard]] Toll toll() const;

 private:
  struct Isolate {
    std::uint32_t member = 0;
    bool down = false;             // killed, and no later generation is ready
    std::uint16_t generation = 0;  // that was killed last
    Time killed_at{};
    std::optional<Time> died_at;
  };
  struct Member {
    std::string name;
    bool is_target = false;
    bool template_hit = false;  // a moment ago: its death may take isolates along
    Time template_hit_at{};
    std::optional<Time> died_at;  // of the death that it has not voted since
  };
  [[nodiscard]] std::string choose(const EnsembleStatus& status, std::uint64_t left);
  void kill(const Victim& victim);
  void settle(Time now);
  void stand_by(std::uint32_t member, Time from);
  void note_problem(std::string text);
  [[nodiscard]] bool is_down(std::uint32_t member) const;
  [[nodiscard]] std::uint32_t down() const;
  void pause(Duration most);

  std::mt19937_64 random_;
  std::uint32_t down_max_;
  std::vector<std::string> last_;  // isolates, to be struck by the last kills
  mutable std::mutex mutex_;       // of all below
  Journal* journal_ = nullptr;
  std::vector<Member> members_;
  std::map<std::string, Isolate, std::less<>> isolates_;
  Toll toll_;
};

}  // namespace tutti::stress
