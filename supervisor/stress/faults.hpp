// The faults that `tutti stress` knows: what each does, to whom, and what must come of it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti::stress {

struct Fault {
  std::string_view name;
  std::string_view help;
  enum class Means : std::uint8_t {
    signal,    // sent from outside to a worker of each member named; `code` is its number
    stand_in,  // asked of a hostile member that the stress run adds; `code` is a hostile_behaviour
  } means = Means::signal;
  int code = 0;
  enum class Outcome : std::uint8_t {
    dies,    // the isolate ends, is named with a cause, and is replaced
    misses,  // it may live, but has no vote in that answer
    unseen,  // nothing needs to be seen of it
  } outcome = Outcome::dies;
  bool hangs = false;  // it is seen by silence: answers come without it at their deadline
};

std::span<const Fault> all_faults();

/// "kill,segv", "all". Errors: bad_usage (a name that is unknown, with a suggestion).
Result<std::vector<Fault>> parse_faults(std::string_view text);

}  // namespace tutti::stress
