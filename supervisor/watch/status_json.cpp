#include "supervisor/watch/status_json.hpp"

#include <nlohmann/json.hpp>

namespace tutti {
namespace {

using Json = nlohmann::ordered_json;

Json usage_json(const std::optional<Usage>& usage) {
  if (!usage) return nullptr;
  return {{"pss_bytes", usage->pss_bytes},
          {"unshared_bytes", usage->unshared_bytes},
          {"cpu_ns", usage->cpu.count()}};
}

Json isolate_json(const IsolateStatus& isolate) {
  Json json{{"name", isolate.name},
            {"state", name_of(isolate.phase)},
            {"pid", isolate.pid != 0 ? Json(isolate.pid) : Json(nullptr)},
            {"generation", isolate.generation},
            {"restarts", isolate.restarts},
            {"outstanding", isolate.outstanding},
            {"last_end", describe(isolate.last_end)},
            {"last_error", isolate.last_error},
            {"usage", usage_json(isolate.usage)}};
  if (isolate.next_in) json["next_start_in_ns"] = isolate.next_in->count();
  return json;
}

Json tier_json(const TierUse& use) {
  const auto per_row = ns_per_row(use);
  return {{"calls", use.calls},
          {"rows", use.rows},
          {"timed_rows", use.timed_rows},
          {"timed_ns", use.timed_ns},
          {"ns_per_row", per_row ? Json(*per_row) : Json(nullptr)},
          {"batches", use.batches}};
}

Json forecast_json(const std::optional<PromotionForecast>& forecast) {
  if (!forecast) return nullptr;
  return {{"forgone_ns", forecast->forgone.count()}, {"cost_ns", forecast->cost.count()}};
}

Json member_json(const MemberStatus& member) {
  Json isolates = Json::array();
  for (const IsolateStatus& isolate : member.isolates) isolates.push_back(isolate_json(isolate));
  Json missed = Json::object();
  for (const auto& [state, count] : member.missed) missed[std::string(name_of(state))] = count;
  return {{"name", member.name},
          {"instances", member.instances},
          {"ready", member.ready},
          {"restarts", member.restarts},
          {"load_ns", member.load.count()},
          {"isolation", name_of(level_of(member.walls))},
          {"walls", names_of(member.walls)},
          {"jit", to_json(member.tiers)},
          {"template_pid", member.template_pid != 0 ? Json(member.template_pid) : Json(nullptr)},
          {"voted", member.voted},
          {"missed", missed},
          {"latency",
           {{"count", member.latency.count},
            {"p50_ns", member.latency.p50.count()},
            {"p99_ns", member.latency.p99.count()},
            {"p999_ns", member.latency.p999.count()}}},
          {"last_error", member.last_error},
          {"isolates", isolates}};
}

Json counters_json(const EnsembleStatus& status) {
  const EngineCounters& seen = status.counters;
  const Counters& decided = status.decisions;
  return {{"answered", seen.answered},
          {"unanswered", seen.unanswered},
          {"shed", decided.shed},
          {"voted", decided.voted},
          {"late", decided.late},
          {"lost", decided.lost},
          {"rejected", decided.rejected},
          {"failed", decided.failed},
          {"not_ready", decided.not_ready},
          {"quarantined", decided.quarantined},
          {"ejected", decided.ejected},
          {"asked", decided.asked},
          {"retried", decided.retried},
          {"hedged", decided.hedged},
          {"hedges_won", decided.hedges_won},
          {"dropped", decided.dropped},
          {"deaths", decided.deaths},
          {"killed", decided.killed},
          {"lied", decided.lied},
          {"restarts", decided.restarts},
          {"breaker_opened", decided.breaker_opened},
          {"band_ejections", decided.band_ejections},
          {"poisoned", decided.poisoned},
          {"hunts", decided.hunts},
          {"hunts_given_up", decided.hunts_given_up},
          {"probes", decided.probes},
          {"hunt_deaths", decided.hunt_deaths},
          {"rows_quarantined", decided.rows_quarantined},
          {"stalls", decided.stalls},
          {"idle_bells", seen.idle_bells},
          {"starts", seen.starts},
          {"start_failures", seen.start_failures},
          {"events_dropped", seen.events_dropped}};
}

}  // namespace

Json to_json(const TierStatus& status) {
  if (status.presence != TierPresence::present) return nullptr;
  Json tiers = Json::array();
  for (const TierUse& use : status.tiers) tiers.push_back(tier_json(use));
  return {{"tier", status.tier},
          {"kernels", status.kernels},
          {"why_not", status.why_not},
          {"build_ns", status.build.count()},
          {"bytes", status.bytes},
          {"compile_ns", status.compile.count()},
          {"code_bytes", status.code_bytes},
          {"forecast", forecast_json(status.forecast)},
          {"tiers", tiers}};
}

std::string to_json(const EnsembleStatus& status, const std::string& ensemble, int pid) {
  Json members = Json::array();
  for (const MemberStatus& member : status.members) members.push_back(member_json(member));
  const Json json{{"ensemble", ensemble},
                  {"pid", pid},
                  {"readiness", name_of(status.readiness)},
                  {"config_generation", status.config_generation},
                  {"reloads_failed", status.reloads_failed},
                  {"last_reload_error", status.last_reload_error},
                  {"quorum", status.quorum},
                  {"isolation", name_of(status.isolation)},
                  {"in_flight", status.in_flight},
                  {"uptime_ns", status.uptime.count()},
                  {"usage", usage_json(status.supervisor)},
                  {"counters", counters_json(status)},
                  {"members", members}};
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace tutti
