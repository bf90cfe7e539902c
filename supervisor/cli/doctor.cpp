// What this machine gives tutti, wall by wall and limit by limit, and how to get the rest.
//
// Every line is tried, none is guessed from a version: a worker enters its cage and says what holds.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "shared/message.hpp"
#include "shared/region.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/isolation/probe.hpp"
#include "supervisor/plan.hpp"
#include "supervisor/process.hpp"

namespace tutti::cli {
namespace {

using Json = nlohmann::ordered_json;

/// One thing that was looked at.
struct Finding {
  std::string name;
  bool good = false;
  std::string seen;    // what was found
  std::string remedy;  // what to do if it is not good
};

std::string kernel() {
  utsname names{};
  ::uname(&names);
  return fmt::format("{} {} ({})", names.sysname, names.release, names.machine);
}

Finding find_seals() {
  const auto region = Region::create("tutti-doctor", kPage, Writer::creator);
  return {.name = "sealed shared memory",
          .good = region.has_value(),
          .seen = region ? "a memfd that only its maker can write" : describe(region.error()),
          .remedy = "Linux 5.1 or later; in a container, a seccomp profile that allows memfd_create"};
}

Finding find_pidfd() {
  const Descriptor self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  return {.name = "pidfd",
          .good = self.is_open(),
          .seen = self.is_open() ? "deaths are seen as they happen" : "pidfd_open fails",
          .remedy = "Linux 5.3 or later; in a container, a seccomp profile that allows pidfd_open"};
}

std::string limit_text(rlim_t limit) {
  return limit == RLIM_INFINITY ? "unlimited" : fmt::format("{}", limit);
}

Finding find_descriptors() {
  constexpr rlim_t kEnough = 1024;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return {.name = "open files",
          .good = limit.rlim_cur >= kEnough,
          .seen = fmt::format("{} (hard limit {})", limit_text(limit.rlim_cur), limit_text(limit.rlim_max)),
          .remedy = fmt::format("ulimit -n {}; `tutti plan` says how many a config needs", kEnough)};
}

Finding find_locked_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  // Nothing of tutti's needs it today: it is shown because models on accelerators do.
  return {.name = "locked memory",
          .good = true,
          .seen = limit.rlim_cur == RLIM_INFINITY ? "unlimited" : format_bytes(limit.rlim_cur),
          .remedy = {}};
}

Finding find_cores() {
  const std::uint32_t cores = cores_available();
  return {
      .name = "cores",
      .good = cores >= 2,
      .seen = fmt::format("{} of {}", cores, ::sysconf(_SC_NPROCESSORS_ONLN)),
      .remedy = "with one core every hand-over is a switch of processes; allow more with taskset or cpus"};
}

Finding find_protocol(const Result<std::string>& program, const Result<ProbeReport>& report) {
  Finding finding{.name = "tutti-worker", .good = false, .seen = {}, .remedy = {}};
  if (!program) {
    finding.seen = describe(program.error());
    finding.remedy = program.error().hint;
  } else if (!report) {
    finding.seen = describe(report.error());
    finding.remedy = report.error().hint;
  } else {
    finding.good = report->protocol == kProtocolVersion;
    finding.seen = fmt::format("{}, protocol {}", *program, report->protocol);
    finding.remedy =
        fmt::format("this tutti speaks protocol {}: install both from the same build", kProtocolVersion);
  }
  return finding;
}

std::vector<Finding> find_walls(const ProbeReport& report) {
  std::vector<Finding> findings;
  for (std::size_t index = 0; index < kWallCount; ++index) {
    const auto wall = static_cast<Wall>(index);
    const auto why = report.missing.find(wall);
    const bool holds = report.walls.has(wall) || report.group_walls.has(wall);
    // Where the user namespace hides a worker's memory it may be looked at by its supervisor.
    const bool needless = wall == Wall::not_dumpable && report.walls.has(Wall::user_namespace);
    findings.push_back({.name = std::string(name_of(wall)),
                        .good = holds || needless,
                        .seen = holds                         ? "holds"
                                : needless                    ? "not needed"
                                : why != report.missing.end() ? "missing: " + why->second
                                                              : "missing",
                        .remedy = std::string(remedy_of(wall))});
  }
  return findings;
}

/// `lacking`: what stands before a finding that is not good.
void print(std::string_view title, const std::vector<Finding>& findings, std::string_view lacking) {
  fmt::print("{}\n", title);
  for (const Finding& finding : findings) {
    fmt::print("  {:<8} {:<22} {}\n", finding.good ? "ok" : lacking, finding.name, finding.seen);
    if (!finding.good) fmt::print("  {:<8} {:<22} → {}\n", "", "", finding.remedy);
  }
}

Json to_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) {
    Json one{{"name", finding.name}, {"ok", finding.good}, {"seen", finding.seen}};
    if (!finding.good) one["remedy"] = finding.remedy;
    list.push_back(std::move(one));
  }
  return list;
}

void print_threats(Walls walls) {
  fmt::print("What a hostile model could do here\n");
  for (const Threat& threat : threats())
    fmt::print("  {:<8} {}\n", threat.stopped_by(walls) ? "stopped" : "OPEN", threat.name);
}

}  // namespace

int doctor(bool json) {
  const auto program = find_worker();
  const Result<ProbeReport> report = program ? probe_isolation(*program) : std::unexpected(program.error());
  const std::vector<Finding> machine{find_protocol(program, report),
                                     find_seals(),
                                     find_pidfd(),
                                     find_cores(),
                                     find_descriptors(),
                                     find_locked_memory()};
  const Walls walls = report ? report->walls : Walls{};
  const std::vector<Finding> wall_findings = report ? find_walls(*report) : std::vector<Finding>{};
  const IsolationLevel level = level_of(walls);
  // Without a worker of our own build nothing runs at all; the rest is a matter of degree.
  const bool works = machine[0].good && machine[1].good && machine[2].good;
  if (json) {
    Json stopped = Json::array();
    for (const Threat& threat : threats())
      stopped.push_back({{"threat", threat.name}, {"stopped", threat.stopped_by(walls)}});
    fmt::print("{}\n", Json{{"level", name_of(level)},
                            {"kernel", kernel()},
                            {"set_up_ns", report ? report->took.count() : 0},
                            {"machine", to_json(machine)},
                            {"walls", to_json(wall_findings)},
                            {"threats", stopped}}
                           .dump(2));
  } else {
    fmt::print("{}\n\n", kernel());
    print("Machine", machine, "MISSING");
    if (report) {
      fmt::print("\n");
      // Where others do its work as well, nobody need worry about a wall that is not there.
      print(fmt::format("Walls around a worker (set up in {})", format_time(report->took)), wall_findings,
            level == IsolationLevel::full ? "without" : "MISSING");
      fmt::print("\n");
      print_threats(walls);
    }
    fmt::print("\nIsolation: {}\n", name_of(level));
  }
  if (!works) return kFailed;
  return level == IsolationLevel::full ? kOk : kDegraded;
}

}  // namespace tutti::cli
