// The cage of a worker: what is asked of it, which walls hold, and what they stop.
//
//   CageRequest   supervisor → worker, with the start: the level wanted, the limits, the one model to be read
//   Wall          one measure of the kernel's that holds a worker, or does not on this machine
//   Threat        what a hostile model may try, and which walls stop it: any of a few sets is enough
//   level_of      full: every threat is stopped; partial: some; none: nothing but good faith
//
// Each wall is tried, never guessed from a version: containers, sysctls and security modules all take walls
// away. What a worker says of its walls it says before any model code ran in it; the supervisor looks from
// outside too.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace tutti {

enum class Wall : std::uint8_t {
  user_namespace,
  pid_namespace,
  net_namespace,
  ipc_namespace,
  mount_namespace,  // with a file system of its own: read-only, the runtime libraries and the model
  uts_namespace,
  own_uid,  // that no other member's processes have
  no_capabilities,
  no_new_privileges,
  not_dumpable,
  limits,  // descriptors, file size, core; memory and processes where the kernel can count them
  landlock_files,
  landlock_network,
  landlock_scope,  // signals and abstract sockets stay inside
  seccomp_load,    // while the model is loaded: nothing that a loader does not need
  seccomp_serve,   // while it answers: little beyond memory and waiting
  cgroup_memory,
  cgroup_processes,
  cgroup_cpu,
};
inline constexpr std::size_t kWallCount = 19;

/// A set of walls.
class Walls {
 public:
  constexpr Walls() = default;
  constexpr Walls(std::initializer_list<Wall> walls) {
    for (const Wall wall : walls) add(wall);
  }
  /// Bits that name no wall are dropped.
  static constexpr Walls from_bits(std::uint64_t bits) noexcept {
    Walls walls;
    walls.bits_ = bits & ((std::uint64_t{1} << kWallCount) - 1);
    return walls;
  }
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr void add(Wall wall) noexcept { bits_ |= bit(wall); }
  constexpr void remove(Wall wall) noexcept { bits_ &= ~bit(wall); }
  [[nodiscard]] constexpr bool has(Wall wall) const noexcept { return (bits_ & bit(wall)) != 0; }
  [[nodiscard]] constexpr bool has_all(Walls other) const noexcept {
    return (bits_ & other.bits_) == other.bits_;
  }
  [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr Walls operator|(Walls other) const noexcept { return from_bits(bits_ | other.bits_); }
  constexpr Walls without(Walls other) const noexcept { return from_bits(bits_ & ~other.bits_); }
  constexpr bool operator==(const Walls&) const = default;

 private:
  static constexpr std::uint64_t bit(Wall wall) noexcept {
    return std::uint64_t{1} << static_cast<unsigned>(wall);
  }
  std::uint64_t bits_ = 0;
};

/// For people and JSON: "pid_namespace".
std::string_view name_of(Wall wall) noexcept;
/// The wall of that name; nothing for any other text.
std::optional<Wall> wall_named(std::string_view name) noexcept;

/// "pid_namespace, own_uid"; "none" when there is none.
std::string names_of(Walls walls);

/// What a hostile model may try, and the sets of walls of which any one stops it.
struct Threat {
  std::string_view name;  // "read the memory of other processes"
  std::array<Walls, 3> any_of;
  [[nodiscard]] constexpr bool stopped_by(Walls walls) const noexcept {
    for (const Walls& set : any_of) {
      if (!set.empty() && walls.has_all(set)) return true;
    }
    return false;
  }
};
std::span<const Threat> threats() noexcept;

/// Of those that nothing of `walls` stops: "reach the network; …".
std::string names_of_open_threats(Walls walls);

enum class IsolationLevel : std::uint8_t { none, partial, full };
std::string_view name_of(IsolationLevel level) noexcept;

/// full: every threat is stopped. none: no threat is.
IsolationLevel level_of(Walls walls) noexcept;

/// The argument with which a worker tries its walls and prints what holds (worker/try_cage.hpp).
inline constexpr std::string_view kTryCage = "--try-cage";

/// What the config asks for.
enum class IsolationRequirement : std::uint32_t {
  full,         // a worker that cannot be held fully is not started
  best_effort,  // every wall that this machine gives
  none,         // no walls at all, for debugging
};

/// What a worker is told about its cage. Lies in the start block: no pointers, no padding.
struct CageRequest {
  IsolationRequirement requirement = IsolationRequirement::best_effort;
  std::uint32_t descriptors_max = 64;
  std::uint64_t memory_bytes_max = 0;  // of private memory; 0: no limit
  /// Of addresses beyond those that the process has before it is caged; 0: no limit. Memory that was written
  /// and is then made read-only, page tables and stacks are counted here only.
  std::uint64_t address_bytes_max = 0;
  std::uint64_t file_bytes_max = 0;  // of any file that it writes
  std::uint32_t processes_max = 64;  // and threads, of all isolates of the member
  std::int32_t nice = 0;
};
static_assert(std::is_trivially_copyable_v<CageRequest> && std::is_standard_layout_v<CageRequest>);
static_assert(sizeof(CageRequest) == 40, "no padding: these bytes are sent");

}  // namespace tutti
