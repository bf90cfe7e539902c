#include "supervisor/stress/footprint.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "supervisor/watch/status_socket.hpp"
#include "supervisor/watch/usage.hpp"

namespace tutti::stress {
namespace {

namespace fs = std::filesystem;

template <class Counts>
std::size_t entries(const fs::path& directory, Counts counts) {
  std::size_t count = 0;
  std::error_code gone;
  for (fs::directory_iterator entry(directory, gone), end; !gone && entry != end; entry.increment(gone)) {
    count += counts(*entry) ? 1 : 0;
  }
  return count;
}

std::size_t entries(const fs::path& directory) {
  return entries(directory, [](const fs::directory_entry&) { return true; });
}

// Others on this machine come and go.
bool is_ours(const fs::directory_entry& entry) {
  return entry.path().filename().string().find("tutti") != std::string::npos;
}

// Where this process stands in the (first) control group hierarchy that can be seen.
std::size_t control_groups() {
  std::ifstream mine("/proc/self/cgroup");
  std::size_t count = 0;
  for (std::string line; std::getline(mine, line);) {
    const std::size_t controllers = line.find(':');
    const std::size_t path = line.find(':', controllers + 1);
    if (path == std::string::npos) continue;
    std::string names = line.substr(controllers + 1, path - controllers - 1);
    if (names.starts_with("name=")) names = names.substr(5);
    const fs::path folder = fs::path("/sys/fs/cgroup") / names / line.substr(path + 2);
    count += entries(folder, is_ours);
  }
  return count;
}

bool is_zombie(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(") ");
  return name_end != std::string::npos && text[name_end + 2] == 'Z';
}

}  // namespace

Footprint Footprint::now() {
  Footprint footprint{.threads = entries("/proc/self/task"),
                      .shared_files = entries("/dev/shm", is_ours),
                      .cgroups = control_groups()};
  footprint.sockets = count_sockets(::getpid());
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    footprint.regions += line.find("memfd:tutti") != std::string::npos ? 1 : 0;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream children(task.path() / "children");
    for (int pid = 0; children >> pid;) {
      ++footprint.children;
      footprint.zombies += is_zombie(pid) ? 1 : 0;
    }
  }
  if (const auto usage = usage_of(::getpid())) footprint.memory_bytes = usage->unshared_bytes;
  maps.close();
  footprint.descriptors = entries("/proc/self/fd");
  return footprint;
}

std::vector<std::pair<std::string, std::size_t>> Footprint::parts() const {
  return {{"descriptors", descriptors}, {"threads", threads},       {"shared regions", regions},
          {"children", children},       {"zombies", zombies},       {"files in /dev/shm", shared_files},
          {"status sockets", sockets},  {"control groups", cgroups}};
}

std::string Footprint::difference(const Footprint& later) const {
  const auto before = parts();
  const auto after = later.parts();
  std::string text;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].second == after[i].second) continue;
    text += fmt::format("{}{} {} to {}", text.empty() ? "" : ", ", before[i].first, before[i].second,
                        after[i].second);
  }
  return text;
}

}  // namespace tutti::stress
