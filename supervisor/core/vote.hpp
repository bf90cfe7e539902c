// What became of one member's vote on one request, and why a vote is missing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tutti {

enum class VoteState : std::uint8_t {
  pending,   // asked, not answered yet
  voted,     // counted
  late,      // no answer by the deadline; also: not asked, because it still works on an overdue request
  crashed,   // the isolate died by a signal; detail: the signal's number
  exited,    // the isolate ended by itself; detail: its exit status
  hung,      // killed after the grace time past its deadline
  rejected,  // answered, but with a wrong shape or a number that is not finite
  failed,    // the model said that it cannot answer this
  protocol_violation,  // the isolate wrote what no correct worker writes, and was killed
  not_ready,           // no isolate of the member was ready when the request came
  start_failed,        // the model could not be loaded, or the process could not be started
  start_timeout,       // the model was not loaded in time
  out_of_memory,       // the isolate was ended because of the memory it used
  escape_attempt,      // it made a system call that no model may make; detail: its number, -1 if unknown
  quarantined,  // this input has killed the member twice, or a row of it has: it is not asked again for a
                // while; detail: one more than the row's number, 0 for the input as a whole
  ejected,      // the member failed too often of late, or its answers leave the others' band
};

/// A vote's fate with its detail: the signal, the exit status, the system call.
struct VoteFate {
  VoteState state = VoteState::pending;
  std::int32_t detail = 0;

  bool operator==(const VoteFate&) const = default;
};

/// "voted", "late", "crashed", …: stable, for programs.
std::string_view name_of(VoteState state) noexcept;

/// The fate of a member that row `row` of the input is known to kill.
constexpr VoteFate quarantined_for_row(std::uint32_t row) noexcept {
  return {.state = VoteState::quarantined, .detail = static_cast<std::int32_t>(row) + 1};
}

/// For people: "crashed: SIGKILL", "exited: status 0", "late", "rejected: not a valid number",
/// "escape attempt: system call 42", "quarantined: row 17 has killed it" (rows count from 0).
std::string describe(const VoteFate& fate);

/// "SIGKILL", or "signal 70" for one without a name.
std::string signal_name(int number);

/// What a rejected answer was; the detail of VoteState::rejected.
enum class Rejection : std::int32_t {
  not_valid = 1,  // not finite, or no probability where one was asked for
  wrong_shape = 2,
};

}  // namespace tutti
