// The life of one isolate, as far as it can be known without looking: events and the time go in, what to do
// comes out.
//
//   Waiting ──tick──▶ Starting ──hello──▶ Ready
//      ▲                 │                  │      exit, start timeout, hang, protocol violation
//      │                 ▼                  ▼
//      └──── gone ──── Dying ◀──────────────┘
//
// Waiting owns no process; the others do. Dying means that the kill was sent and the death not yet seen:
// whatever the process does until then still belongs to its old generation.
// Restarts wait a random time that doubles with each failure (full jitter: Brooker, "Exponential backoff and
// jitter", 2015), the first one after a long life comes at once, and beyond the budget restarts go on for
// ever but slowly. The cause counts: a start that failed is tried again slowly, a liar is not unlucky and is
// probed slowly after `violations` lies, and a death that an input is to blame for is not charged.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <variant>

#include "supervisor/config/config.hpp"
#include "supervisor/core/random.hpp"
#include "supervisor/core/time.hpp"
#include "supervisor/core/vote.hpp"

namespace tutti {

struct Waiting {
  Time until;
};
struct Starting {
  Time hello_deadline;
};
struct Ready {
  Time since;
};
struct Dying {
  VoteFate cause;
  std::optional<Time> ready_since;
};
using IsolateState = std::variant<Waiting, Starting, Ready, Dying>;

/// What the life asks for after an event.
enum class IsolateWish : std::uint8_t { nothing, spawn, kill };

class IsolateLife {
 public:
  explicit IsolateLife(const RestartConfig& restart) noexcept : restart_(restart) {}

  /// Time passed: a Waiting isolate whose time has come wishes to spawn, a Starting one that is overdue to be
  /// killed. After `spawn` the isolate is Starting with the next generation.
  IsolateWish tick(Time now);
  /// The worker said that it is ready.
  void hello(Time now);
  /// The worker must end: it is hung, lied, or could not load its model.
  IsolateWish condemn(VoteFate cause);
  /// The process is gone, with the cause seen by whoever reaped it. Returns the cause that counts: what it
  /// was condemned for, else what was seen.
  /// Not `charged`: it is no fault of the isolate's, which is started again at once.
  VoteFate gone(VoteFate seen, Time now, Random& random, bool charged = true);
  /// The cause that gone(seen) would return.
  [[nodiscard]] VoteFate cause_of(VoteFate seen) const noexcept;
  /// The spawn failed: there is no process.
  void spawn_failed(Time now, Random& random) { plan_restart(VoteState::start_failed, now, random); }
  /// The spawn failed for want of a template, which is no fault of the isolate's: it waits for the next one.
  void spawn_postponed(Time now) {
    --starts_;
    state_ = Waiting{now};
  }

  /// The supervisor itself was late by so much: a start gets that time back.
  void extend(Duration lag) noexcept;

  [[nodiscard]] const IsolateState& state() const noexcept { return state_; }
  [[nodiscard]] bool ready() const noexcept { return std::holds_alternative<Ready>(state_); }
  [[nodiscard]] bool has_process() const noexcept { return !std::holds_alternative<Waiting>(state_); }
  /// Counts incarnations from 1, in 16 bits, never 0.
  [[nodiscard]] std::uint16_t generation() const noexcept { return generation_; }
  [[nodiscard]] std::uint32_t restarts() const noexcept { return starts_ > 0 ? starts_ - 1 : 0; }
  /// True once the first start has ended, well or badly.
  [[nodiscard]] bool tried() const noexcept { return tried_; }
  /// True if the next start is a restart.
  [[nodiscard]] bool was_started() const noexcept { return starts_ > 0; }
  /// When tick() has something to do.
  [[nodiscard]] Time wake_at() const noexcept;

 private:
  void plan_restart(VoteState cause, Time now, Random& random);

  RestartConfig restart_;
  IsolateState state_ = Waiting{Time{}};
  std::uint16_t generation_ = 0;
  std::uint32_t starts_ = 0;
  std::uint32_t failures_ = 0;  // in a row, without a long life between them
  std::uint32_t probes_ = 0;    // slow restarts since the budget was used up
  std::uint32_t violations_ = 0;
  std::deque<Time> recent_failures_;  // within the window, at most budget + 1 kept
  bool tried_ = false;
};

}  // namespace tutti
