// A worker killed: until its member votes again, and what an isolate costs in memory.
//
// Forked from its member's template against exec + load of the same model, one after the other in turn. The
// restart's own waiting (jitter, rate) is set to nothing on both sides; what is left is the death noticed,
// the new process, the load or the fork, the hello, and one prediction.
#include <fmt/format.h>
#include <signal.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::bench {
namespace {

class Victim {
 public:
  static std::optional<Victim> launch(const std::string& example, const std::string& member, bool templates) {
    auto config = load_config({.path = TUTTI_BENCH_EXAMPLES "/" + example + ".toml"});
    if (!config) return std::nullopt;
    std::erase_if(config->members, [&](const MemberConfig& one) { return one.name != member; });
    for (MemberConfig& one : config->members) one.instances = 1;
    config->answer.quorum = {.kind = Quorum::Kind::count, .count = 1};
    config->answer.deadline = std::chrono::seconds(5);
    config->restart.backoff_min = std::chrono::microseconds(1);
    config->restart.backoff_max = std::chrono::microseconds(1);
    config->restart.budget = 1'000'000;
    config->restart.rate = 10'000;
    config->log_level = LogLevel::off;
    auto launched = Ensemble::launch(*config, {.templates = templates});
    if (!launched) return std::nullopt;
    return Victim(std::move(*launched));
  }

  /// Kills the worker; milliseconds until its member votes again.
  double heal_ms() {
    const auto pid = ensemble_.status().members[0].pids.at(0);
    const double begun = now_ns();
    ::kill(pid, SIGKILL);
    const MatrixView x{row_.data(), 1, static_cast<std::uint32_t>(row_.size())};
    for (bool replaced = false;;) {
      // The killed one may have answered once more, so only what is asked after its replacement counts.
      const std::vector<int> pids = ensemble_.status().members[0].pids;
      replaced = replaced || (!pids.empty() && pids[0] != pid);
      if (replaced && ensemble_.predict(x, prediction_)) return (now_ns() - begun) / 1e6;
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  [[nodiscard]] double unshared_mib() const {
    const EnsembleStatus status = ensemble_.status(ReadUsage::yes);
    const auto& usage = status.members[0].isolates[0].usage;
    return usage ? static_cast<double>(usage->unshared_bytes) / (1 << 20) : 0;
  }

 private:
  explicit Victim(Ensemble ensemble)
      : ensemble_(std::move(ensemble)), row_(ensemble_.config().features, 1.0F) {}
  Ensemble ensemble_;
  std::vector<float> row_;
  Prediction prediction_;
};

void restart_of(Report& report, const Options& options, const std::string& example,
                const std::string& member) {
  const std::string name = fmt::format("{} {}", example, member);
  auto forked = Victim::launch(example, member, true);
  auto whole = Victim::launch(example, member, false);
  if (!forked || !whole) return report.skip(name, "the ensemble did not start");
  Figure slow{.name = name + ": exec + load",
              .unit = "ms",
              .value = {},
              .ratio = {},
              .against = {},
              .goal = {},
              .note = {}};
  Figure fast{.name = name + ": fork",
              .unit = "ms",
              .value = {},
              .ratio = {},
              .against = "exec + load is that many times slower",
              .goal = Goal{Goal::Kind::at_least, 10},
              .note = {}};
  for (int i = 0; i < options.repeats() * 3; ++i) {
    const double fork_ms = forked->heal_ms();
    const double load_ms = whole->heal_ms();
    fast.value.add(fork_ms);
    slow.value.add(load_ms);
    fast.ratio.add(load_ms / fork_ms);
  }
  Figure memory{.name = name + ": unshared memory of a fork",
                .unit = "MiB",
                .value = {},
                .ratio = {},
                .against = {},
                .goal = Goal{Goal::Kind::at_most, 5},
                .note = {}};
  memory.value.add(forked->unshared_mib());
  report.add(std::move(slow));
  report.add(std::move(fast));
  report.add(std::move(memory));
}

}  // namespace

void restart_case(Report& report, const Options& options) {
  report.section("restart", "a killed worker, until its member votes again");
  restart_of(report, options, "breast_cancer", "boosted");
  restart_of(report, options, "digits", "boosted");
}

}  // namespace tutti::bench
