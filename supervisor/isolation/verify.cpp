#include "supervisor/isolation/verify.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

namespace tutti {
namespace {

/// The lines of a status file: "CapEff" → "0000000000000000".
std::map<std::string, std::string, std::less<>> read_status(const std::string& path) {
  std::map<std::string, std::string, std::less<>> lines;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t text = line.find_first_not_of(" \t", colon + 1);
    lines[line.substr(0, colon)] = text == std::string::npos ? "" : line.substr(text);
  }
  return lines;
}

class Look {
 public:
  Look(std::string folder, Walls claimed) : folder_(std::move(folder)), claimed_(claimed) {}

  /// The first wall of one thread that is claimed and does not stand.
  std::optional<Wall> at_thread(const std::string& thread) {
    status_ = read_status(fmt::format("{}/task/{}/status", folder_, thread));
    if (status_.empty()) return std::nullopt;  // it ended while we looked
    const std::uint64_t filters =
        (claimed_.has(Wall::seccomp_load) ? 1 : 0) + (claimed_.has(Wall::seccomp_serve) ? 1 : 0);
    const bool filtered =
        filters == 0 || (number("Seccomp", 10) == 2 && number("Seccomp_filters", 10) >= filters);
    if (!filtered) return claimed_.has(Wall::seccomp_serve) ? Wall::seccomp_serve : Wall::seccomp_load;
    if (claimed_.has(Wall::no_new_privileges) && number("NoNewPrivs", 10) != 1)
      return Wall::no_new_privileges;
    if (claimed_.has(Wall::no_capabilities)) {
      for (const std::string_view set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
        if (number(set, 16) != 0) return Wall::no_capabilities;
      }
    }
    return std::nullopt;
  }

  /// The same for the process as a whole.
  std::optional<Wall> at_process() {
    status_ = read_status(folder_ + "/status");
    if (status_.empty()) return std::nullopt;
    if (claimed_.has(Wall::own_uid) && number("Uid", 10) == ::geteuid()) return Wall::own_uid;
    // "NSpid: 4711 2" has a number for each namespace that the process is in.
    if (claimed_.has(Wall::pid_namespace) && status_["NSpid"].find_first_of(" \t") == std::string::npos)
      return Wall::pid_namespace;
    constexpr std::array<std::pair<Wall, const char*>, 5> kLinks{{{Wall::user_namespace, "user"},
                                                                  {Wall::net_namespace, "net"},
                                                                  {Wall::ipc_namespace, "ipc"},
                                                                  {Wall::mount_namespace, "mnt"},
                                                                  {Wall::uts_namespace, "uts"}}};
    for (const auto& [wall, name] : kLinks) {
      if (!claimed_.has(wall)) continue;
      const std::string theirs = link(fmt::format("{}/ns/{}", folder_, name));
      if (!theirs.empty() && theirs == link(fmt::format("/proc/self/ns/{}", name))) return wall;
    }
    return std::nullopt;
  }

 private:
  /// A number of the status file; one that no wall has where it is missing or none.
  [[nodiscard]] std::uint64_t number(std::string_view key, int base) const {
    constexpr std::uint64_t kNone = 1ULL << 63U;
    const auto found = status_.find(key);
    if (found == status_.end()) return kNone;
    std::uint64_t value = kNone;
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), value, base);
    return value;
  }

  static std::string link(const std::string& path) {
    std::array<char, 64> target{};
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    return length <= 0 ? std::string() : std::string(target.data(), static_cast<std::size_t>(length));
  }

  std::string folder_;
  Walls claimed_;
  std::map<std::string, std::string, std::less<>> status_;
};

}  // namespace

Result<void> verify_from_outside(pid_t pid, Walls claimed) {
  const std::string folder = fmt::format("/proc/{}", pid);
  Look look(folder, claimed);
  std::optional<Wall> fallen = look.at_process();
  const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir((folder + "/task").c_str()), ::closedir);
  if (!threads) return std::unexpected(system_error("opendir", errno, folder + "/task"));
  while (const dirent* entry = fallen ? nullptr : ::readdir(threads.get())) {
    if (entry->d_name[0] != '.') fallen = look.at_thread(entry->d_name);
  }
  if (!fallen) return {};
  return std::unexpected(Error{
      .code = Errc::protocol,
      .what = fmt::format("it says that {} holds it, and /proc says that it does not", name_of(*fallen)),
      .where = fmt::format("process {}", pid),
      .hint = "install tutti and tutti-worker from the same build, or distrust the model"});
}

std::size_t children_in_session(pid_t leader) {
  std::size_t count = 0;
  std::error_code ignored;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
    std::ifstream children(task.path() / "children");
    for (pid_t child = 0; children >> child;) {
      // "123 (any name) S parent group session …": the name may hold anything, so from its end on.
      std::ifstream file(fmt::format("/proc/{}/stat", child));
      std::string text;
      std::getline(file, text);
      std::istringstream fields(text.substr(text.rfind(')') + 1));
      char state = 'Z';
      pid_t parent = 0;
      pid_t group = 0;
      pid_t session = 0;
      if (fields >> state >> parent >> group >> session && state != 'Z' && session == leader) ++count;
    }
  }
  return count;
}

}  // namespace tutti
