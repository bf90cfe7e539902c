#include "supervisor/core/breaker.hpp"

#include <algorithm>

#include "supervisor/core/seeded_bug.hpp"

namespace tutti {
namespace {

constexpr std::uint32_t kFailuresInARow = 5;
constexpr std::uint32_t kVotesMin = 20;
constexpr Duration kOpenMin = std::chrono::seconds(1);
constexpr Duration kOpenMax = std::chrono::seconds(60);
// Outside the band for this long, and on so many votes, is no accident.
constexpr Duration kOutsideMin = std::chrono::seconds(10);
constexpr std::uint32_t kOutsideVotesMin = 20;

std::int64_t second_of(Time now) noexcept {
  return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
}

}  // namespace

bool Breaker::admits(Time now) const noexcept {
  if (!open_) return true;
  return now >= until_ && (!probe_ || has_bug(3));
}

void Breaker::asked(std::uint32_t slot) noexcept {
  if (open_) probe_ = slot;
}

bool Breaker::settled(std::uint32_t slot, Outcome outcome, Time now) noexcept {
  if (!open_) {
    if (outcome == Outcome::good) return count(true, now);
    return outcome == Outcome::bad && count(false, now);
  }
  // Answers to what was asked before it opened say nothing new.
  if (probe_ != slot) return false;
  probe_.reset();
  if (outcome == Outcome::good) close();
  if (outcome == Outcome::bad || outcome == Outcome::lost) trip(now, trips_++);
  return false;
}

bool Breaker::died(Time now) noexcept { return !open_ && count(false, now); }

bool Breaker::count(bool good, Time now) noexcept {
  if (!counts_failures_) return false;
  const std::int64_t number = second_of(now);
  Second& second = seconds_[static_cast<std::size_t>(number) % seconds_.size()];
  if (second.number != number) second = {.number = number};
  ++(good ? second.good : second.bad);
  failures_in_a_row_ = good ? 0 : failures_in_a_row_ + 1;
  if (good) return false;
  std::uint32_t votes = 0;
  std::uint32_t bad = 0;
  for (const Second& recent : seconds_) {
    if (recent.number <= number - static_cast<std::int64_t>(seconds_.size())) continue;
    votes += recent.good + recent.bad;
    bad += recent.bad;
  }
  const bool too_many = votes >= kVotesMin && 2 * bad >= votes;
  if (failures_in_a_row_ < kFailuresInARow && !too_many) return false;
  if (has_bug(4)) return false;
  trip(now, trips_++);
  return true;
}

bool Breaker::judged(bool outside, Time now) noexcept {
  if (!outside) {
    outside_since_.reset();
    outside_votes_ = 0;
    band_trips_ = 0;
    return false;
  }
  if (!outside_since_) outside_since_ = now;
  ++outside_votes_;
  // One that was ejected before and is still outside goes at once.
  const bool long_enough = now - *outside_since_ >= kOutsideMin && outside_votes_ >= kOutsideVotesMin;
  if (open_ || (band_trips_ == 0 && !long_enough)) return false;
  trip(now, band_trips_++);
  return true;
}

void Breaker::trip(Time now, std::uint32_t times) noexcept {
  Duration open_for = kOpenMin;
  for (; times > 0 && open_for < kOpenMax; --times) open_for *= 2;
  open_ = true;
  until_ = now + std::min(open_for, has_bug(5) ? 64 * kOpenMax : kOpenMax);
  probe_.reset();
}

void Breaker::close() noexcept {
  open_ = false;
  trips_ = 0;
  failures_in_a_row_ = 0;
  seconds_ = {};
}

}  // namespace tutti
