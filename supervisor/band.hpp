// How far each member's answers lie from the others': what a member that has gone astray is found by.
#pragma once

#include <span>

#include "supervisor/combine.hpp"

namespace tutti {

/// Votes that a median needs before anybody can be called astray.
inline constexpr std::size_t kBandVotesMin = 3;

/// The mean absolute distance of each member's part from the median of those who voted.
///
///   parts      f32 [models][rows][outputs], of those in `answered`
///   outputs    columns
///   distances  f64 [models]; written for those who voted
///   scratch    f32 [models]
///
/// False, and nothing is written, below kBandVotesMin votes. No allocation.
bool distances_from_median(const Parts& parts, std::uint32_t outputs, std::span<double> distances,
                           std::span<float> scratch);

}  // namespace tutti
