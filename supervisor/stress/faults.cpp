#include "supervisor/stress/faults.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "shared/suggest.hpp"
#include "worker/hostile/hostile.h"

namespace tutti::stress {
namespace {

constexpr Fault signalled(std::string_view name, std::string_view help, int number, bool hangs = false) {
  return {.name = name, .help = help, .means = Fault::Means::signal, .code = number, .hangs = hangs};
}

constexpr Fault acted(std::string_view name, std::string_view help, int behaviour, Fault::Outcome outcome,
                      bool hangs = false) {
  return {.name = name,
          .help = help,
          .means = Fault::Means::stand_in,
          .code = behaviour,
          .outcome = outcome,
          .hangs = hangs};
}

constexpr auto kDies = Fault::Outcome::dies;
constexpr auto kMisses = Fault::Outcome::misses;
constexpr auto kUnseen = Fault::Outcome::unseen;

constexpr std::array kFaults{
    signalled("kill", "SIGKILL from outside", SIGKILL),
    signalled("segv", "SIGSEGV from outside", SIGSEGV),
    signalled("abort", "SIGABRT from outside", SIGABRT),
    signalled("stop", "SIGSTOP: alive, but silent", SIGSTOP, true),
    acted("crash", "a null write inside the model", HOSTILE_SIGSEGV, kDies),
    acted("exit", "exit(0) inside the model", HOSTILE_EXIT, kDies),
    acted("spin", "an endless loop inside the model", HOSTILE_LOOP, kDies, true),
    acted("spin_all", "the same in eight threads", HOSTILE_SPIN, kDies, true),
    acted("sleep", "an endless sleep inside the model", HOSTILE_SLEEP, kDies, true),
    acted("oom", "memory without end", HOSTILE_OOM, kMisses),
    acted("scribble", "random bytes all over the shared memory, for ever", HOSTILE_SCRIBBLE_ON, kDies),
    acted("lie", "an answer to a request that was never asked", HOSTILE_FORGE, kDies),
    acted("shape", "answers whose shape changes while they are read", HOSTILE_RESHAPE, kDies),
    acted("storm", "the doorbell rung without end", HOSTILE_STORM, kUnseen),
    acted("nan", "answers that are not numbers", HOSTILE_NAN, kMisses),
    acted("rude", "a message of escape sequences and newlines", HOSTILE_RUDE_ERROR, kMisses),
    acted("leak_descriptors", "descriptors opened until refused", HOSTILE_DESCRIPTORS, kUnseen),
    acted("fork_bomb", "forks until refused", HOSTILE_FORK_BOMB, kMisses),
    acted("escape", "files, sockets and signals that no model needs", HOSTILE_ESCAPE, kMisses),
    acted("log_flood", "20 MB on standard error", HOSTILE_FLOOD, kUnseen),
};

}  // namespace

std::span<const Fault> all_faults() { return kFaults; }

Result<std::vector<Fault>> parse_faults(std::string_view text) {
  std::vector<Fault> chosen;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view name = text.substr(at, end - at);
    at = end + 1;
    if (name == "all") {
      chosen.assign(kFaults.begin(), kFaults.end());
      continue;
    }
    if (name == "list") {
      return std::unexpected(Error{Errc::bad_usage, "list stands alone", fmt::format("--faults {}", text),
                                   "--faults list names them, and strikes nobody"});
    }
    const auto found = std::ranges::find(kFaults, name, &Fault::name);
    if (found == kFaults.end()) {
      std::vector<std::string> names{"all", "list"};
      std::ranges::transform(kFaults, std::back_inserter(names),
                             [](const Fault& fault) { return std::string(fault.name); });
      std::string hint = did_you_mean(std::string(name), names);
      if (hint.empty()) hint = "--faults list names them";
      return std::unexpected(
          Error{Errc::bad_usage, fmt::format("no fault is called '{}'", name), "--faults", hint});
    }
    if (std::ranges::find(chosen, found->name, &Fault::name) == chosen.end()) chosen.push_back(*found);
  }
  return chosen;
}

}  // namespace tutti::stress
