#include "supervisor/plan.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
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

/// The level that workers of this config reach here: tried, not guessed. Nothing where that cannot be tried.
std::optional<IsolationLevel> level_here(const EnsembleConfig& config) {
  if (config.isolation.require == IsolationRequirement::none) return IsolationLevel::none;
  const auto worker = find_worker();
  const auto report = worker ? probe_isolation(*worker) : std::unexpected(worker.error());
  return report ? std::optional(level_of(report->walls)) : std::nullopt;
}

std::string isolation_text(const EnsembleConfig& config) {
  const auto level = level_here(config);
  if (!level) return "cannot be told: tutti-worker does not run; see tutti doctor";
  if (config.isolation.require == IsolationRequirement::none) return "none, as isolation.require says";
  if (*level == IsolationLevel::full) return "full";
  const bool refuses = config.isolation.require == IsolationRequirement::full;
  return fmt::format("{} here{}; see tutti doctor", name_of(*level),
                     refuses ? ", so no worker would start" : "");
}

void print_json(const EnsembleConfig& config, const Plan& plan) {
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  for (const MemberConfig& member : config.members) {
    members.push_back({{"name", member.name},
                       {"isolate", "process"},
                       {"instances", member.instances},
                       {"weight", member.weight},
                       {"model", member.model}});
  }
  const auto level = level_here(config);
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
  if (json) {
    print_json(*config, plan);
    return kOk;
  }
  std::vector<std::vector<std::string>> rows{{"member", "isolate", "instances", "weight", "model"}};
  for (const MemberConfig& member : config->members) {
    rows.push_back({member.name, "process", std::to_string(member.instances),
                    fmt::format("{:g}", member.weight), member.model});
  }
  if (!config->combine.model.empty())
    rows.push_back({"(stacking)", "process", "1", "-", config->combine.model});
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
  fmt::print("  isolation    {}\n", isolation_text(*config));
  return kOk;
}

}  // namespace tutti::cli
