// Everything that is wrong with a config comes in one run: problems of the file, and problems of the models.
// A quorum that cannot be met must not hide a model that does not load, or the user mends one thing at a
// time.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::cli {
namespace {

struct Opened {
  nlohmann::ordered_json members = nlohmann::ordered_json::array();
  std::size_t models = 0;
  std::size_t failures = 0;
};

// Every model is opened in a worker, exactly as a launch would; the supervisor reads no model file.
Result<Opened> open_models(EnsembleConfig config) {
  config.log_level = LogLevel::off;  // what a worker says at its start is shown below
  auto ensemble = Ensemble::launch(config, {.require_quorum = false});
  if (!ensemble) return std::unexpected(ensemble.error());
  const EnsembleStatus status = ensemble->status();
  Opened opened{.models = status.members.size()};
  for (std::size_t i = 0; i < status.members.size(); ++i) {
    const MemberStatus& member = status.members[i];
    const bool works = member.ready == member.instances;
    // Behind the members stands the stacking model, if there is one.
    const bool is_member = i < config.members.size();
    const std::string& model = is_member ? config.members[i].model : config.combine.model;
    const std::string where = is_member ? config.members[i].where : config.path + " combine.model";
    opened.failures += works ? 0 : 1;
    opened.members.push_back({{"name", member.name},
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
  return opened;
}

}  // namespace

int check(const ConfigOptions& options, bool json) {
  const ConfigReport report = examine_config(source_of(options));
  if (!report.problems.empty()) explain(report.problems, options.path);
  Opened opened;
  if (report.openable) {
    auto tried = open_models(*report.openable);
    if (!tried) {
      complain(tried.error());
      return tried.error().code == Errc::bad_config ? kUsage : kFailed;
    }
    opened = *std::move(tried);
  } else {
    say("no model was opened: what is wrong above must be mended first\n");
  }
  const bool sound = report.problems.empty() && opened.failures == 0;
  if (json) {
    nlohmann::ordered_json problems = nlohmann::ordered_json::array();
    for (const ConfigProblem& problem : report.problems) problems.push_back(to_json(problem.error));
    fmt::print(
        "{}\n",
        nlohmann::ordered_json{{"ok", sound}, {"problems", problems}, {"members", opened.members}}.dump(2));
  }
  if (opened.failures > 0) say("{} of {} members cannot start\n", opened.failures, opened.models);
  if (sound) say("{}: {} models, all load\n", options.path, opened.models);
  return sound ? kOk : kUsage;
}

}  // namespace tutti::cli
