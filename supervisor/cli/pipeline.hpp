// The run's pipeline: rows from a table, several requests in flight, answers to a sink in the rows' order.
//
//   read ──▶ [job][job][job] ──predict_async──▶ … ──oldest first──▶ statistics, sink
//
// A request below quorum is asked again when the ensemble can meet its quorum again, so a fault costs votes,
// not rows. Requests grow until one takes about an eighth of the deadline, so that members stay far from it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/statistics.hpp"
#include "supervisor/data/sink.hpp"
#include "supervisor/data/table.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {

class Pipeline {
 public:
  struct Options {
    std::uint32_t batch = 0;  // rows of a request; 0 adapts
    std::vector<Drill> drills;
    std::optional<std::uint64_t> rows_total;
    const std::atomic<int>* interrupted = nullptr;  // the signal's number once it came
  };
  /// Called after each written request with the rows done.
  using OnProgress = std::function<void(std::uint64_t rows)>;

  Pipeline(Ensemble& ensemble, Statistics& statistics, AnswerSink* sink, Options options,
           OnProgress on_progress);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Sends all rows of a table, which start at row number rows_sent(). What is in flight at the end stays in
  /// flight: the next table follows without a gap. Errors: of the table or the sink, stopped.
  Result<void> feed(TableReader& table);
  /// Waits for what is in flight and writes it.
  Result<void> finish();
  [[nodiscard]] std::uint64_t rows_sent() const noexcept { return rows_sent_; }

 private:
  struct Job {
    TableChunk chunk;
    std::uint64_t first_row = 0;
    Duration healing{};       // waited so far for a quorum
    Duration healing_step{};  // the next wait
    bool done = false;        // under mutex_
    Result<void> outcome;
    Prediction prediction;
  };

  Result<void> submit(Job& job);
  Result<void> retire_oldest();
  Result<void> write(const Job& job, bool answered);
  void strike(std::uint64_t first_row, std::uint32_t rows);
  void adapt(const Job& job);
  static bool wait_to_heal(Job& job);
  [[nodiscard]] bool interrupted() const noexcept { return options_.interrupted->load() != 0; }
  [[nodiscard]] Job& job(std::uint64_t number) { return *jobs_[number % jobs_.size()]; }

  Ensemble& ensemble_;
  Statistics& statistics_;
  AnswerSink* sink_;
  Options options_;
  OnProgress on_progress_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::uint64_t submitted_ = 0;  // jobs
  std::uint64_t retired_ = 0;
  std::uint64_t rows_sent_ = 0;
  std::uint32_t rows_ = 0;  // of the next request
  std::vector<float> unanswered_;
  std::mutex mutex_;
  std::condition_variable done_;
};

}  // namespace tutti::cli
