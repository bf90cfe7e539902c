// What a launch of a config would take, computed from the same layouts that the launch uses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/channel.hpp"
#include "supervisor/config/config.hpp"

namespace tutti {

/// Request slots of an ensemble: twice what may be in flight, since an overdue isolate can hold some
/// (core.hpp).
constexpr std::uint32_t slots_of(const EnsembleConfig& config) noexcept {
  return 2 * config.limits.in_flight;
}

/// The shape of every channel of an ensemble.
inline ChannelShape channel_shape(const EnsembleConfig& config) noexcept {
  return {.lines = slots_of(config), .rows_max = config.limits.rows, .outputs = config.outputs()};
}

/// Bytes of one input slot: f32 [limits.rows][features], a multiple of the cache line.
constexpr std::size_t input_slot_bytes(const EnsembleConfig& config) noexcept {
  return ChannelShape::round_up(std::size_t{config.limits.rows} * config.features * sizeof(float),
                                kCacheLine);
}
constexpr std::size_t input_bytes(const EnsembleConfig& config) noexcept {
  return ChannelShape::round_up(input_slot_bytes(config) * slots_of(config), kPage);
}

/// How long a side that waits looks before it sleeps, and whether it gives its core away between looks: it
/// does when there are as many isolates as cores, or more.
struct SpinPlan {
  Duration spin{};
  bool yields = false;
};
SpinPlan spin_plan(const EnsembleConfig& config);

/// Private memory that one isolate may have, in bytes: where the config does not say, half of the machine's,
/// so that no member can take all.
std::uint64_t memory_of(const IsolationConfig& isolation) noexcept;
/// True if the config limits processor time, which only a control group can do.
constexpr bool limits_cpu(const IsolationConfig& isolation) noexcept {
  return isolation.cpu_cores || isolation.cpu_share;
}

/// Isolates of all members.
std::uint32_t isolates_of(const EnsembleConfig& config) noexcept;
/// Cores that this process may use.
std::uint32_t cores_available() noexcept;

}  // namespace tutti
