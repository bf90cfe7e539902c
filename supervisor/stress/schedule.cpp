#include "supervisor/stress/schedule.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tutti::stress {
namespace {

using namespace std::chrono_literals;

constexpr Pace kFull{.window = 500ms, .quiet = 400ms};
constexpr Pace kLeast{.window = 150ms, .quiet = 150ms};
constexpr Duration kFirstQuietLeast = 300ms;
constexpr Duration kFirstQuietMost = 5s;
constexpr Duration kHeal = 150ms;  // what a restart takes, about; more only makes the run longer

Duration sum(const Pace& pace) { return pace.window + pace.quiet; }

}  // namespace

Schedule::Schedule(std::vector<Fault> faults, const std::vector<std::string>& members,
                   const std::string& stand_in, const AnswerConfig& answer, Duration length,
                   std::uint64_t seed)
    : faults_(std::move(faults)),
      answer_(answer),
      random_(seed),
      first_quiet_(std::clamp(length / 10, kFirstQuietLeast, kFirstQuietMost)) {
  Duration strikes{};
  for (const Fault& fault : faults_) strikes += sum(kLeast) + unhurried(fault);
  // A tenth of the whole is quiet first, within bounds.
  needed_ = std::clamp(strikes * 10 / 9 + 1us, strikes + kFirstQuietLeast, strikes + kFirstQuietMost);
  fit(length);
  plan_rounds(members, stand_in);
  set_pace(length);
}

// What no pace changes.
Duration Schedule::unhurried(const Fault& fault) const {
  return kHeal + (fault.hangs ? answer_.deadline + answer_.grace : Duration::zero());
}

Duration Schedule::cost(const Target& target) const { return sum(pace_) + unhurried(faults_[target.fault]); }

// Those named first have the first claim on the time.
void Schedule::fit(Duration length) {
  Duration left = length - first_quiet_;
  std::erase_if(faults_, [&](const Fault& fault) {
    const Duration least = sum(kLeast) + unhurried(fault);
    if (least > left) {
      left_out_.emplace_back(fault.name);
      return true;
    }
    left -= least;
    return false;
  });
}

// As slow as lets every pair be struck; if that cannot be, every fault.
void Schedule::set_pace(Duration length) {
  const Duration available = length - first_quiet_;
  const auto share_for = [&](const std::vector<Target>& targets, std::size_t count) {
    Duration fixed{};
    for (std::size_t i = 0; i < count; ++i) fixed += unhurried(faults_[targets[i].fault]) + sum(kLeast);
    const Duration more = (sum(kFull) - sum(kLeast)) * static_cast<std::int64_t>(count);
    if (more <= Duration::zero()) return 1.0;
    return std::chrono::duration<double>(available - fixed) / std::chrono::duration<double>(more);
  };
  double share = share_for(order_, order_.size());
  if (share < 0) share = share_for(order_, faults_.size());
  share = std::clamp(share, 0.0, 1.0);
  const auto between = [&](Duration least, Duration full) {
    return least + std::chrono::duration_cast<Duration>((full - least) * share);
  };
  pace_ = {.window = between(kLeast.window, kFull.window), .quiet = between(kLeast.quiet, kFull.quiet)};
}

void Schedule::plan_rounds(const std::vector<std::string>& members, const std::string& stand_in) {
  std::vector<Target> others;
  for (std::size_t fault = 0; fault < faults_.size(); ++fault) {
    const bool commanded = faults_[fault].means == Fault::Means::stand_in;
    const std::size_t first = commanded ? 0 : random_() % members.size();
    for (std::size_t i = 0; i < (commanded ? 1 : members.size()); ++i) {
      const Target target{fault, commanded ? stand_in : members[i]};
      targets_.push_back(target);
      (i == first ? order_ : others).push_back(target);
    }
  }
  std::ranges::shuffle(order_, random_);
  std::ranges::shuffle(others, random_);
  order_.insert(order_.end(), others.begin(), others.end());
}

Target Schedule::next() {
  if (at_ == order_.size()) {
    order_ = targets_;
    std::ranges::shuffle(order_, random_);
    at_ = 0;
  }
  ++taken_;
  return order_[at_++];
}

}  // namespace tutti::stress
