// The commands of `tutti`, one file each. Data goes to standard output, people's text to standard error.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "shared/error.hpp"
#include "supervisor/cli/janitor.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/tutti.hpp"
#include "supervisor/watch/status_socket.hpp"

namespace tutti::cli {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,     // a command line or a config that cannot be run
  kDegraded = 3,  // answered, but some answers lack a member
  kInterrupted = 130,
};

/// Options of every command that reads a config.
struct ConfigOptions {
  std::string path;
  std::string profile;
  std::vector<std::string> settings;
};

/// Kills one worker of a member when a row is sent: a drill.
struct Drill {
  std::string member;
  double share = -1;      // of all rows, in [0, 1]; or
  std::uint64_t row = 0;  // the number of the row, when share is negative
};

/// How a running ensemble can be watched from outside.
struct WatchOptions {
  std::string socket;                 // "" chooses the place; "off": none
  std::optional<std::string> events;  // instead of the config's
};

struct RunOptions {
  ConfigOptions config;
  std::string input;
  std::string target;
  std::optional<std::string> output;
  std::string format;  // of the output; "" goes by its ending
  bool json = false;
  std::uint32_t repeat = 1;
  std::uint32_t batch = 0;  // rows of a request; 0 adapts to the deadline
  std::vector<Drill> drills;
  WatchOptions watch;
};

struct StatusOptions {
  std::string what;  // a socket's path, an ensemble's name, or "" for every ensemble of this user
  bool json = false;
  bool watch = false;
};

int run(const RunOptions& options);
/// As the command line gives it.
struct StressCommand {
  ConfigOptions config;
  std::string faults;       // "a,b"; "": all
  std::uint64_t kills = 0;  // instead of faults
  std::string members;      // "a,b"; "": all
  std::string length;       // "": 60s, or what the kills take
  double rate = 200;
  std::uint64_t seed = 0;
  bool json = false;
  std::string report;  // HTML file; "": none
  WatchOptions watch;
};

int stress(const StressCommand& command);
struct JitOptions {
  ConfigOptions config;
  bool json = false;
  bool trial = false;  // also where the ensemble runs
};
int jit(const JitOptions& options);
int status(const StatusOptions& options);
/// Of `tutti reload`: as of `tutti status`, but one ensemble.
struct ReloadOptions {
  std::string what;
};
int reload(const ReloadOptions& options);
/// The status sockets that are meant by a name, a path or "". Errors: not_ready (none), system.
Result<std::vector<std::string>> sockets_of(const std::string& what);
int check(const ConfigOptions& options, bool json);
int plan(const ConfigOptions& options, bool json);
int doctor(bool json);
int bench_guide(bool json);
int schema();
int version(bool json);

/// Where the parts of a config come from: the options, and TUTTI_… of the environment.
ConfigSource source_of(const ConfigOptions& options);

/// Reads the config, or prints every problem to standard error (to standard output as JSON when `json`).
std::optional<EnsembleConfig> load_or_explain(const ConfigOptions& options, bool json);

/// A status socket, and who removes it if this process is killed.
struct WatchedSocket {
  Janitor janitor;
  StatusSocket socket;
};

/// Opens the status socket of an ensemble that must outlive it; nothing if it is off. One that cannot be made
/// is told and done without, unless it was named.
Result<std::optional<WatchedSocket>> open_status_socket(const Ensemble& ensemble,
                                                        const WatchOptions& options);

/// Prints problems for people, and their number.
void explain(const std::vector<ConfigProblem>& problems, const std::string& path);

/// Prints an error for people, coloured where that is wanted.
void complain(const Error& error);

/// An error as JSON: code, what, where, hint.
nlohmann::ordered_json to_json(const Error& error);

/// "boosted@30%" or "boosted@1200". Errors: bad_usage.
Result<Drill> parse_drill(const std::string& text);

}  // namespace tutti::cli
