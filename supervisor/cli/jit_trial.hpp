// What becomes of an ensemble's models in each tier, tried here: for `tutti jit` when the ensemble does not
// run.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "shared/error.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/status.hpp"

namespace tutti::cli {

/// What a row took at one batch size in each tier, in nanoseconds; nothing where the tier was not reached.
struct BatchTimes {
  std::uint32_t rows = 0;
  std::array<std::optional<double>, kTierCount> ns_per_row{};
};

/// What a member's model said of its tiers; an error: it could not be tried.
struct TriedMember {
  std::string name;
  Result<TierStatus> tiers;
  std::vector<BatchTimes> batches;
};

/// Loads each member's model by itself, in a caged worker as a launch would, once for each tier that its
/// config allows, and asks it for rows at several batch sizes. The tiers' uses are those of each trial, all
/// else is of the last one: how far it comes at most. Takes a few seconds in all, or what the loading
/// takes. Ends early when interrupted.
std::vector<TriedMember> try_tiers(const EnsembleConfig& config, const std::atomic<int>& interrupted);

}  // namespace tutti::cli
