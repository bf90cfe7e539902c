#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {

// Every model is opened in a worker, exactly as a launch would; the supervisor reads no model file.
int check(const ConfigOptions& options, bool json) {
  auto config = load_or_explain(options, json);
  if (!config) return kUsage;
  config->log_level = LogLevel::off;  // what a worker says at its start is shown below
  auto ensemble = Ensemble::launch(*config, {.require_quorum = false});
  if (!ensemble) {
    complain(ensemble.error());
    return ensemble.error().code == Errc::bad_config ? kUsage : kFailed;
  }
  const EnsembleStatus status = ensemble->status();
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  std::size_t failures = 0;
  for (std::size_t i = 0; i < status.members.size(); ++i) {
    const MemberStatus& member = status.members[i];
    const bool works = member.ready == member.instances;
    // Behind the members stands the stacking model, if there is one.
    const bool is_member = i < config->members.size();
    const std::string& model = is_member ? config->members[i].model : config->combine.model;
    const std::string where = is_member ? config->members[i].where : config->path + " combine.model";
    failures += works ? 0 : 1;
    members.push_back({{"name", member.name},
                       {"ok", works},
                       {"model", model},
                       {"load_ms", std::chrono::duration<double, std::milli>(member.load).count()},
                       {"error", works ? std::string() : member.last_error}});
    if (works) {
      say("ok      {:<20} loaded in {}\n", member.name, format_time(member.load));
    } else {
      say("failed  {:<20} {}\n        member at {}\n", member.name, member.last_error, where);
    }
  }
  if (json) fmt::print("{}\n", nlohmann::ordered_json{{"ok", failures == 0}, {"members", members}}.dump(2));
  if (failures > 0) {
    say("{} of {} members cannot start\n", failures, status.members.size());
    return kUsage;
  }
  say("{}: {} models, all load\n", options.path, status.members.size());
  return kOk;
}

}  // namespace tutti::cli
