#include "supervisor/stress/journal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti::stress {
namespace {

constexpr std::size_t kSlices = 240;
constexpr std::size_t kProblemsKept = 20;
constexpr std::size_t kOvershootsKept = 4096;  // of one window

}  // namespace

Journal::Journal(Time begun, Duration length, Duration deadline)
    : begun_(begun),
      slice_(std::max<Duration>(length / kSlices, std::chrono::milliseconds(1))),
      deadline_(deadline),
      timeline_(kSlices) {}

Ticket Journal::send(std::size_t input, bool changed) {
  const std::lock_guard lock(mutex_);
  ++counts_.sent;
  return {.sent = monotonic_now(), .target = target_, .input = input, .changed = changed};
}

void Journal::refused() {
  const std::lock_guard lock(mutex_);
  ++counts_.refused;
}

void Journal::answered(const Ticket& ticket, const Result<void>& outcome, const Prediction& prediction,
                       const std::string& wrong) {
  const Time now = monotonic_now();
  const Duration latency = now - ticket.sent;
  const std::lock_guard lock(mutex_);
  Slice& slice = slice_at(now);
  slice.latency.add(latency);
  answers_.add(latency);
  if (latency > deadline_ + kAnswerSlack) {
    ++counts_.late;
    ++slice.bad;
    problem(now, "an answer came long after its deadline");
  }
  if (!outcome) {
    ++(outcome.error().code == Errc::too_few_votes ? counts_.unanswered : counts_.failed);
    ++slice.bad;
    problem(now, describe(outcome.error()));
  } else {
    ++counts_.answered;
  }
  if (!wrong.empty()) {
    ++counts_.wrong;
    ++slice.bad;
    problem(now, wrong);
  }
  if (prediction.degraded()) ++slice.without;
  note_votes(ticket, now, latency, prediction);
}

void Journal::note_votes(const Ticket& ticket, Time now, Duration latency, const Prediction& prediction) {
  for (std::uint32_t member = 0; member < prediction.votes.size(); ++member) {
    const Vote& vote = prediction.votes[member];
    // Sent before the strike or answered after its end: either way the struck member is no bystander.
    // One that was not healed stays so until it votes again.
    const bool struck = member == ticket.target || member == target_ || member == unhealed_;
    if (vote.voted()) {
      if (!struck) (window_open_ ? windows_.back().bystanders : quiet_).add(vote.latency);
      if (member == unhealed_ && !window_open_) unhealed_ = kNobody;
      if (member == watched_ && ticket.sent >= watched_since_ && !seen_again_) seen_again_ = now;
      continue;
    }
    if (!struck) {
      ++counts_.bystander_misses;
      if (!windows_.empty()) ++windows_.back().bystander_misses;
      problem(now, fmt::format("{} was no target and missed a vote: {}", vote.member, describe(vote.fate)));
    } else if (window_open_ && latency >= deadline_ && windows_.back().overshoot.size() < kOvershootsKept) {
      windows_.back().overshoot.push_back(latency - deadline_);
    }
  }
}

void Journal::lost(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  counts_.lost += count;
  if (count > 0) problem(monotonic_now(), fmt::format("{} requests were never answered", count));
}

void Journal::twice() {
  const std::lock_guard lock(mutex_);
  ++counts_.twice;
  problem(monotonic_now(), "a request was answered twice");
}

std::size_t Journal::open_window(std::uint32_t target) {
  const std::lock_guard lock(mutex_);
  windows_.push_back({.target = target, .opened = monotonic_now(), .overshoot = {}});
  window_open_ = true;
  target_ = target;
  return windows_.size() - 1;
}

void Journal::close_window(bool healed) {
  const std::lock_guard lock(mutex_);
  window_open_ = false;
  if (!healed) unhealed_ = target_;
  target_ = kNobody;
}

void Journal::watch_for(std::uint32_t member) {
  const std::lock_guard lock(mutex_);
  watched_ = member;
  watched_since_ = monotonic_now();
  seen_again_.reset();
}

std::optional<Time> Journal::seen_again() const {
  const std::lock_guard lock(mutex_);
  return seen_again_;
}

Counts Journal::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Journal::problem(Time now, const std::string& text) {
  const auto same = std::ranges::find(problems_, text, &Problem::text);
  if (same != problems_.end()) {
    ++same->times;
  } else if (problems_.size() < kProblemsKept) {
    problems_.push_back({.first = now - begun_, .text = text});
  }
}

Slice& Journal::slice_at(Time now) {
  const auto index = static_cast<std::size_t>(std::max<std::int64_t>((now - begun_) / slice_, 0));
  return timeline_[std::min(index, timeline_.size() - 1)];
}

}  // namespace tutti::stress
