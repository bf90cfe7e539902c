// The engine: carries out what the core decides, on real channels and real processes.
//
//   submit ──copy in──▶ input slot ──publish──▶ rings ──▶ workers
//   collect ◀── answers, one checked copy each ──▶ core ──finish──▶ combine ──▶ deliver
//
// One thread at a time: whoever holds the runner's mutex drives it. It never blocks and never waits. Spawning
// is left to the runner's own thread, since a worker must not outlive the thread that spawned it (PDEATHSIG).
// engine.cpp has the way of a request, engine_processes.cpp the way of a process, engine_status.cpp what is
// told.
#pragma once

#include <spdlog/logger.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "shared/error.hpp"
#include "shared/region.hpp"
#include "shared/tensor.hpp"
#include "supervisor/combine.hpp"
#include "supervisor/core/core.hpp"
#include "supervisor/tier_ledger.hpp"
#include "supervisor/tutti.hpp"
#include "supervisor/watch/events.hpp"
#include "supervisor/watch/tally.hpp"
#include "supervisor/worker_link.hpp"

namespace tutti {

/// A caller that waits for its answer.
struct Waiter {
  std::atomic<std::uint32_t> done{0};
  std::optional<Error> error;
};

/// An asynchronous answer to be handed over once the mutex is free.
struct Delivery {
  OnPrediction done;
  Result<void> outcome;
  Prediction prediction;
};

/// A process to be started, outside the mutex.
struct SpawnOrder {
  enum class What : std::uint8_t {
    isolate,        // forked from its member's template
    whole_isolate,  // loads its model itself
    member,         // the template of a member
  };
  What what = What::isolate;
  std::uint32_t index = 0;  // of the isolate or the member
  std::uint16_t generation = 0;
};

/// What was started for an order: nothing yet but its memory, for an isolate that is to be forked.
struct Started {
  std::optional<WorkerLink> isolate;
  std::optional<TemplateLink> model;
};

class Engine {
 public:
  /// Makes the shared input and the plan. Errors: system, bad_config.
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const EnsembleConfig> config,
                                                const LaunchOptions& options);

  // ---- requests ----
  /// Accepts rows for a waiter (prediction is the caller's) or for a callback.
  Result<void> submit(MatrixView x, Time now, Time deadline, Prediction& prediction, Waiter& waiter);
  Result<void> submit(MatrixView x, Time now, Time deadline, OnPrediction done);

  // ---- driving ----
  /// Takes every answer that is there, and carries out what follows. True if there was any.
  bool collect(Time now);
  void tick(Time now);
  /// True if collect() would find something.
  [[nodiscard]] bool has_news() const;
  /// Before sleeping: raises the flags of all isolates that owe an answer. False if there is news after all.
  bool prepare_sleep();
  [[nodiscard]] Time wake_at() const;

  // ---- events of a process, named with the generation that they belong to ----
  [[nodiscard]] bool has_spawns() const noexcept { return !spawns_.empty(); }
  std::vector<SpawnOrder> take_spawns() { return std::exchange(spawns_, {}); }
  /// Starts what was ordered; touches nothing of the engine, so it needs no mutex.
  [[nodiscard]] Result<Started> start(const SpawnOrder& order) const;
  /// Installs what start() made. Returns false when it is no longer wanted (it is then dropped).
  bool install(const SpawnOrder& order, Result<Started> started, Time now);
  /// An installed process cannot be watched: it is ended and counts as one that could not be started.
  void abandon(const SpawnOrder& order, const Error& error, Time now);
  /// The doorbell of an isolate rang.
  void rang(std::uint32_t isolate, std::uint16_t generation, Time now);
  /// Something can be read from the control socket of what was ordered. False: it will say nothing more.
  bool hear(const SpawnOrder& order, Time now);
  /// The process of what was ordered may be dead: reaps it if so. True if there is nothing left to watch.
  bool reap(const SpawnOrder& order, Time now);
  /// Isolates that were forked and adopted since the last call, to be watched.
  std::vector<SpawnOrder> take_adopted() { return std::exchange(adopted_, {}); }
  Result<void> kill_worker(std::string_view member);

  // ---- ending ----
  /// From now on it accepts nothing, and tells no event: that its workers end is wanted.
  void close();
  void kill_all(Time now);
  [[nodiscard]] bool any_process() const;

  [[nodiscard]] WorkerLink* link(std::uint32_t isolate) {
    return links_[isolate] ? &*links_[isolate] : nullptr;
  }
  /// False once what was ordered is gone or given up.
  [[nodiscard]] bool current(const SpawnOrder& order) const;
  /// The link that speaks for what was ordered on a control socket; null when it is gone or has none.
  [[nodiscard]] TemplateLink* control(const SpawnOrder& order);
  /// The process of what was ordered; null when it is gone or not born.
  [[nodiscard]] Process* process(const SpawnOrder& order);
  [[nodiscard]] const Core& core() const noexcept { return core_; }
  [[nodiscard]] const EnsembleConfig& config() const noexcept { return config_; }
  /// Without what the processes use: that is read outside the mutex.
  [[nodiscard]] EnsembleStatus status(Time now);
  void tell_promotion(std::size_t member, Event::Kind kind, std::string text);
  [[nodiscard]] bool all_tried() const;
  /// "boosted/0" for an isolate, "boosted" for a template.
  [[nodiscard]] const std::string& name_of(const SpawnOrder& order) const;
  /// The first row of a request that was asked lately, zeros before the first.
  [[nodiscard]] std::vector<float> sample_row() const;
  [[nodiscard]] bool owes_answers() const noexcept { return core_.owed() > 0; }
  std::vector<Delivery>& deliveries() noexcept { return deliveries_; }
  [[nodiscard]] spdlog::logger& log() const noexcept { return *log_; }
  /// How long a caller looks before it sleeps, and whether it gives its core away between looks.
  [[nodiscard]] Duration spin() const noexcept { return Duration(plan_.spin_ns); }
  [[nodiscard]] bool yields() const noexcept { return plan_.yields; }

 private:
  struct Slot {
    Prediction* prediction = nullptr;  // the caller's, or &own
    Waiter* waiter = nullptr;
    OnPrediction done;
    Prediction own;
  };
  struct TemplateNotes {
    std::string last_error;
    Duration load{};
    bool limits_told = false;  // that one of the config's limits does not hold
    Walls walls;  // that hold the member's processes, by their word and as far as they can be seen
  };
  struct IsolateNotes {
    std::string name;  // "boosted/0"
    std::string last_error;
    Duration load{};
    std::uint32_t idle_bells = 0;  // rung without an answer, in this second
    std::uint32_t bells_due = 0;   // answers taken before their bell was heard
    Time bells_window;
    bool lied = false;  // its ring is not read any more
  };

  Engine(std::shared_ptr<const EnsembleConfig> config, const LaunchOptions& options,
         std::shared_ptr<spdlog::logger> log, Combiner combiner);
  Result<std::uint32_t> accept(MatrixView x, Time now, Time deadline);
  void prepare(Prediction& prediction, std::uint32_t rows) const;
  void carry_out();
  void carry_out_process(const Action& action);
  void publish(const Action& action);
  std::span<const Fingerprint> fingerprints_of_rows(MatrixView x);
  /// Where in `input` a row of a slot lies.
  [[nodiscard]] std::size_t offset_of(std::uint32_t slot, std::uint32_t row) const noexcept {
    return slot * slot_bytes_ + std::size_t{row} * config_.features * sizeof(float);
  }
  void wake_asked();
  bool drain(std::uint32_t isolate, Time now);
  void take_hello(std::uint32_t isolate, Time now);
  [[nodiscard]] std::size_t member_index(const SpawnOrder& order) const;
  [[nodiscard]] bool lacks_walls(std::size_t member) const;
  void take_walls(const SpawnOrder& order, Walls walls);
  /// The walls of a member's isolates.
  [[nodiscard]] Walls walls_of(std::size_t member) const;
  [[nodiscard]] Result<void> verify_walls(std::uint32_t isolate) const;
  [[nodiscard]] WorkerOrder worker_order(const SpawnOrder& order) const;
  [[nodiscard]] const MemberConfig& member_of(const SpawnOrder& order) const;
  bool install_isolate(const SpawnOrder& order, Started started, Time now);
  bool install_template(const SpawnOrder& order, Started started, Time now);
  void note_error(const SpawnOrder& order, std::string text);
  void condemn(const SpawnOrder& order, VoteFate cause);
  void heed(const SpawnOrder& order, const TemplateLink::Heard& heard, Time now);
  /// Of the member, that have a process.
  [[nodiscard]] std::size_t isolates_alive(std::uint32_t member) const;
  bool take_born(const SpawnOrder& order, const TemplateLink::Heard& heard, Time now);
  void distrust(const SpawnOrder& order, const std::string& why);
  bool reap_isolate(const SpawnOrder& order, Time now);
  bool reap_template(const SpawnOrder& order, Time now);
  void drop_unborn(std::uint32_t member, Time now);
  void give_up_unborn(Time now);
  void note_answer(std::uint32_t isolate, const Expected& expected, const Consumed& consumed);
  void finish(std::uint32_t slot);
  Result<void> conclude(const Pending& request, Prediction& prediction);
  void judge_band(const Pending& request, const Prediction& prediction);
  [[nodiscard]] float* part(std::uint32_t slot, std::uint32_t member) const;
  void tell(Event::Kind kind, std::uint32_t isolate, Time now, VoteFate cause = {});
  void tell_start(std::uint32_t isolate, Time now);
  void tell_kill(std::uint32_t isolate);
  void tell_row(const Action& action);
  void tell_readiness(Time now);
  /// Of the isolate's process; 0 while there is none.
  [[nodiscard]] pid_t pid_of(std::uint32_t isolate) const;
  void hear_tiers(std::uint32_t isolate);
  [[nodiscard]] IsolateStatus isolate_status(std::uint32_t isolate, Time now) const;
  [[nodiscard]] std::string missing_voters(const Prediction& prediction) const;

  std::shared_ptr<const EnsembleConfig> kept_;  // whoever holds an answer may still look at its names
  const EnsembleConfig& config_;
  LaunchOptions options_;
  std::shared_ptr<spdlog::logger> log_;
  Core core_;
  Combiner combiner_;
  WorkerPlan plan_;
  Region input_;
  std::size_t slot_bytes_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::optional<WorkerLink>> links_;        // [isolates]
  std::vector<std::optional<TemplateLink>> templates_;  // [members]
  std::vector<IsolateNotes> notes_;
  std::vector<TemplateNotes> template_notes_;
  std::optional<IsolationLevel> isolation_;  // the lowest that a member's workers have reached
  IsolationLevel isolation_told_ = IsolationLevel::full;
  std::vector<SpawnOrder> spawns_;
  std::vector<SpawnOrder> adopted_;
  std::vector<std::uint32_t> unborn_;  // isolates that were condemned before there was a process to kill
  std::vector<Delivery> deliveries_;
  std::vector<std::uint32_t> asked_;  // isolates published to since the last wake_asked()
  std::unique_ptr<bool[]> answered_;  // [members], scratch
  std::deque<std::string> told_;      // texts that events look at
  std::unique_ptr<EventLog> events_;
  std::vector<MemberTally> tallies_;  // [members]
  std::vector<TierLedger> ledgers_;   // [members]
  EngineCounters counters_;
  bool closing_ = false;                       // what its workers do now is no news
  bool quorum_seen_ = false;                   // whether the quorum could be met when that was last told
  std::vector<double> distances_;              // [members], scratch
  std::vector<float> values_;                  // [members], scratch
  std::vector<Fingerprint> row_fingerprints_;  // [limits.rows], scratch
  Fingerprint fingerprint_key_;                // drawn anew at every launch
};

}  // namespace tutti
