// tutti status: asks the running supervisors of this user how they are.
//
// What they say is read as a stranger's: a document that is not one of ours is an error, and its texts are
// made printable before they reach a terminal.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "shared/log.hpp"
#include "shared/suggest.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/watch/status_json.hpp"

namespace tutti::cli {
namespace {

using Json = nlohmann::json;

constexpr auto kWatchStep = std::chrono::seconds(1);

// "risk.4711" is the ensemble risk; its name may have dots as well.
std::string ensemble_of(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  const std::size_t number = name.find_last_not_of("0123456789");
  if (number != std::string::npos && number > 0 && name[number] == '.') name.resize(number);
  return name;
}

std::string text_of(const Json& json, const char* key) { return printable(json.at(key).get<std::string>()); }
std::uint64_t count_of(const Json& json, const char* key) { return json.at(key).get<std::uint64_t>(); }
std::string time_of(const Json& json, const char* key) {
  return format_time(Duration(json.at(key).get<std::int64_t>()));
}

std::string missed_of(const Json& member) {
  std::string text;
  for (const auto& [cause, count] : member.at("missed").items()) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", printable(cause), count.get<std::uint64_t>());
  }
  return text.empty() ? "-" : text;
}

// "tier 1 avx512"; "-" for models that know no tiers.
std::string tier_of(const Json& member) {
  const Json& jit = member.at("jit");
  if (jit.is_null()) return "-";
  const std::string kernels = text_of(jit, "kernels");
  return fmt::format("tier {}{}{}", count_of(jit, "tier"), kernels.empty() ? "" : " ", kernels);
}

std::vector<std::string> row_of(const Json& member, const Json& isolate, bool first) {
  const Json& usage = isolate.at("usage");
  const Json& pid = isolate.at("pid");
  const Json& latency = member.at("latency");
  // What is counted for the member stands in its first isolate's line.
  const bool counted = first && count_of(latency, "count") > 0;
  return {text_of(isolate, "name"),
          text_of(isolate, "state"),
          pid.is_null() ? "-" : fmt::format("{}", pid.get<int>()),
          fmt::format("{}", count_of(isolate, "restarts")),
          fmt::format("{}", count_of(isolate, "outstanding")),
          usage.is_null() ? "-" : format_bytes(count_of(usage, "pss_bytes")),
          usage.is_null() ? "-" : format_bytes(count_of(usage, "unshared_bytes")),
          usage.is_null() ? "-" : time_of(usage, "cpu_ns"),
          counted ? time_of(latency, "p50_ns") : "-",
          counted ? time_of(latency, "p99_ns") : "-",
          first ? tier_of(member) : "",
          first ? format_count(count_of(member, "voted")) : "",
          first ? missed_of(member) : "",
          count_of(isolate, "restarts") > 0 ? text_of(isolate, "last_end") : "-"};
}

std::string for_people(const Json& status) {
  const Json& members = status.at("members");
  const Json& counters = status.at("counters");
  std::size_t ready = 0;
  std::vector<std::vector<std::string>> rows{{"isolate", "state", "pid", "restarts", "owes", "memory",
                                              "unshared", "cpu", "p50", "p99", "tier", "votes", "missed",
                                              "last end"}};
  for (const Json& member : members) {
    ready += count_of(member, "ready") > 0 ? 1 : 0;
    bool first = true;
    for (const Json& isolate : member.at("isolates"))
      rows.push_back(row_of(member, isolate, std::exchange(first, false)));
  }
  const std::uint64_t quarantined = count_of(counters, "rows_quarantined");
  return fmt::format(
      "{} (pid {}): {}, {} of {} members ready, quorum {}, isolation {}; up {}, {} answered, {} "
      "unanswered, {} in flight{}\n{}",
      text_of(status, "ensemble"), status.at("pid").get<int>(), text_of(status, "readiness"), ready,
      members.size(), count_of(status, "quorum"), text_of(status, "isolation"), time_of(status, "uptime_ns"),
      format_count(count_of(counters, "answered")), format_count(count_of(counters, "unanswered")),
      count_of(status, "in_flight"),
      quarantined > 0 ? fmt::format(", {} rows found that kill", format_count(quarantined)) : "",
      format_table(rows));
}

int code_of(const std::string& readiness) {
  if (readiness == name_of(Readiness::ready)) return kOk;
  return readiness == name_of(Readiness::degraded) ? kDegraded : kFailed;
}

// Not ready is worse than degraded, whatever their numbers.
int worse(int one, int other) {
  if (one == kFailed || other == kFailed) return kFailed;
  return std::max(one, other);
}

struct Look {
  int code = kOk;
  std::string text;
};

Result<Look> look_at(const std::string& path, bool json) {
  const auto document = fetch_status(path);
  if (!document) return std::unexpected(document.error());
  try {
    const Json status = Json::parse(*document);
    return Look{.code = code_of(status.at("readiness").get<std::string>()),
                .text = json ? status.dump() + "\n" : for_people(status) + "\n"};
  } catch (const Json::exception& exception) {
    return std::unexpected(Error{Errc::protocol,
                                 fmt::format("is no status of an ensemble: {}", exception.what()), path,
                                 "is it a socket of this version's tutti?"});
  }
}

int look_once(const StatusOptions& options) {
  const auto paths = sockets_of(options.what);
  if (!paths) {
    complain(paths.error());
    return kFailed;
  }
  int code = kOk;
  for (const std::string& path : *paths) {
    const auto look = look_at(path, options.json);
    if (look) {
      fmt::print("{}", look->text);
      code = worse(code, look->code);
    } else {
      complain(look.error());
      code = kFailed;
    }
  }
  std::fflush(stdout);
  return code;
}

}  // namespace

Result<std::vector<std::string>> sockets_of(const std::string& what) {
  if (what.find('/') != std::string::npos) return std::vector{what};
  auto all = list_sockets();
  if (!all) return all;
  if (what.empty() && all->empty()) {
    return std::unexpected(Error{Errc::not_ready, "no ensemble of this user is running", "tutti",
                                 "start one with tutti run, or name its socket"});
  }
  std::vector<std::string> found;
  std::vector<std::string> names;
  for (const std::string& path : *all) {
    names.push_back(ensemble_of(path));
    const bool meant = what.empty() || names.back() == what || std::filesystem::path(path).filename() == what;
    if (meant) found.push_back(path);
  }
  if (!found.empty()) return found;
  std::string hint = did_you_mean(what, names);
  if (hint.empty())
    hint = names.empty() ? "none is running" : fmt::format("running: {}", fmt::join(names, ", "));
  return std::unexpected(
      Error{Errc::not_ready, fmt::format("no running ensemble is called '{}'", what), "tutti", hint});
}

int status(const StatusOptions& options) {
  const bool redraw = options.watch && !options.json && ::isatty(STDOUT_FILENO) == 1;
  for (;;) {
    if (redraw) fmt::print("\x1b[H\x1b[J");
    const int code = look_once(options);
    // A reader that went away ends the watch.
    if (!options.watch || std::ferror(stdout) != 0) return code;
    std::this_thread::sleep_for(kWatchStep);
  }
}

Result<std::optional<WatchedSocket>> open_status_socket(const Ensemble& ensemble,
                                                        const WatchOptions& options) {
  if (options.socket == "off") return std::nullopt;
  const std::string name = ensemble.config().name;
  Janitor janitor;
  auto socket = StatusSocket::open(
      options.socket, name,
      [&ensemble, name] { return to_json(ensemble.status(ReadUsage::yes), name, ::getpid()); },
      [&janitor](const std::string& path) { janitor.note(path); });
  if (socket) return WatchedSocket{std::move(janitor), std::move(*socket)};
  if (!options.socket.empty()) return std::unexpected(socket.error());
  complain(socket.error());
  return std::nullopt;
}

}  // namespace tutti::cli
