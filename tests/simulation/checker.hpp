// Watches the core from outside and knows the rules: a ledger of its own, counted naively, sharing no code
// with the core. The first rule that is broken is kept as a sentence.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "supervisor/core/core.hpp"
#include "tests/simulation/scenario.hpp"

namespace tutti::simulation {

class Checker {
 public:
  explicit Checker(const Scenario& scenario);

  // ---- what happened, told before the core's actions are carried out ----
  void accepted(const Core& core, std::uint32_t slot, std::uint32_t input, Time now, Time deadline);
  void refused(const Core& core, Time now);
  /// Before the core is told.
  void answered(std::uint32_t isolate, VoteFate fate, Time now);
  /// Before the core is told; `cause` is what counts.
  void gone(std::uint32_t isolate, VoteFate cause, Time now);
  void hello(std::uint32_t isolate);
  void spawn_failed(std::uint32_t isolate, Time now);
  void template_is(std::uint32_t member, bool ready) { members_[member].template_ready = ready; }
  void template_retired(std::uint32_t member) { members_[member].templated = false; }
  void away(Time from, Time until);
  void closed() { closed_ = true; }

  // ---- what the core wants ----
  void action(const Core& core, const Action& action, Time now);
  /// After every event and its actions.
  void rest(const Core& core, Time now, bool ticked);

  [[nodiscard]] const std::string& broken() const noexcept { return broken_; }
  void fail(const std::string& rule) {
    if (broken_.empty()) broken_ = rule;
  }
  [[nodiscard]] std::uint64_t finished() const noexcept { return finished_; }
  /// Members that voted in the request that finished last, as bits.
  [[nodiscard]] std::uint64_t last_voters() const noexcept { return last_voters_; }

 private:
  struct Owed {
    std::uint64_t id;
    std::uint32_t slot;
    std::uint32_t member;
    Time deadline;
    Time hung_at;  // at the earliest
    bool suspect;
    bool probe = false;
    std::uint32_t first_row = 0;
    std::uint32_t rows = 0;
  };
  struct Isolate {
    std::uint32_t member = 0;
    std::uint32_t generation = 0;
    bool process = false;
    bool ready = false;
    bool condemned = false;
    Time ready_since;
    std::deque<Owed> owed;
    std::vector<Time> restarts;
    std::uint32_t lies = 0;
    std::uint32_t uncharged = 0;
    bool hunted = false;  // it died of a probe
    Time died_at;
    bool died_once = false;
  };
  struct Vote {
    std::uint32_t attempts = 0;
    std::uint32_t alive = 0;  // attempts that were neither answered nor lost
    std::uint32_t first = 0;  // isolate of the first
    bool suspect_input = false;
    bool voted = false;
    bool settled = false;
  };
  struct Request {
    bool open = false;
    std::uint64_t input = 0;          // its key: a batch's number, or that of a single row
    std::vector<std::uint32_t> rows;  // by their number
    Time deadline;
    std::vector<Vote> votes;
  };
  struct Kills {
    std::uint32_t at_most = 0;   // never forgiven
    std::uint32_t at_least = 0;  // forgiven by any answer
    Time last;
  };
  struct Member {
    bool templated = false;
    bool template_ready = false;
    std::uint32_t template_starts = 0;
    std::uint64_t asked = 0;
    std::uint64_t extras = 0;
    std::uint32_t failures_in_a_row = 0;
    bool good_now = false;
    std::uint32_t bad_now = 0;
    bool refusing = false;  // since when its votes are `ejected`
    Time refusing_since;
    std::uint32_t probe_slot = UINT32_MAX;
    bool hunting = false;
    std::uint32_t hunted_slot = 0;
    Time hunting_since;
    std::uint32_t hunt_deaths = 0;
    std::vector<std::uint32_t> hunted_rows;
    std::set<std::uint32_t> found;       // rows of the batch that killed by themselves
    std::uint32_t died_of = UINT32_MAX;  // the row that the last death was of, if it was of a single one
  };

  void check_publish(const Core& core, const Action& action, Time now);
  void check_probe(const Core& core, const Action& action, Time now);
  void check_row(const Action& action, Time now);
  void check_hunts(const Core& core, Time now);
  void begin_hunt(std::uint32_t member, std::uint32_t slot, Time now);
  void end_hunt(std::uint32_t member, bool given_up, Time now);
  void check_finish(const Core& core, const Action& action, Time now);
  void check_kill(const Core& core, const Action& action, Time now);
  void check_spawn(const Core& core, const Action& action, Time now);
  void check_rate(Time now);
  void check_slots(const Core& core, Time now);
  void check_isolates(const Core& core, Time now);
  void check_votes(const Core& core);
  void note_settled(const Pending& pending, std::uint32_t slot);
  Kills& kills(std::uint32_t member, std::uint64_t input, Time now);

  const Scenario& scenario_;
  const EnsembleConfig& config_;
  std::vector<Isolate> isolates_;
  std::vector<Member> members_;
  std::vector<Request> requests_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Kills> kills_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> ids_;
  std::deque<Time> restarts_;
  std::string broken_;
  std::uint64_t finished_ = 0;
  std::uint64_t last_voters_ = 0;
  std::uint32_t in_flight_ = 0;
  Time hunt_died_at_{};
  std::uint64_t given_up_ = 0;
  Time away_from_{};
  Time away_until_{};
  bool closed_ = false;
};

}  // namespace tutti::simulation
