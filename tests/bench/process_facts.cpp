#include "process_facts.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tutti::bench {

ProcessFacts facts_of(pid_t pid) {
  ProcessFacts facts;
  std::ifstream stat_file(fmt::format("/proc/{}/stat", pid));
  std::string stat((std::istreambuf_iterator<char>(stat_file)), std::istreambuf_iterator<char>());
  // The name may hold anything; the numbers start after its last parenthesis with field 3.
  const auto end = stat.rfind(')');
  if (end == std::string::npos) return facts;
  std::istringstream fields(stat.substr(end + 1));
  std::string word;
  for (int field = 3; fields >> word; ++field) {
    if (field == 10 || field == 12) facts.page_faults += std::stoull(word);
    if (field == 14 || field == 15) {
      facts.cpu_ns += std::stod(word) * 1e9 / static_cast<double>(::sysconf(_SC_CLK_TCK));
    }
  }
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("voluntary_ctxt_switches:"))
      facts.sleeps = std::stoull(line.substr(line.find(':') + 1));
  }
  return facts;
}

std::vector<pid_t> threads_of(pid_t pid) {
  std::vector<pid_t> threads;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    threads.push_back(std::stoi(entry.path().filename().string()));
  }
  return threads;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  for (const pid_t thread : threads_of(pid)) {
    std::ifstream file(fmt::format("/proc/{}/task/{}/children", pid, thread));
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

}  // namespace tutti::bench
