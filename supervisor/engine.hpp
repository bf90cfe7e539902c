// The engine: carries out what the core decides, on real channels and real processes.
//
//   submit ──copy in──▶ input slot ──publish──▶ rings ──▶ workers
//   collect ◀── answers, one checked copy each ──▶ core ──finish──▶ combine ──▶ deliver
//
// One thread at a time: whoever holds the runner's mutex drives it. It never blocks and never waits. Spawning
// is left to the runner's own thread, since a worker must not outlive the thread that spawned it (PDEATHSIG).
#pragma once

#include <spdlog/logger.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "shared/error.hpp"
#include "shared/region.hpp"
#include "shared/tensor.hpp"
#include "supervisor/combine.hpp"
#include "supervisor/core/core.hpp"
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

/// A worker to be started, outside the mutex.
struct SpawnOrder {
  std::uint32_t isolate = 0;
  std::uint16_t generation = 0;
};

class Engine {
 public:
  /// Makes the shared input and the plan. Errors: system, bad_config.
  static Result<std::unique_ptr<Engine>> create(EnsembleConfig config, const LaunchOptions& options);

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

  // ---- events of an isolate, named with the generation that they belong to ----
  [[nodiscard]] bool has_spawns() const noexcept { return !spawns_.empty(); }
  std::vector<SpawnOrder> take_spawns() { return std::exchange(spawns_, {}); }
  /// Starts the worker of an order; touches nothing of the engine, so it needs no mutex.
  [[nodiscard]] Result<WorkerLink> start_worker(const SpawnOrder& order) const;
  /// Installs what start_worker made. Returns false when it is no longer wanted (it is then dropped).
  bool install(const SpawnOrder& order, Result<WorkerLink> link, Time now);
  /// An installed worker cannot be watched: it is ended and counts as one that could not be started.
  void abandon(const SpawnOrder& order, const Error& error, Time now);
  /// The doorbell of an isolate rang.
  void rang(std::uint32_t isolate, Time now);
  /// The worker may be dead: reaps it if so. True if it was.
  bool reap(std::uint32_t isolate, std::uint16_t generation, Time now);
  Result<void> kill_worker(std::string_view member);

  // ---- ending ----
  void close();
  void kill_all();
  [[nodiscard]] bool any_process() const;

  [[nodiscard]] WorkerLink* link(std::uint32_t isolate) {
    return links_[isolate] ? &*links_[isolate] : nullptr;
  }
  [[nodiscard]] const Core& core() const noexcept { return core_; }
  [[nodiscard]] const EnsembleConfig& config() const noexcept { return config_; }
  /// Without what the processes use: that is read outside the mutex.
  [[nodiscard]] EnsembleStatus status(Time now) const;
  [[nodiscard]] bool all_tried() const;
  [[nodiscard]] const std::string& isolate_name(std::uint32_t isolate) const { return notes_[isolate].name; }
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
  struct IsolateNotes {
    std::string name;  // "boosted/0"
    std::string last_error;
    Duration load{};
    std::uint32_t idle_bells = 0;  // rung without an answer, in this second
    Time bells_window;
    bool lied = false;  // its ring is not read any more
  };

  Engine(EnsembleConfig config, const LaunchOptions& options, std::shared_ptr<spdlog::logger> log,
         Combiner combiner);
  Result<std::uint32_t> accept(MatrixView x, Time now, Time deadline);
  void prepare(Prediction& prediction, std::uint32_t rows) const;
  void carry_out();
  void publish(const Action& action);
  void wake_asked();
  bool drain(std::uint32_t isolate, Time now);
  void take_hello(std::uint32_t isolate, Time now);
  void note_answer(std::uint32_t isolate, const Expected& expected, const Consumed& consumed);
  void finish(std::uint32_t slot);
  Result<void> conclude(const Pending& request, Prediction& prediction);
  [[nodiscard]] float* part(std::uint32_t slot, std::uint32_t member) const;
  void tell(Event::Kind kind, std::uint32_t isolate, Time now, VoteFate cause = {});
  void tell_kill(std::uint32_t isolate);
  void tell_readiness(Time now);
  [[nodiscard]] IsolateStatus isolate_status(std::uint32_t isolate, Time now) const;
  [[nodiscard]] std::string missing_voters(const Prediction& prediction) const;

  EnsembleConfig config_;
  LaunchOptions options_;
  std::shared_ptr<spdlog::logger> log_;
  Core core_;
  Combiner combiner_;
  WorkerPlan plan_;
  Region input_;
  std::size_t slot_bytes_ = 0;
  std::vector<Slot> slots_;
  std::vector<std::optional<WorkerLink>> links_;
  std::vector<IsolateNotes> notes_;
  std::vector<SpawnOrder> spawns_;
  std::vector<Delivery> deliveries_;
  std::vector<std::uint32_t> asked_;  // isolates published to since the last wake_asked()
  std::unique_ptr<bool[]> answered_;  // [members], scratch
  std::unique_ptr<EventLog> events_;
  std::vector<MemberTally> tallies_;  // [members]
  EngineCounters counters_;
  Time created_;
  bool quorum_seen_ = false;  // whether the quorum could be met when that was last told
};

}  // namespace tutti
