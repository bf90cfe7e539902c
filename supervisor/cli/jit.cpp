// tutti jit: which tier each model answers from, what that gives, and why it stays there.
//
//   an ensemble of that name runs ──▶ its status socket ─┐
//   else: each member tried here (jit_trial.hpp) ────────┴──▶ the same JSON ──▶ a table for people
//
// What a socket says is a stranger's, as in status.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "shared/log.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/interrupt.hpp"
#include "supervisor/cli/jit_trial.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/watch/status_json.hpp"

namespace tutti::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text_of(const Json& json, const char* key) { return printable(json.at(key).get<std::string>()); }
std::uint64_t count_of(const Json& json, const char* key) { return json.at(key).get<std::uint64_t>(); }

std::string time_of(const Json& json, const char* key) {
  const auto ns = json.at(key).get<std::int64_t>();
  return ns == 0 ? "-" : format_time(Duration(ns));
}

std::string bytes_of(const Json& json, const char* key) {
  const std::uint64_t bytes = count_of(json, key);
  return bytes == 0 ? "-" : format_bytes(bytes);
}

std::string calls_of(const Json& tier) {
  const std::uint64_t calls = count_of(tier, "calls");
  return calls == 0 ? "-" : format_count(calls);
}

std::string row_time_of(const Json& tier) {
  const Json& time = tier.at("ns_per_row");
  return time.is_null() ? "-" : fmt::format("{:.1f}", time.get<double>());
}

/// "1:1 200 8-15:400": how many calls had how many rows.
std::string batches_of(const Json& jit) {
  std::vector<std::uint64_t> sums;
  for (const Json& tier : jit.at("tiers")) {
    std::size_t bin = 0;
    for (const Json& count : tier.at("batches")) {
      if (bin == sums.size()) sums.push_back(0);
      sums[bin++] += count.get<std::uint64_t>();
    }
  }
  std::string text;
  for (std::size_t bin = 0; bin < sums.size(); ++bin) {
    if (sums[bin] == 0) continue;
    const std::uint64_t least = 1ULL << (bin % 64);
    const std::string sizes = bin == 0 ? "1" : fmt::format("{}-{}", least, 2 * least - 1);
    text += fmt::format("{}{} rows: {}", text.empty() ? "" : ", ", sizes, format_count(sums[bin]));
  }
  return text.empty() ? "nothing was asked" : text;
}

std::string share_of(const Json& forecast) {
  return fmt::format("tier 2 would have saved {} so far and is compiled at {}",
                     format_time(Duration(forecast.at("forgone_ns").get<std::int64_t>())),
                     format_time(Duration(forecast.at("cost_ns").get<std::int64_t>())));
}

/// Why a model is where it is, or what it waits for.
std::string reason_of(const Json& jit) {
  std::string why_not = text_of(jit, "why_not");
  if (!why_not.empty()) return why_not;
  if (!jit.at("forecast").is_null()) return share_of(jit.at("forecast"));
  if (count_of(jit, "tier") == 0) return "tier 1 is built after more calls";
  return count_of(jit, "tier") == 2 ? "compiled" : "its worker does not say why";
}

/// Times a row are told apart by batch where a trial can: taken together they compare what is not alike.
std::vector<std::string> row_of(const Json& member, bool running) {
  std::vector<std::string> row{text_of(member, "name")};
  const Json& jit = member.at("jit");
  if (jit.is_null()) {
    return row;
  }
  const std::string kernels = text_of(jit, "kernels");
  row.push_back(fmt::format("{}{}{}", count_of(jit, "tier"), kernels.empty() ? "" : " ", kernels));
  const Json& tiers = jit.at("tiers");
  for (std::size_t tier = 0; tier < kTierCount; ++tier) row.push_back(calls_of(tiers.at(tier)));
  for (std::size_t tier = 0; running && tier < kTierCount; ++tier) row.push_back(row_time_of(tiers.at(tier)));
  row.push_back(time_of(jit, "build_ns"));
  row.push_back(bytes_of(jit, "bytes"));
  row.push_back(time_of(jit, "compile_ns"));
  row.push_back(bytes_of(jit, "code_bytes"));
  return row;
}

/// A trial's times by batch size: a line for each, with the tiers beside each other.
std::string trial_table(const Json& report) {
  std::vector<std::vector<std::string>> rows{
      {"member", "rows", "ns/row in tier 0", "in tier 1", "in tier 2"}};
  for (const Json& member : report.at("members")) {
    for (const Json& batch : member.at("batches")) {
      std::vector<std::string> row{text_of(member, "name"), fmt::format("{}", count_of(batch, "rows"))};
      for (const Json& time : batch.at("ns_per_row"))
        row.push_back(time.is_null() ? "-" : fmt::format("{:.1f}", time.get<double>()));
      rows.push_back(std::move(row));
    }
  }
  return rows.size() == 1 ? "" : "\n" + format_table(rows);
}

std::string for_people(const Json& report) {
  const bool running = report.at("running").get<bool>();
  std::string text = running
                         ? fmt::format("{} (pid {}): running; calls and times since its launch\n\n",
                                       text_of(report, "ensemble"), report.at("pid").get<int>())
                         : fmt::format("{}: does not run; each model was tried here, each tier by itself\n\n",
                                       text_of(report, "ensemble"));
  std::vector<std::vector<std::string>> rows{{"member", "tier", "calls 0", "calls 1", "calls 2"}};
  if (running) rows.front().insert(rows.front().end(), {"ns/row 0", "ns/row 1", "ns/row 2"});
  rows.front().insert(rows.front().end(), {"build", "table", "compile", "code"});
  std::string notes;
  for (const Json& member : report.at("members")) {
    rows.push_back(row_of(member, running));
    rows.back().resize(rows.front().size(), "-");
    const Json& jit = member.at("jit");
    const std::string error = text_of(member, "error");
    const std::string note = !error.empty()  ? error
                             : jit.is_null() ? "its model knows no tiers"
                                             : reason_of(jit) + "\n    " + batches_of(jit);
    notes += fmt::format("  {}: {}\n", rows.back().front(), note);
  }
  return fmt::format("{}{}{}\n{}", text, format_table(rows), trial_table(report), notes);
}

/// The same of what runs: what a status says, as far as it speaks of tiers.
Result<Json> report_of(const std::string& socket) {
  const auto document = fetch_status(socket);
  if (!document) return std::unexpected(document.error());
  try {
    const Json status = Json::parse(*document);
    Json members = Json::array();
    for (const Json& member : status.at("members")) {
      const bool silent = member.at("jit").is_null() && count_of(member, "ready") == 0;
      members.push_back({{"name", text_of(member, "name")},
                         {"jit", member.at("jit")},
                         {"error", silent ? "is not ready: " + text_of(member, "last_error") : ""},
                         {"batches", Json::array()}});
    }
    Json report{{"ensemble", text_of(status, "ensemble")},
                {"running", true},
                {"pid", status.at("pid").get<int>()},
                {"members", members}};
    // Whatever is missing or of another type must show now, not when it is printed.
    static_cast<void>(for_people(report));
    return report;
  } catch (const Json::exception& exception) {
    return std::unexpected(Error{Errc::protocol,
                                 fmt::format("is no status of an ensemble: {}", exception.what()), socket,
                                 "is it a socket of this version's tutti?"});
  }
}

Json report_of(const EnsembleConfig& config, const std::vector<TriedMember>& tried) {
  Json members = Json::array();
  for (const TriedMember& member : tried) {
    Json batches = Json::array();
    const bool known = member.tiers && member.tiers->presence == TierPresence::present;
    for (const BatchTimes& batch : known ? member.batches : std::vector<BatchTimes>()) {
      Json times = Json::array();
      for (const auto& time : batch.ns_per_row) times.push_back(time ? Json(*time) : Json());
      batches.push_back({{"rows", batch.rows}, {"ns_per_row", times}});
    }
    members.push_back({{"name", member.name},
                       {"jit", member.tiers ? to_json(*member.tiers) : Json()},
                       {"error", member.tiers ? "" : describe(member.tiers.error())},
                       {"batches", batches}});
  }
  return {{"ensemble", config.name}, {"running", false}, {"pid", nullptr}, {"members", members}};
}

void print(const Json& report, bool json) {
  if (json) {
    fmt::print("{}\n", report.dump(2, ' ', true, Json::error_handler_t::replace));
  } else {
    fmt::print("{}", for_people(report));
  }
}

int print_running(const std::vector<std::string>& sockets, bool json) {
  int code = kOk;
  for (const std::string& socket : sockets) {
    const auto report = report_of(socket);
    if (report) {
      print(*report, json);
    } else {
      complain(report.error());
      code = kFailed;
    }
  }
  return code;
}

int print_trial(const EnsembleConfig& config, bool json) {
  handle_signals();
  const std::vector<TriedMember> tried = try_tiers(config, interruption());
  if (interrupted() != 0) return 128 + interrupted();
  print(report_of(config, tried), json);
  const bool all =
      std::ranges::all_of(tried, [](const TriedMember& member) { return member.tiers.has_value(); });
  return all ? kOk : kFailed;
}

}  // namespace

int jit(const JitOptions& options) {
  const auto config = load_or_explain(options.config, options.json);
  if (!config) return kUsage;
  if (!options.trial) {
    // None of that name is no error here.
    const auto sockets = sockets_of(config->name);
    if (sockets) return print_running(*sockets, options.json);
  }
  return print_trial(*config, options.json);
}

}  // namespace tutti::cli
