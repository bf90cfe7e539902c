#include "supervisor/stress/journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti::stress {
namespace {

constexpr std::size_t kSlices = 240;
constexpr std::size_t kProblemsKept = 20;
constexpr std::size_t kOvershootsKept = 65'536;  // of one fault
constexpr std::uint64_t kVotesOfAStretch = 200;  // fewer say nothing of a 99th percentile

}  // namespace

Journal::Journal(Time begun, Duration length, Duration deadline, std::size_t members, std::size_t faults)
    : begun_(begun),
      slice_(std::max<Duration>(length / kSlices, std::chrono::milliseconds(1))),
      deadline_(deadline),
      standings_(members),
      tallies_(faults + 1),
      timeline_(kSlices) {}

// ---- load ----

Ticket Journal::send(std::size_t input, bool changed) {
  const std::lock_guard lock(mutex_);
  ++counts_.sent;
  const Ticket ticket{.sent = monotonic_now(), .fault = fault_, .input = input, .changed = changed};
  ++tallies_[std::min<std::size_t>(ticket.fault, tallies_.size() - 1)].open;
  return ticket;
}

void Journal::refused(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  ++counts_.refused;
  --tallies_[std::min<std::size_t>(ticket.fault, tallies_.size() - 1)].open;
}

void Journal::answered(const Ticket& ticket, const Result<void>& outcome, const Prediction& prediction,
                       const std::string& wrong) {
  const Time now = monotonic_now();
  const Duration latency = now - ticket.sent;
  const std::lock_guard lock(mutex_);
  if (!closed_) --tallies_[std::min<std::size_t>(ticket.fault, tallies_.size() - 1)].open;
  Slice& slice = slice_at(now);
  slice.latency.add(latency);
  answers_.add(latency);
  if (latency > deadline_ + kAnswerSlack) {
    ++counts_.effects.late;
    ++effects_of(ticket).late;
    ++slice.bad;
    problem(now, "an answer came long after its deadline");
  }
  if (outcome) {
    ++counts_.answered;
  } else if (outcome.error().code == Errc::too_few_votes) {
    ++counts_.unanswered;
    ++slice.bad;
  } else {
    ++counts_.effects.failed;
    ++effects_of(ticket).failed;
    ++slice.bad;
    problem(now, describe(outcome.error()));
  }
  if (!wrong.empty()) {
    ++counts_.effects.wrong;
    ++effects_of(ticket).wrong;
    ++slice.bad;
    problem(now, wrong);
  }
  if (prediction.degraded()) ++slice.without;
  note_votes(ticket, now, latency, prediction);
}

void Journal::note_votes(const Ticket& ticket, Time now, Duration latency, const Prediction& prediction) {
  const std::uint32_t fault = fault_of(ticket);
  for (std::uint32_t member = 0; member < prediction.votes.size(); ++member) {
    const Vote& vote = prediction.votes[member];
    Standing& standing = standings_[member];
    const bool bystander = !standing.struck && ticket.sent >= standing.bystander_from;
    if (vote.voted()) {
      if (bystander) (fault != kNone ? tallies_[fault].bystanders : stretch_).add(vote.latency);
      if (standing.watched_from && ticket.sent >= *standing.watched_from && !standing.seen_again)
        standing.seen_again = now;
      if (standing.returns_by_vote) standing = {.bystander_from = now, .watched_from = {}, .seen_again = now};
    } else if (bystander) {
      ++counts_.effects.bystander_misses;
      ++effects_of(ticket).bystander_misses;
      problem(now, fmt::format("{} was no target and missed a vote: {}", vote.member, describe(vote.fate)));
    } else if (fault != kNone && latency >= deadline_ && tallies_[fault].overshoot.size() < kOvershootsKept) {
      tallies_[fault].overshoot.push_back(latency - deadline_);
    }
  }
}

void Journal::twice(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  ++counts_.effects.twice;
  ++effects_of(ticket).twice;
  problem(monotonic_now(), "a request was answered twice");
}

void Journal::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  end_quiet(kNone);
  for (Tally& tally : tallies_) {
    tally.effects.lost = std::exchange(tally.open, 0);
    counts_.effects.lost += tally.effects.lost;
  }
  if (counts_.effects.lost > 0)
    problem(monotonic_now(), fmt::format("{} requests were never answered", counts_.effects.lost));
}

// ---- whoever strikes ----

void Journal::open_window(std::uint32_t fault) {
  const std::lock_guard lock(mutex_);
  end_quiet(fault);
  fault_ = fault;
}

void Journal::close_window() {
  const std::lock_guard lock(mutex_);
  last_fault_ = std::exchange(fault_, kNone);
}

// A quiet stretch lies between two windows, and both are compared with it.
void Journal::end_quiet(std::uint32_t next) {
  if (stretch_.total() >= kVotesOfAStretch) quiet_p99s_.push_back(stretch_.quantile(0.99));
  if (last_fault_ != kNone) tallies_[last_fault_].quiet.add(stretch_);
  if (next != kNone && next != last_fault_) tallies_[next].quiet.add(stretch_);
  quiet_.add(stretch_);
  stretch_ = {};
}

void Journal::strike(std::uint32_t member) {
  const std::lock_guard lock(mutex_);
  standings_[member] = {.struck = true, .watched_from = {}, .seen_again = {}};
}

void Journal::stand_by(std::uint32_t member, Time from) {
  const std::lock_guard lock(mutex_);
  standings_[member].struck = false;
  standings_[member].bystander_from = from;
}

void Journal::stand_by_when_voting(std::uint32_t member) {
  const std::lock_guard lock(mutex_);
  standings_[member].returns_by_vote = true;
}

void Journal::watch_for(std::uint32_t member, Time from) {
  const std::lock_guard lock(mutex_);
  standings_[member].watched_from = from;
  standings_[member].seen_again.reset();
}

std::optional<Time> Journal::seen_again(std::uint32_t member) const {
  const std::lock_guard lock(mutex_);
  return standings_[member].seen_again;
}

// ---- after the run ----

void Slice::add(const Slice& other) {
  latency.add(other.latency);
  without += other.without;
  bad += other.bad;
}

std::vector<Slice> Journal::timeline() const {
  const std::lock_guard lock(mutex_);
  return {timeline_.begin(), timeline_.begin() + static_cast<std::ptrdiff_t>(used_)};
}

Counts Journal::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

Duration Journal::quiet_p99_bound() const {
  const std::lock_guard lock(mutex_);
  if (quiet_p99s_.empty()) return {};
  std::vector<Duration> sorted = quiet_p99s_;
  std::ranges::sort(sorted);
  return sorted[(sorted.size() - 1) * 95 / 100];
}

Effects& Journal::effects_of(const Ticket& ticket) {
  return tallies_[std::min<std::size_t>(fault_of(ticket), tallies_.size() - 1)].effects;
}

void Journal::problem(Time now, const std::string& text) {
  const auto same = std::ranges::find(problems_, text, &Problem::text);
  if (same != problems_.end()) {
    ++same->times;
  } else if (problems_.size() < kProblemsKept) {
    problems_.push_back({.first = now - begun_, .text = text});
  }
}

// A run that takes longer than was thought makes each slice twice as long.
Slice& Journal::slice_at(Time now) {
  const Duration at = std::max(now - begun_, Duration::zero());
  while (at >= slice_ * static_cast<std::int64_t>(kSlices)) {
    slice_ *= 2;
    for (std::size_t i = 0; i < kSlices; ++i) {
      Slice merged = i < kSlices / 2 ? timeline_[2 * i] : Slice();
      if (i < kSlices / 2) merged.add(timeline_[2 * i + 1]);
      timeline_[i] = merged;
    }
  }
  used_ = std::max(used_, static_cast<std::size_t>(at / slice_) + 1);
  return timeline_[static_cast<std::size_t>(at / slice_)];
}

}  // namespace tutti::stress
