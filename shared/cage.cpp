#include "shared/cage.hpp"

#include <algorithm>

namespace tutti {
namespace {

constexpr std::array<std::string_view, kWallCount> kNames{
    "user_namespace", "pid_namespace",  "net_namespace",    "ipc_namespace",     "mount_namespace",
    "uts_namespace",  "own_uid",        "no_capabilities",  "no_new_privileges", "not_dumpable",
    "limits",         "landlock_files", "landlock_network", "landlock_scope",    "seccomp_load",
    "seccomp_serve",  "cgroup_memory",  "cgroup_processes", "cgroup_cpu"};
static_assert(static_cast<std::size_t>(Wall::cgroup_cpu) + 1 == kWallCount);

using enum Wall;

// What a model can do that is hostile from the moment it is loaded. It is loaded before the second filter, in
// memory that it may then change: so that filter is in none of these sets. It narrows what a model can do
// that an input has taken over. Filters are never alone: under a filter that allows what a model needs to
// load, a path or a pid is only a number, so whom it may reach is for namespaces, uids and Landlock to say.
constexpr std::array<Threat, 8> kThreats{{
    {"read or change the memory of other processes",
     {{{seccomp_load, mount_namespace}, {seccomp_load, landlock_files}, {seccomp_load, user_namespace}}}},
    {"send signals to other processes", {{{pid_namespace}, {own_uid, no_capabilities}, {landlock_scope}}}},
    {"read or write files beside its model",
     {{{mount_namespace, seccomp_load}, {landlock_files, seccomp_load}}}},
    {"reach the network", {{{net_namespace}, {seccomp_load}}}},
    {"run other programs or gain privileges", {{{no_new_privileges, no_capabilities, seccomp_load}}}},
    {"use kernel interfaces that no model needs (io_uring, bpf, userfaultfd, perf, namespaces)",
     {{{seccomp_load}}}},
    {"use up descriptors, disk or processes",
     {{{limits, seccomp_load, user_namespace},
       {limits, seccomp_load, own_uid},
       {limits, seccomp_load, cgroup_processes}}}},
    {"leave processes behind that outlive tutti", {{{pid_namespace}}}},
}};

}  // namespace

std::string_view name_of(Wall wall) noexcept {
  const auto index = static_cast<std::size_t>(wall);
  return index < kNames.size() ? kNames[index] : std::string_view("unknown");
}

std::optional<Wall> wall_named(std::string_view name) noexcept {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Wall>(found - kNames.begin());
}

std::string names_of(Walls walls) {
  std::string names;
  for (std::size_t index = 0; index < kWallCount; ++index) {
    if (!walls.has(static_cast<Wall>(index))) continue;
    if (!names.empty()) names += ", ";
    names += kNames[index];
  }
  return names.empty() ? "none" : names;
}

std::span<const Threat> threats() noexcept { return kThreats; }

std::string names_of_open_threats(Walls walls) {
  std::string names;
  for (const Threat& threat : kThreats) {
    if (threat.stopped_by(walls)) continue;
    if (!names.empty()) names += "; ";
    names += threat.name;
  }
  return names;
}

std::string_view name_of(IsolationLevel level) noexcept {
  switch (level) {
    case IsolationLevel::none:
      return "none";
    case IsolationLevel::partial:
      return "partial";
    case IsolationLevel::full:
      return "full";
  }
  return "unknown";
}

IsolationLevel level_of(Walls walls) noexcept {
  const auto stopped =
      std::ranges::count_if(kThreats, [&](const Threat& threat) { return threat.stopped_by(walls); });
  if (stopped == 0) return IsolationLevel::none;
  return stopped == static_cast<std::ptrdiff_t>(kThreats.size()) ? IsolationLevel::full
                                                                 : IsolationLevel::partial;
}

}  // namespace tutti
