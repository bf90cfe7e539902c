#include "supervisor/core/vote.hpp"

#include <fmt/format.h>

#include <cstring>

#include "shared/system_call.hpp"

namespace tutti {

std::string_view name_of(VoteState state) noexcept {
  switch (state) {
    case VoteState::pending:
      return "pending";
    case VoteState::voted:
      return "voted";
    case VoteState::late:
      return "late";
    case VoteState::crashed:
      return "crashed";
    case VoteState::exited:
      return "exited";
    case VoteState::hung:
      return "hung";
    case VoteState::rejected:
      return "rejected";
    case VoteState::failed:
      return "failed";
    case VoteState::protocol_violation:
      return "protocol_violation";
    case VoteState::not_ready:
      return "not_ready";
    case VoteState::start_failed:
      return "start_failed";
    case VoteState::start_timeout:
      return "start_timeout";
    case VoteState::out_of_memory:
      return "out_of_memory";
    case VoteState::escape_attempt:
      return "escape_attempt";
    case VoteState::quarantined:
      return "quarantined";
    case VoteState::ejected:
      return "ejected";
  }
  return "unknown";
}

std::string signal_name(int number) {
  const char* name = ::sigabbrev_np(number);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
}

std::string describe(const VoteFate& fate) {
  switch (fate.state) {
    case VoteState::crashed:
      return "crashed: " + signal_name(fate.detail);
    case VoteState::exited:
      return fmt::format("exited: status {}", fate.detail);
    case VoteState::rejected:
      return fate.detail == static_cast<std::int32_t>(Rejection::not_valid) ? "rejected: not a valid number"
                                                                            : "rejected: wrong shape";
    case VoteState::protocol_violation:
      return "protocol violation";
    case VoteState::not_ready:
      return "not ready";
    case VoteState::start_failed:
      return fate.detail > 0 ? fmt::format("start failed: exit status {}", fate.detail) : "start failed";
    case VoteState::start_timeout:
      return "start timeout";
    case VoteState::out_of_memory:
      return "out of memory";
    case VoteState::escape_attempt:
      return fate.detail >= 0 ? fmt::format("escape attempt: {}", system_call_name(fate.detail))
                              : "escape attempt";
    case VoteState::quarantined:
      return fate.detail > 0 ? fmt::format("quarantined: row {} has killed it", fate.detail - 1)
                             : "quarantined";
    default:
      return std::string(name_of(fate.state));
  }
}

}  // namespace tutti
