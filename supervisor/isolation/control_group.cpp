#include "supervisor/isolation/control_group.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace tutti {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRoot = "/sys/fs/cgroup";
constexpr std::string_view kPrefix = "tutti-";
constexpr std::uint64_t kPeriodUs = 100'000;  // over which processor time is counted
// What the kernel gives a group that was told nothing: cpu.shares of v1, cpu.weight of v2.
constexpr double kSharesOfOne = 1024;
constexpr double kWeightOfOne = 100;

bool write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  return file.good();
}

/// Where this process stands: for v1 by controller, for v2 (key "") once.
struct Hierarchy {
  std::string controller;  // "memory", "cpu", "pids"; "" for v2
  std::string folder;      // of this process's own group
};

/// The mount of a hierarchy: /sys/fs/cgroup/memory, or for v2 /sys/fs/cgroup itself or its `unified`.
std::string mount_of(std::string_view controller) {
  if (!controller.empty()) return fmt::format("{}/{}", kRoot, controller);
  std::error_code ignored;
  const std::string plain(kRoot);
  return fs::exists(plain + "/cgroup.controllers", ignored) ? plain : plain + "/unified";
}

std::vector<Hierarchy> hierarchies() {
  std::vector<Hierarchy> found;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    // "4:memory:/some/group", "3:cpu,cpuacct:/", "0::/user.slice"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    for (const std::string_view wanted : {"memory", "cpu", "pids"}) {
      const std::string listed = fmt::format(",{},", controllers);
      if (listed.find(fmt::format(",{},", wanted)) == std::string::npos) continue;
      found.push_back({std::string(wanted), mount_of(wanted) + (group == "/" ? "" : group)});
    }
    if (!controllers.empty()) continue;
    const fs::path own = mount_of("") + (group == "/" ? "" : group);
    found.push_back({"", own});
    if (group != "/") found.push_back({"", own.parent_path()});
  }
  return found;
}

/// Pids mean something within their namespace only.
std::uint64_t pid_namespace() {
  struct stat status{};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

/// A name of its own: namespace, supervisor's pid, a count.
std::string fresh_name() {
  static std::atomic<std::uint32_t> count{0};
  return fmt::format("{}{}-{}-{}", kPrefix, pid_namespace(), ::getpid(),
                     count.fetch_add(1, std::memory_order_relaxed));
}

std::string quota(double cores) {
  return fmt::format("{}", static_cast<std::uint64_t>(std::llround(cores * static_cast<double>(kPeriodUs))));
}

std::string scaled(double share, double of_one) {
  return fmt::format("{}", std::max(std::llround(share * of_one), 1LL));
}

/// Writes one hierarchy's limits into a new folder. The walls that hold.
Walls write_limits(const Hierarchy& hierarchy, const std::string& folder, const GroupLimits& limits) {
  Walls walls;
  const auto set = [&](bool wanted, Wall wall, std::string_view file, const std::string& text) {
    if (wanted && write_text(fmt::format("{}/{}", folder, file), text)) walls.add(wall);
  };
  const std::string memory = fmt::format("{}", limits.memory_bytes.value_or(0));
  const std::string processes = fmt::format("{}", limits.processes.value_or(0));
  const auto set_cpu = [&](std::string_view cores_file, const std::string& cores, std::string_view share_file,
                           double of_one) {
    const auto holds = [&](const std::optional<double>& wanted, std::string_view file,
                           const std::string& text) {
      return !wanted || write_text(fmt::format("{}/{}", folder, file), text);
    };
    const bool both = holds(limits.cpu_cores, cores_file, cores) &&
                      holds(limits.cpu_share, share_file, scaled(limits.cpu_share.value_or(1), of_one));
    if (both && (limits.cpu_cores || limits.cpu_share)) walls.add(Wall::cgroup_cpu);
  };
  const double cores = limits.cpu_cores.value_or(0);
  if (hierarchy.controller == "memory") {
    write_text(folder + "/memory.swappiness", "0");
    set(limits.memory_bytes.has_value(), Wall::cgroup_memory, "memory.limit_in_bytes", memory);
  } else if (hierarchy.controller == "pids") {
    set(limits.processes.has_value(), Wall::cgroup_processes, "pids.max", processes);
  } else if (hierarchy.controller == "cpu") {
    set_cpu("cpu.cfs_quota_us", quota(cores), "cpu.shares", kSharesOfOne);
  } else {
    write_text(folder + "/memory.swap.max", "0");
    set(limits.memory_bytes.has_value(), Wall::cgroup_memory, "memory.max", memory);
    set(limits.processes.has_value(), Wall::cgroup_processes, "pids.max", processes);
    set_cpu("cpu.max", fmt::format("{} {}", quota(cores), kPeriodUs), "cpu.weight", kWeightOfOne);
  }
  return walls;
}

/// The pid in "tutti-NAMESPACE-PID-N"; 0 for any other name, and for those of other pid namespaces.
pid_t owner_of(std::string_view name) {
  const std::string ours = fmt::format("{}{}-", kPrefix, pid_namespace());
  if (!name.starts_with(ours)) return 0;
  pid_t pid = 0;
  const char* begin = name.data() + ours.size();
  const auto [end, failure] = std::from_chars(begin, name.data() + name.size(), pid);
  return failure == std::errc() && end != begin && *end == '-' ? pid : 0;
}

/// What is there already for this hierarchy: v1 has each controller in a hierarchy of its own.
bool hands_down_any(const Hierarchy& hierarchy) {
  if (!hierarchy.controller.empty()) return true;
  std::ifstream file(hierarchy.folder + "/cgroup.subtree_control");
  for (std::string controller; file >> controller;) {
    if (controller == "memory" || controller == "pids" || controller == "cpu") return true;
  }
  return false;
}

/// A process that was just reaped may take the kernel a moment more.
bool remove_folder(const std::string& folder) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return true;
    if (errno != EBUSY) return false;
    ::usleep(1000);
  }
  return false;
}

}  // namespace

ControlGroup::ControlGroup(ControlGroup&& other) noexcept { *this = std::move(other); }

ControlGroup& ControlGroup::operator=(ControlGroup&& other) noexcept {
  if (this != &other) {
    remove();
    folders_ = std::exchange(other.folders_, {});
    obstacle_ = std::exchange(other.obstacle_, {});
    memory_events_ = std::exchange(other.memory_events_, {});
  }
  return *this;
}

ControlGroup ControlGroup::create(const GroupLimits& limits) {
  ControlGroup group;
  if (!limits.any()) return group;
  group.obstacle_ = "no hierarchy of control groups is mounted";
  const std::string name = fresh_name();
  for (const Hierarchy& hierarchy : hierarchies()) {
    const std::string folder = fmt::format("{}/{}", hierarchy.folder, name);
    if (!hands_down_any(hierarchy)) {
      // What could be made if it were allowed says more.
      if (!group.obstacle_.starts_with("mkdir"))
        group.obstacle_ =
            fmt::format("{}/cgroup.subtree_control hands no controllers down", hierarchy.folder);
      continue;
    }
    if (::mkdir(folder.c_str(), 0755) != 0) {
      group.obstacle_ = fmt::format("mkdir in {}: {}", hierarchy.folder, std::strerror(errno));
      continue;
    }
    // A second place of v2 adds nothing to the first.
    const Walls walls = write_limits(hierarchy, folder, limits).without(group.walls());
    if (walls.empty()) {
      ::rmdir(folder.c_str());
      continue;
    }
    group.folders_.push_back({folder, walls});
    if (walls.has(Wall::cgroup_memory)) {
      group.memory_events_ =
          folder + (hierarchy.controller.empty() ? "/memory.events" : "/memory.oom_control");
    }
  }
  return group;
}

Walls ControlGroup::walls() const noexcept {
  Walls walls;
  for (const Folder& folder : folders_) walls = walls | folder.walls;
  return walls;
}

void ControlGroup::add(pid_t pid) {
  std::erase_if(folders_, [&](const Folder& folder) {
    if (write_text(folder.path + "/cgroup.procs", fmt::format("{}", pid))) return false;
    obstacle_ = fmt::format("joining {}: {}", folder.path, std::strerror(errno));
    remove_folder(folder.path);
    return true;
  });
}

std::uint64_t ControlGroup::memory_kills() const {
  if (memory_events_.empty()) return 0;
  // Both versions have a line "oom_kill 1".
  std::ifstream file(memory_events_);
  std::string key;
  std::uint64_t value = 0;
  while (file >> key >> value) {
    if (key == "oom_kill") return value;
  }
  return 0;
}

void ControlGroup::remove() noexcept {
  for (const Folder& folder : folders_) remove_folder(folder.path);
  folders_.clear();
}

void remove_stale_groups() {
  for (const Hierarchy& hierarchy : hierarchies()) {
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(hierarchy.folder, ignored)) {
      const pid_t owner = owner_of(entry.path().filename().string());
      // Only a group that is empty can be removed, so one whose owner's pid lives again costs nothing.
      if (owner > 0 && ::kill(owner, 0) != 0 && errno == ESRCH) ::rmdir(entry.path().c_str());
    }
  }
}

}  // namespace tutti
