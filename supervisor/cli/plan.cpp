#include "supervisor/plan.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/isolation/probe.hpp"
#include "supervisor/process.hpp"

namespace tutti::cli {
namespace {

constexpr std::uint64_t kDescriptorsHigh = 64 + 4;  // a worker's are numbered from 64 on while it is started
// Counted in running ensembles of one to four members.
constexpr std::uint64_t kDescriptorsShared =
    16;  // input, epoll sets, timers, status, standard streams, files
constexpr std::uint64_t kDescriptorsPerMember = 5;   // of its template: control twice, pidfd twice, output
constexpr std::uint64_t kDescriptorsPerIsolate = 6;  // down, up, bell, pidfd twice, output

struct Plan {
  std::uint32_t isolates = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t down_bytes = 0;
  std::uint64_t up_bytes = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t descriptors_allowed = 0;  // ulimit -n
  std::uint32_t cores = 0;
  SpinPlan spin;
};

Plan plan_of(const EnsembleConfig& config) {
  const ChannelShape shape = channel_shape(config);
  Plan plan{.isolates = isolates_of(config),
            .input_bytes = input_bytes(config),
            .down_bytes = shape.down_bytes(),
            .up_bytes = shape.up_bytes(),
            .cores = cores_available(),
            .spin = spin_plan(config)};
  plan.memory_bytes = plan.input_bytes + plan.isolates * (plan.down_bytes + plan.up_bytes);
  plan.descriptors = std::max(kDescriptorsShared + config.members.size() * kDescriptorsPerMember +
                                  plan.isolates * kDescriptorsPerIsolate,
                              kDescriptorsHigh);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) plan.descriptors_allowed = limit.rlim_cur;
  return plan;
}

std::string waiting_text(const Plan& plan) {
  if (plan.spin.spin == Duration::zero()) return "every side sleeps at once";
  return fmt::format("a side that waits {} for {}, then sleeps",
                     plan.spin.yields ? "gives its core away" : "looks without pause",
                     format_duration(plan.spin.spin));
}

/// What a caged worker gets here: tried, not guessed. Nothing where that cannot be tried.
std::optional<ProbeReport> walls_here() {
  const auto worker = find_worker();
  auto report = worker ? probe_isolation(*worker) : std::unexpected(worker.error());
  return report ? std::optional(std::move(*report)) : std::nullopt;
}

/// What holds one member.
struct Hold {
  IsolationConfig isolation;
  std::optional<IsolationLevel> level;
  bool cpu_holds = true;  // what the config says of processor time
  [[nodiscard]] bool refuses() const {
    return isolation.require == IsolationRequirement::full && level &&
           (*level != IsolationLevel::full || !cpu_holds);
  }
};

std::vector<Hold> holds_of(const EnsembleConfig& config) {
  const auto here = walls_here();
  const auto level = here ? std::optional(level_of(here->walls)) : std::nullopt;
  const bool groups = here && here->group_walls.has(Wall::cgroup_cpu);
  std::vector<Hold> holds;
  for (const MemberConfig& member : config.members) {
    const IsolationConfig isolation = isolation_of(config.isolation, member);
    const bool open = isolation.require == IsolationRequirement::none;
    holds.push_back({.isolation = isolation,
                     .level = open ? IsolationLevel::none : level,
                     .cpu_holds = (groups && !open) || !limits_cpu(isolation)});
  }
  return holds;
}

std::string level_text(const Hold& hold) {
  if (!hold.level) return "?";
  return fmt::format("{}{}", name_of(*hold.level), hold.refuses() ? " (refused)" : "");
}

std::string memory_text(const IsolationConfig& isolation) {
  return isolation.require == IsolationRequirement::none ? "any" : format_bytes(memory_of(isolation));
}

std::string cpu_text(const Hold& hold) {
  const IsolationConfig& isolation = hold.isolation;
  std::string text = isolation.cpu_cores ? fmt::format("{:g} cores", *isolation.cpu_cores) : "";
  if (isolation.cpu_share)
    text += fmt::format("{}share {:g}", text.empty() ? "" : ", ", *isolation.cpu_share);
  if (!hold.cpu_holds) text += " (do not hold)";
  if (const std::int32_t nice = isolation.nice.value_or(0); nice != 0)
    text += fmt::format("{}nice {}", text.empty() ? "" : ", ", nice);
  return text.empty() ? "any" : text;
}

/// What the table's column leaves to be said.
std::string isolation_text(const std::vector<Hold>& holds) {
  if (std::ranges::any_of(holds, [](const Hold& hold) { return !hold.level; }))
    return "cannot be told: tutti-worker does not run; see tutti doctor";
  if (std::ranges::any_of(holds, &Hold::refuses))
    return "not all that is required holds here, so members would not start; see tutti doctor";
  const auto lowest = std::ranges::min(holds, {}, &Hold::level).level;
  if (lowest == IsolationLevel::full) return "full";
  return fmt::format("{}; see tutti doctor", name_of(*lowest));
}

/// "full", "full, at load", "tier1 after 20 calls", "off".
std::string jit_text(const EnsembleConfig& config, const MemberConfig& member) {
  const JitConfig jit = jit_of(config.jit, member);
  if (jit.mode == JitMode::off) return "off";
  std::string text = jit.mode == JitMode::tier1 ? "tier1" : "full";
  if (jit.mode == JitMode::full && jit.compile == JitCompile::load) text += ", at load";
  if (jit.threshold && *jit.threshold == 0) text += ", at once";
  if (jit.threshold && *jit.threshold > 0) text += fmt::format(", after {} calls", *jit.threshold);
  return text;
}

template <class Number>
nlohmann::ordered_json or_null(const std::optional<Number>& number) {
  return number ? nlohmann::ordered_json(*number) : nlohmann::ordered_json();
}

nlohmann::ordered_json limits_json(const Hold& hold) {
  const IsolationConfig& isolation = hold.isolation;
  return {{"level", hold.level ? nlohmann::ordered_json(name_of(*hold.level)) : nlohmann::ordered_json()},
          {"refused", hold.refuses()},
          {"memory_bytes", isolation.require == IsolationRequirement::none
                               ? nlohmann::ordered_json()
                               : nlohmann::ordered_json(memory_of(isolation))},
          {"cpu_holds", hold.cpu_holds},
          {"cpu_cores", or_null(isolation.cpu_cores)},
          {"cpu_share", or_null(isolation.cpu_share)},
          {"nice", or_null(isolation.nice)},
          {"processes", or_null(isolation.processes)},
          {"descriptors", or_null(isolation.descriptors)},
          {"file_size_bytes", or_null(isolation.file_size)},
          {"read", isolation.read}};
}

nlohmann::ordered_json jit_json(const JitConfig& jit) {
  constexpr std::array<std::string_view, 3> kModes{"off", "tier1", "full"};
  return {{"mode", kModes.at(static_cast<std::size_t>(jit.mode.value_or(JitMode::full)))},
          {"threshold", or_null(jit.threshold)},
          {"compile", jit.compile == JitCompile::load ? "load" : "auto"}};
}

void print_json(const EnsembleConfig& config, const Plan& plan, const std::vector<Hold>& holds) {
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < holds.size(); ++i) {
    const MemberConfig& member = config.members[i];
    members.push_back({{"name", member.name},
                       {"isolate", "process"},
                       {"instances", member.instances},
                       {"weight", member.weight},
                       {"model", member.model},
                       {"jit", jit_json(jit_of(config.jit, member))},
                       {"isolation", limits_json(holds[i])}});
  }
  const auto level = std::ranges::min(holds, {}, &Hold::level).level;
  const nlohmann::ordered_json json{
      {"ensemble", config.name},
      {"members", members},
      {"isolates", plan.isolates},
      {"quorum", config.answer.quorum.of(static_cast<std::uint32_t>(config.members.size()))},
      {"deadline_ns", config.answer.deadline.count()},
      {"request_slots", slots_of(config)},
      {"rows_max", config.limits.rows},
      {"memory_bytes", plan.memory_bytes},
      {"input_bytes", plan.input_bytes},
      {"channel_bytes", plan.down_bytes + plan.up_bytes},
      {"descriptors", plan.descriptors},
      {"descriptors_allowed", plan.descriptors_allowed},
      {"cores", plan.cores},
      {"spin_ns", plan.spin.spin.count()},
      {"yields", plan.spin.yields},
      {"isolation", level ? nlohmann::ordered_json(name_of(*level)) : nlohmann::ordered_json()}};
  fmt::print("{}\n", json.dump(2));
}

}  // namespace

int plan(const ConfigOptions& options, bool json) {
  const auto config = load_or_explain(options, json);
  if (!config) return kUsage;
  const Plan plan = plan_of(*config);
  const std::vector<Hold> holds = holds_of(*config);
  if (json) {
    print_json(*config, plan, holds);
    return kOk;
  }
  std::vector<std::vector<std::string>> rows{
      {"member", "isolate", "instances", "weight", "isolation", "memory", "cpu", "jit", "model"}};
  for (std::size_t i = 0; i < holds.size(); ++i) {
    const MemberConfig& member = config->members[i];
    rows.push_back({member.name, "process", std::to_string(member.instances),
                    fmt::format("{:g}", member.weight), level_text(holds[i]), memory_text(holds[i].isolation),
                    cpu_text(holds[i]), jit_text(*config, member), member.model});
  }
  if (!config->combine.model.empty())
    rows.push_back({"(stacking)", "process", "1", "-", "", "", "", "", config->combine.model});
  const auto members = static_cast<std::uint32_t>(config->members.size());
  fmt::print("{}: {} of {} members must vote within {}\n\n{}\n", config->name,
             config->answer.quorum.of(members), members, format_duration(config->answer.deadline),
             format_table(rows));
  fmt::print("  processes    {} workers and the supervisor\n", plan.isolates);
  fmt::print("  memory       {} shared: {} input ({} slots of {} rows), {} a channel\n",
             format_bytes(plan.memory_bytes), format_bytes(plan.input_bytes), slots_of(*config),
             config->limits.rows, format_bytes(plan.down_bytes + plan.up_bytes));
  fmt::print("  descriptors  {} in the supervisor, of {} (ulimit -n){}\n", plan.descriptors,
             plan.descriptors_allowed,
             plan.descriptors > plan.descriptors_allowed ? ": too few, raise the limit" : "");
  fmt::print("  cores        {} for {} isolates and the caller\n", plan.cores, plan.isolates);
  fmt::print("  waiting      {}\n", waiting_text(plan));
  fmt::print("  isolation    {}\n", isolation_text(holds));
  return kOk;
}

}  // namespace tutti::cli
