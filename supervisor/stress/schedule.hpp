// What is struck when: as much as fits the time given, and first of all each fault once.
//
//   quiet │ each fault once, of a member each │ quiet … │ the other pairs of fault and member │ again, in
//   turn
//
// A strike takes its window and the quiet after it, both longer where there is time, and what cannot be
// hurried: a hang is seen at the deadline and ended after the grace time. A fault whose first strike does not
// fit is left out, and told before the run rather than after it.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "supervisor/config/config.hpp"
#include "supervisor/stress/faults.hpp"

namespace tutti::stress {

struct Target {
  std::size_t fault = 0;
  std::string member;
};

/// How long a strike's effect on others is measured at least, and how long nothing is struck after it.
struct Pace {
  Duration window{};
  Duration quiet{};
};

class Schedule {
 public:
  /// members    struck from outside
  /// stand_in   struck by commands; "" where no fault needs it
  /// length     of the run, the quiet stretch before the first strike included
  Schedule(std::vector<Fault> faults, const std::vector<std::string>& members, const std::string& stand_in,
           const AnswerConfig& answer, Duration length, std::uint64_t seed);

  /// Those that fit.
  [[nodiscard]] const std::vector<Fault>& faults() const noexcept { return faults_; }
  [[nodiscard]] const std::vector<std::string>& left_out() const noexcept { return left_out_; }
  /// The length in which each fault strikes once.
  [[nodiscard]] Duration needed() const noexcept { return needed_; }
  [[nodiscard]] Duration first_quiet() const noexcept { return first_quiet_; }
  [[nodiscard]] Pace pace() const noexcept { return pace_; }

  /// The next target, in random order. Never ends.
  Target next();
  /// True while a fault has not struck at all: the run then goes on, over its time if it must.
  [[nodiscard]] bool incomplete() const noexcept { return taken_ < faults_.size(); }
  /// How long its strike will take, about.
  [[nodiscard]] Duration cost(const Target& target) const;

 private:
  [[nodiscard]] Duration unhurried(const Fault& fault) const;
  void fit(Duration length);
  void set_pace(Duration length);
  void plan_rounds(const std::vector<std::string>& members, const std::string& stand_in);

  std::vector<Fault> faults_;
  AnswerConfig answer_;
  std::mt19937_64 random_;
  std::vector<std::string> left_out_;
  Duration needed_{};
  Duration first_quiet_{};
  Pace pace_;
  std::vector<Target> order_;    // of the round that is on
  std::vector<Target> targets_;  // every pair
  std::size_t at_ = 0;           // in order_
  std::size_t taken_ = 0;
};

}  // namespace tutti::stress
