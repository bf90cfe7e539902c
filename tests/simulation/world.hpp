// A simulated machine round a real core: a virtual clock, workers with rings, templates, clients, an
// operator.
//
//   heap of events ──▶ worker or supervisor ──▶ Core ──actions──▶ checked, then carried out ──▶ more events
//
// The worker's side answers what was published in order, one at a time, unless its fault says otherwise; what
// it published before its death is drained before the core hears of the death, as the engine does.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "supervisor/core/core.hpp"
#include "tests/simulation/checker.hpp"
#include "tests/simulation/coverage.hpp"
#include "tests/simulation/scenario.hpp"

namespace tutti::simulation {

struct Verdict {
  std::string broken;  // the rule that was broken; "" for none
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  Duration simulated{};
  Counters counters;
};

class World {
 public:
  /// Stimuli whose number is marked in `dropped` do not happen.
  World(const Scenario& scenario, const std::vector<bool>& dropped, Coverage& coverage, bool verbose);
  Verdict run();

 private:
  enum class Kind : std::uint8_t {
    stimulus,
    probe,
    tick,
    install,
    loaded,
    late_hello,
    computed,
    collect,
    died,
    template_loaded,
    template_died,
    end,
  };
  struct Event {
    Time at;
    std::uint64_t sequence;
    Kind kind;
    std::uint32_t target;
    std::uint64_t life;  // of the worker or template that it belongs to
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  struct Job {
    std::uint32_t slot = 0;
    bool probe = false;
    Duration patience{};  // until its deadline
    std::optional<Fault> fault;
    VoteFate answer{.state = VoteState::voted};
  };
  struct Answer {
    VoteFate fate;
    bool lie;
  };
  struct Worker {
    std::uint64_t life = 0;
    bool process = false;  // installed
    bool alive = false;
    bool doomed = false;  // the kill was sent
    bool slow_death = false;
    bool lied = false;
    std::deque<Job> ring;
    bool busy = false;
    std::deque<Answer> published;
    VoteFate cause{.state = VoteState::crashed, .detail = 9};
  };
  struct Template {
    std::uint64_t life = 0;
    bool alive = false;
    bool ready = false;
    bool ends = false;
  };
  struct Asked {
    std::uint32_t stimulus = 0;
    std::vector<std::uint32_t> rows;
    Fingerprint fingerprint;
    std::vector<std::uint32_t> attempts;
  };

  void push(Kind kind, Time at, std::uint32_t target, std::uint64_t life = 0);
  [[nodiscard]] static bool of_supervisor(Kind kind);
  void handle(const Event& event);
  void carry_out();
  void after(bool ticked);
  void on_stimulus(const Stimulus& stimulus);
  [[nodiscard]] std::uint32_t target_of(const Stimulus& stimulus) const;
  void ask(std::uint32_t stimulus, std::uint32_t input, Duration deadline);
  void pause(Duration length);
  void publish(const Action& action);
  void finish(const Action& action);
  void kill(std::uint32_t isolate);
  void spawn(const Action& action);
  void on_install(std::uint32_t isolate);
  void on_loaded(std::uint32_t isolate);
  void begin(std::uint32_t isolate);
  void on_computed(std::uint32_t isolate);
  void collect(std::uint32_t isolate);
  void die(std::uint32_t isolate, VoteFate cause, Duration after);
  void on_died(std::uint32_t isolate);
  void on_template_loaded(std::uint32_t member);
  void on_tick();
  void on_probe();
  void on_end();
  std::optional<Fault> draw(std::uint32_t stimulus, std::uint32_t member, std::uint32_t attempt,
                            double rate) const;
  [[nodiscard]] bool kills_in(const Action& action) const;
  [[nodiscard]] bool faulty() const { return now_ < scenario_.faults_end; }
  [[nodiscard]] Struck struck(std::uint32_t isolate) const;
  void note_all(Fault fault, std::optional<std::uint32_t> member = std::nullopt);
  void mix(std::uint64_t value);
  template <class... Arguments>
  void say(const char* format, const Arguments&... arguments) const;

  const Scenario& scenario_;
  const std::vector<bool>& dropped_;
  Coverage& coverage_;
  bool verbose_;
  Core core_;
  Checker checker_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t sequence_ = 0;
  std::uint64_t lives_ = 0;
  std::vector<Worker> workers_;
  std::vector<Template> templates_;
  std::vector<Asked> asked_;  // [slots]
  Time now_ = kBegin;
  Time stalled_until_{};
  Time next_tick_ = kNever;
  Time healthy_since_{};
  bool closing_ = false;
  bool done_ = false;
  Verdict verdict_;
};

}  // namespace tutti::simulation
