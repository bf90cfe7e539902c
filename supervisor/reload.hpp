// Replacing all members of an ensemble by new ones, without a pause: what a reload and a promotion share.
//
//   launch beside the old ── golden request ── one swap ── the old answer what is in flight, and end
//          └── fails ── refused ──▶ the old ones go on as if nothing had been
#pragma once

#include "shared/error.hpp"
#include "supervisor/generations.hpp"
#include "supervisor/tutti.hpp"

namespace tutti {

/// "\n  boosted: its last error" for each member for which `missing` holds.
template <class Missing>
std::string causes_of(const EnsembleStatus& status, Missing missing) {
  std::string causes;
  for (const MemberStatus& member : status.members) {
    if (missing(member)) causes += "\n  " + std::string(member.name) + ": " + member.last_error;
  }
  return causes;
}

/// The file that a config came from, or its name.
const std::string& place_of(const EnsembleConfig& config);

/// Ensemble::reload() says what is done and what can go wrong. The caller holds generations.reloading().
Result<void> replace_members(Generations& generations, EnsembleConfig config, const LaunchOptions& options,
                             Replacement what);

}  // namespace tutti
