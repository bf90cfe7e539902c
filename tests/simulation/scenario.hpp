// What a seed stands for: an ensemble, what is done to it and when, and which faults its workers have.
//
// Everything that happens is decided by the seed and the number of the stimulus, never by the order in which
// things are decided. So one stimulus can be left out and the rest stays as it was: that is how a failure is
// made small.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "supervisor/config/config.hpp"
#include "supervisor/core/random.hpp"
#include "supervisor/core/time.hpp"

namespace tutti::simulation {

enum class Fault : std::uint8_t {
  crash_before_take,
  crash_computing,
  crash_before_publish,
  crash_after_publish,
  exits,
  out_of_memory,
  escape,
  hang,
  slow,
  lie,
  reject,
  refuse,
  poison,      // some rows kill
  sick,        // a member that rejects everything
  lost_bell,   // the answer is found by the next tick only
  slow_death,  // answers after the kill was sent, dies late
  idle_lie,    // breaks the protocol while it has nothing to do
  spawn_fails,
  load_fails,
  load_exits,
  load_hangs,
  late_hello,  // says hello after it was condemned
  operator_kill,
  template_crash,
  template_no_fork,
  astray,  // a member whose answers leave the others' band
  stall,   // the supervisor is away, workers go on
  pause,   // the whole machine is away
  count,
};
inline constexpr auto kFaults = static_cast<std::size_t>(Fault::count);
std::string_view name_of(Fault fault) noexcept;

struct Stimulus {
  enum class Kind : std::uint8_t { ask, kill, kill_template, idle_lie, stall, pause } kind = Kind::ask;
  std::uint32_t number = 0;
  Time at;
  std::uint32_t target = 0;  // isolate or member
  std::uint32_t input = 0;
  Duration length{};  // of the deadline, the stall or the pause
};

struct Scenario {
  std::uint64_t seed = 0;
  EnsembleConfig config;
  bool templates = false;
  std::array<bool, kFaults> faults{};
  double fault_rate = 0;  // of requests and of starts
  Duration answer_time{};
  std::vector<Stimulus> stimuli;  // in the order of time
  Time faults_end;
  std::vector<std::vector<std::uint32_t>> inputs;  // the rows of each

  [[nodiscard]] bool has(Fault fault) const { return faults[static_cast<std::size_t>(fault)]; }
  /// A generator of its own for one decision.
  [[nodiscard]] Random chance(std::uint64_t purpose, std::uint64_t a, std::uint64_t b = 0,
                              std::uint64_t c = 0) const;
  /// What an input consists of: rows by their number, one or more. Inputs share rows.
  [[nodiscard]] const std::vector<std::uint32_t>& rows_of(std::uint32_t input) const;
  [[nodiscard]] bool poisonous_row(std::uint32_t member, std::uint32_t row) const;
  [[nodiscard]] bool sick(std::uint32_t member, Time now) const;
  [[nodiscard]] bool astray(std::uint32_t member, Time now) const;
};

/// An input of one harmless row, for probes.
inline constexpr std::uint32_t kCleanInput = 1000;

inline constexpr Time kBegin{std::chrono::seconds(100'000)};

Scenario scenario_of(std::uint64_t seed);

/// True with the given probability.
inline bool happens(Random& random, double probability) {
  return static_cast<double>(random.next() >> 11U) * 0x1.0p-53 < probability;
}

}  // namespace tutti::simulation
