// What the end-to-end tests share: ensembles of real workers, and a look at this process from outside.
#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/tutti.hpp"
#include "tests/catch.hpp"
#include "worker/hostile/hostile.h"

namespace tutti::test {

using namespace std::chrono_literals;

inline const std::string kBin = TUTTI_BIN;
inline const std::string kHostile = kBin + "/test_plugins/hostile.so";

/// Members that answer [1 - p, p] with p = HOSTILE_PROBABILITY until feature 0 says otherwise.
inline EnsembleConfig hostile_config(std::uint32_t members, std::uint32_t instances = 1) {
  EnsembleConfig config;
  config.name = "hostile";
  config.task = Task::classification;
  config.classes = {"no", "yes"};
  config.features = 2;
  config.combine.rule = CombineRule::soft_vote;
  config.answer = {.quorum = {.kind = Quorum::Kind::count, .count = 1},
                   .deadline = 400ms,
                   .grace = 200ms,
                   .breaker = false};
  config.restart = {.backoff_min = 1ms,
                    .backoff_max = 20ms,
                    .budget = 100'000,
                    .start_timeout = 20s,
                    .rate = 100'000,
                    .violations = 100'000};
  config.limits = {.in_flight = 4, .rows = 16};
  config.log_level = LogLevel::off;
  for (std::uint32_t i = 0; i < members; ++i) {
    config.members.push_back({.name = "m" + std::to_string(i), .model = kHostile, .instances = instances});
  }
  return config;
}

/// Options that start the worker with fault points, with `fault` armed in the first life of member m0.
inline LaunchOptions faulty(const std::string& fault) {
  LaunchOptions options{.worker = kBin + "/tutti-worker-faults"};
  if (!fault.empty()) options.faults = {{"m0", fault}};
  return options;
}

/// Waits until every isolate is ready; a test that waits in vain fails.
inline void wait_until_healed(const Ensemble& ensemble) {
  for (int i = 0; i < 4000; ++i) {
    const EnsembleStatus status = ensemble.status();
    bool healed = true;
    for (const MemberStatus& member : status.members) healed = healed && member.ready == member.instances;
    if (healed) return;
    std::this_thread::sleep_for(5ms);
  }
  FAIL("the ensemble did not heal in 20 s");
}

inline std::size_t entries(const std::string& directory) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory)) ++count;
  return count;
}

/// Process 1 of a worker's namespace (worker/cage.hpp).
inline bool is_companion(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  return std::getline(file, name) && name == "tutti-companion";
}

/// What this process holds: descriptors, threads, memfd mappings, children.
struct Footprint {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  std::size_t memfd_mappings = 0;
  std::size_t children = 0;

  /// Once nothing changes any more: a cage that was just made is not told by its name for a moment, and what
  /// launched it is not gone.
  static Footprint now() {
    Footprint seen = glance();
    for (int same = 0, tries = 0; same < 3 && tries < 400; ++tries) {
      std::this_thread::sleep_for(5ms);
      const Footprint next = glance();
      same = next == seen ? same + 1 : 0;
      seen = next;
    }
    return seen;
  }
  bool operator==(const Footprint&) const = default;

 private:
  static Footprint glance() {
    Footprint footprint{.descriptors = entries("/proc/self/fd"), .threads = entries("/proc/self/task")};
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("memfd:tutti") != std::string::npos) ++footprint.memfd_mappings;
    }
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream children(task.path() / "children");
      // A companion belongs to its template and comes and goes with it; whether there is one is the
      // machine's.
      for (int pid = 0; children >> pid;) footprint.children += is_companion(pid) ? 0U : 1U;
    }
    return footprint;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Footprint& footprint) {
  return out << footprint.descriptors << " descriptors, " << footprint.threads << " threads, "
             << footprint.memfd_mappings << " memfd mappings, " << footprint.children << " children";
}

}  // namespace tutti::test
