#include <nlohmann/json.hpp>

#include "supervisor/stress/report.hpp"

namespace tutti::stress {
namespace {

using Json = nlohmann::ordered_json;

Json time_json(const std::optional<Duration>& time) { return time ? Json(time->count()) : Json(nullptr); }

Json quantiles_json(const Quantiles& q) {
  return {
      {"count", q.count}, {"p50_ns", q.p50.count()}, {"p99_ns", q.p99.count()}, {"p999_ns", q.p999.count()}};
}

Json effects_json(const Effects& effects) {
  return {{"lost", effects.lost}, {"twice", effects.twice},   {"wrong", effects.wrong},
          {"late", effects.late}, {"failed", effects.failed}, {"bystander_misses", effects.bystander_misses}};
}

Json counts_json(const Counts& counts) {
  Json json{{"sent", counts.sent},
            {"answered", counts.answered},
            {"unanswered", counts.unanswered},
            {"refused", counts.refused}};
  json.update(effects_json(counts.effects));
  return json;
}

Json row_json(const FaultRow& row) {
  Json json{{"fault", row.fault.name},
            {"strikes", row.strikes},
            {"noticed_ns", time_json(row.noticed)},
            {"past_deadline_ns", time_json(row.overshoot)},
            {"healed_ns", time_json(row.healed)}};
  json.update(effects_json(row.effects));
  json.update({{"bystander_p99_ns", row.bystander_p99.count()},
               {"quiet_p99_ns", row.quiet_p99.count()},
               {"p99_ratio", row.p99_ratio},
               {"left_behind", row.left},
               {"held", row.problems.empty()},
               {"problems", row.problems}});
  return json;
}

Json footprint_json(const Footprint& footprint) {
  Json json = Json::object();
  for (const auto& [name, count] : footprint.parts()) json[name] = count;
  json["unshared_bytes"] = footprint.memory_bytes;
  return json;
}

}  // namespace

std::string to_json(const StressReport& report, const Machine& machine) {
  Json rows = Json::array();
  for (const FaultRow& row : report.rows) rows.push_back(row_json(row));
  Json strikes = Json::array();
  for (const Strike& strike : report.strikes) {
    strikes.push_back({{"fault", report.faults[strike.fault].name},
                       {"member", strike.member},
                       {"at_ns", strike.at.count()},
                       {"noticed_ns", time_json(strike.noticed)},
                       {"healed_ns", time_json(strike.healed)},
                       {"problem", strike.problem},
                       {"left_behind", strike.left}});
  }
  const Json json{{"ensemble", report.ensemble},
                  {"held", report.held()},
                  {"interrupted", report.interrupted},
                  {"seed", report.seed},
                  {"length_ns", report.length.count()},
                  {"deadline_ns", report.deadline.count()},
                  {"requests", counts_json(report.counts)},
                  {"answers", quantiles_json(report.answers)},
                  {"quiet_votes", quantiles_json(report.quiet)},
                  {"noticed_median_ns", report.noticed_median.count()},
                  {"past_deadline_median_ns", report.overshoot_median.count()},
                  {"healed_median_ns", report.healed_median.count()},
                  {"faults", rows},
                  {"strikes", strikes},
                  {"before", footprint_json(report.before)},
                  {"after", footprint_json(report.after)},
                  {"left_behind", report.before.difference(report.after)},
                  {"left_while_running", report.running_difference},
                  {"problems", report.problems},
                  {"notes", report.notes},
                  {"machine",
                   {{"processor", machine.processor},
                    {"cores", machine.cores},
                    {"kernel", machine.kernel},
                    {"version", machine.version},
                    {"compiler", machine.compiler},
                    {"when", machine.when}}}};
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace tutti::stress
