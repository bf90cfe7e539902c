#include "supervisor/cli/pipeline.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "supervisor/cli/terminal.hpp"

namespace tutti::cli {
namespace {

constexpr std::uint32_t kJobs = 3;  // one in the members' hands, one queued, one being read or written
constexpr std::uint32_t kRowsAtStart = 64;
constexpr Duration kHealingMax = std::chrono::seconds(30);
constexpr Duration kHealingStep = std::chrono::milliseconds(5);
constexpr Duration kHealingStepMax = std::chrono::milliseconds(250);

/// Whether time may bring a missing vote. What a model says that it cannot answer it will not answer later.
bool may_heal(const Prediction& prediction) {
  return std::ranges::any_of(prediction.votes, [](const Vote& vote) {
    const VoteState state = vote.fate.state;
    return !vote.voted() && state != VoteState::failed && state != VoteState::rejected;
  });
}

}  // namespace

Pipeline::Pipeline(Ensemble& ensemble, Statistics& statistics, AnswerSink* sink, Options options,
                   OnProgress on_progress)
    : ensemble_(ensemble),
      statistics_(statistics),
      sink_(sink),
      options_(std::move(options)),
      on_progress_(std::move(on_progress)) {
  const LimitsConfig& limits = ensemble.config().limits;
  for (std::uint32_t i = 0; i < std::min(kJobs, limits.in_flight); ++i)
    jobs_.push_back(std::make_unique<Job>());
  rows_ = std::min(options_.batch != 0 ? options_.batch : kRowsAtStart, limits.rows);
}

Pipeline::~Pipeline() {
  // Callbacks hold pointers to the jobs.
  std::unique_lock lock(mutex_);
  for (; retired_ < submitted_; ++retired_) done_.wait(lock, [&] { return job(retired_).done; });
}

Result<void> Pipeline::feed(TableReader& table) {
  while (!interrupted()) {
    if (submitted_ - retired_ == jobs_.size()) {
      if (auto retired = retire_oldest(); !retired) return retired;
    }
    Job& next = job(submitted_);
    auto read = table.read(rows_, next.chunk);
    if (next.chunk.rows > 0) {
      next.first_row = rows_sent_;
      next.healing_step = kHealingStep;
      next.healing = {};
      rows_sent_ += next.chunk.rows;
      strike(next.first_row, next.chunk.rows);
      if (auto sent = submit(next); !sent) return sent;
      ++submitted_;
    }
    // An interrupt ends standard input, perhaps inside a line: that is no fault of the data.
    if (!read) return interrupted() ? Result<void>{} : read;
    if (next.chunk.rows == 0) break;
  }
  return {};
}

Result<void> Pipeline::finish() {
  while (retired_ < submitted_) {
    if (auto retired = retire_oldest(); !retired) return retired;
  }
  for (const Drill& drill : options_.drills) {
    say("warning: the drill on '{}' never struck: its row was not reached\n", drill.member);
  }
  return {};
}

Result<void> Pipeline::submit(Job& job) {
  job.done = false;
  const MatrixView x{job.chunk.features.data(), job.chunk.rows, ensemble_.config().features};
  for (;;) {
    auto accepted = ensemble_.predict_async(x, [this, &job](Result<void> outcome, Prediction prediction) {
      const std::scoped_lock lock(mutex_);
      job.outcome = std::move(outcome);
      job.prediction = std::move(prediction);
      job.done = true;
      done_.notify_one();
    });
    if (accepted) return {};
    if (accepted.error().code != Errc::overloaded) {
      job.done = true;
      return accepted;
    }
    // Hung members hold the slots until they are killed.
    std::this_thread::sleep_for(kHealingStep);
  }
}

Result<void> Pipeline::retire_oldest() {
  Job& oldest = job(retired_);
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [&] { return oldest.done; });
    }
    if (oldest.outcome || oldest.outcome.error().code != Errc::too_few_votes) break;
    if (!may_heal(oldest.prediction) || !wait_to_heal(oldest)) break;
    if (auto sent = submit(oldest); !sent) return sent;
  }
  const bool answered = oldest.outcome.has_value();
  if (!answered && oldest.outcome.error().code != Errc::too_few_votes) return oldest.outcome;
  ++retired_;
  adapt(oldest);
  statistics_.add(oldest.prediction, answered, oldest.first_row, oldest.chunk.targets);
  if (auto written = write(oldest, answered); !written) return written;
  on_progress_(oldest.first_row + oldest.chunk.rows);
  return {};
}

Result<void> Pipeline::write(const Job& job, bool answered) {
  if (sink_ == nullptr) return {};
  const Prediction& prediction = job.prediction;
  const auto missing = missing_votes(prediction);
  AnswerRows rows{.first_row = job.first_row,
                  .rows = prediction.rows,
                  .answer = prediction.answer(),
                  .spread = prediction.spread,
                  .disagreement = prediction.disagreement,
                  .votes = prediction.voted,
                  .missing = missing,
                  .isolation = name_of(prediction.isolation)};
  if (!answered) {
    unanswered_.assign(std::size_t{prediction.rows} * prediction.outputs,
                       std::numeric_limits<float>::quiet_NaN());
    rows.answer = unanswered_;
    rows.spread = std::span(unanswered_).first(prediction.rows);
    rows.disagreement = rows.spread;
  }
  return sink_->write(rows);
}

// Drills whose row is in this request strike before it is sent.
void Pipeline::strike(std::uint64_t first_row, std::uint32_t rows) {
  std::erase_if(options_.drills, [&](const Drill& drill) {
    const double total = static_cast<double>(options_.rows_total.value_or(0));
    const auto row = drill.share >= 0 ? static_cast<std::uint64_t>(drill.share * total) : drill.row;
    if (row >= first_row + rows) return false;
    if (auto struck = ensemble_.kill_worker(drill.member); !struck) complain(struck.error());
    return true;
  });
}

// Towards requests that take an eighth of the deadline.
void Pipeline::adapt(const Job& job) {
  if (options_.batch != 0 || job.prediction.rows < rows_ || !job.outcome) return;
  Duration slowest{};
  for (const Vote& vote : job.prediction.votes) slowest = std::max(slowest, vote.latency);
  const Duration deadline = ensemble_.config().answer.deadline;
  if (slowest < deadline / 8) rows_ = std::min(rows_ * 2, ensemble_.config().limits.rows);
  if (slowest > deadline / 4) rows_ = std::max(rows_ / 2, 1U);
}

// Waits a little longer each time, and no longer than kHealingMax over all attempts of a request: members
// come back after a restart, or when a stall of the machine is over.
bool Pipeline::wait_to_heal(Job& job) {
  if (job.healing >= kHealingMax) return false;
  std::this_thread::sleep_for(job.healing_step);
  job.healing += job.healing_step;
  job.healing_step = std::min<Duration>(job.healing_step * 2, kHealingStepMax);
  return true;
}

}  // namespace tutti::cli
