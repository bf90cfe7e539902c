// An ensemble as its config file describes it: plain values, checked, ready to launch.
//
//   file + profile + environment + --set ──load_config()──▶ EnsembleConfig   or every error at once
//
// One table (settings.cpp) names every key with its type, range, default and help; the parser and the JSON
// Schema are both made from it, so they cannot disagree.
//
//   [ensemble]      name, task, classes, features, log_level, events
//   [combine]       rule, trim, coefficients, intercept, model, kind
//   [answer]        quorum, deadline, grace, last_resort, hedge, breaker, band
//   [restart]       backoff_min, backoff_max, budget, window, start_timeout, rate, violations
//   [limits]        in_flight, rows, spin
//   [jit]           mode, threshold, compile
//   [[member]]      name, model, kind, weight, instances, jit, jit_threshold, jit_compile
//   [profile.NAME]  the same tables beneath: [profile.dev.answer], and [profile.dev.member.boosted] for what
//                   is different about the member of that name. Those not chosen are checked too.
//
// Laid over the file, each over the one before, lists replaced as a whole:
//   --profile dev                           [profile.dev]
//   TUTTI_ANSWER__DEADLINE=20ms             TUTTI_TABLE__KEY in any case; without "__" it is no setting
//   TUTTI_MEMBER__BOOSTED__WEIGHT=2         '_' stands for '-' and '.' in the member's name
//   TUTTI_JIT=off, TUTTI_JIT_THRESHOLD=20   short for TUTTI_JIT__MODE and TUTTI_JIT__THRESHOLD, beneath those
//   --set answer.deadline=20ms              and --set member.boosted.weight=2
// A value from the environment or --set is read as TOML, and taken as text where it is not, or where the
// setting is a text. A member's name itself cannot be overlaid. Model paths, wherever given, are relative to
// the file.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "shared/cage.hpp"
#include "shared/error.hpp"
#include "shared/limits.hpp"
#include "supervisor/core/time.hpp"

namespace tutti {

enum class Task : std::uint8_t { classification, regression };

/// How votes become one answer. combine.hpp says what each does and what it does with missing votes.
enum class CombineRule : std::uint8_t {
  mean,
  weighted_mean,
  median,
  trimmed_mean,
  minimum,
  maximum,
  geometric_mean,
  soft_vote,
  hard_vote,
  rank_mean,
  stacking,
};

struct CombineConfig {
  CombineRule rule = CombineRule::mean;  // soft_vote where the task is classification and no rule is given
  double trim = 0.2;                     // trimmed_mean: the share cut off at each end, in [0, 0.5)
  /// stacking, linear: answer[o] = intercept[o] + sum over inputs i of coefficients[o][i] * input[i], where
  /// the inputs are the members' outputs in the config's order: [members * outputs].
  std::vector<std::vector<double>> coefficients;
  std::vector<double> intercept;
  std::string model;  // stacking by a model of its own, in an isolate of its own; absolute path
  std::string model_kind;

  bool operator==(const CombineConfig&) const = default;
};

/// Quorum: how many members must vote. `all` and `majority` are counted when the members are known.
struct Quorum {
  enum class Kind : std::uint8_t { count, majority, all } kind = Kind::majority;
  std::uint32_t count = 0;
  /// Votes needed out of `members`.
  [[nodiscard]] std::uint32_t of(std::uint32_t members) const noexcept {
    return kind == Kind::all ? members : kind == Kind::majority ? members / 2 + 1 : count;
  }
  bool operator==(const Quorum&) const = default;
};

struct AnswerConfig {
  Quorum quorum;
  Duration deadline = std::chrono::milliseconds(100);  // from the moment a request is accepted
  Duration grace = std::chrono::seconds(1);  // past its deadline, then a silent isolate is hung and killed
  std::string last_resort;                   // member whose vote alone answers below quorum; "" : an error
  bool hedge = true;                         // ask a second instance when the first is slower than usual
  bool breaker = true;                       // leave a member that keeps failing alone for a while
  double band = 0;  // how far a member may keep from the others' median before it is ejected; 0: any far

  bool operator==(const AnswerConfig&) const = default;
};

/// The walls around a member's processes, and what they may use. Not given: for a member what the ensemble
/// says.
struct IsolationConfig {
  std::optional<IsolationRequirement> require;
  std::optional<std::uint64_t> memory;       // bytes, of each isolate; not given: half of the machine
  std::optional<double> cpu_cores;           // of all processes of the member; needs cgroups
  std::optional<double> cpu_share;           // of a busy processor, against 1 for others; needs cgroups
  std::optional<std::int32_t> nice;          // 0 to 19
  std::optional<std::uint32_t> processes;    // and threads, of all isolates of the member
  std::optional<std::uint32_t> descriptors;  // of each process
  std::optional<std::uint64_t> file_size;    // bytes of any file that is written
  std::vector<std::string> read;  // absolute paths beside the model; a member's own, added to these

  bool operator==(const IsolationConfig&) const = default;
};

/// How far models of ours may leave their interpreter: tier1 answers by vector kernels, full also by such
/// that are compiled for the one model.
enum class JitMode : std::uint8_t { off, tier1, full };

/// When tier 2 is compiled: automatic, once what it would have saved has paid for it; load, whenever the
/// model is loaded.
enum class JitCompile : std::uint8_t { automatic, load };

/// Not given: for a member what the ensemble says.
struct JitConfig {
  std::optional<JitMode> mode;
  std::optional<std::uint32_t> threshold;  // calls before tier 1; 0: from the first; not given: by the size
  std::optional<JitCompile> compile;       // of tier 2; only where the mode is full

  bool operator==(const JitConfig&) const = default;
};

struct MemberConfig {
  std::string name;
  std::string model;  // absolute, normalised path
  std::string kind;   // "" : recognised by the worker
  double weight = 1.0;
  std::uint32_t instances = 1;
  IsolationConfig isolation;
  JitConfig jit;
  std::string where;  // "ensemble.toml:14:1", for errors found later

  bool operator==(const MemberConfig&) const = default;
};

struct RestartConfig {
  Duration backoff_min = std::chrono::milliseconds(50);
  Duration backoff_max = std::chrono::seconds(30);
  std::uint32_t budget = 5;  // restarts within `window`, then probing slowly
  Duration window = std::chrono::seconds(30);
  Duration start_timeout = std::chrono::seconds(30);  // from spawn to hello
  std::uint32_t rate = 4;        // restarts a second, of all isolates and templates together
  std::uint32_t violations = 2;  // lies or escape attempts, then probing slowly

  bool operator==(const RestartConfig&) const = default;
};

struct LimitsConfig {
  std::uint32_t in_flight = kInFlightDefault;  // request slots, a power of two
  std::uint32_t rows = kRowsDefault;           // rows of one request

  bool operator==(const LimitsConfig&) const = default;
};

/// How long a side that waits looks before it sleeps.
struct SpinConfig {
  bool automatic = true;
  Duration duration{};

  bool operator==(const SpinConfig&) const = default;
};

enum class LogLevel : std::uint8_t { trace, debug, info, warning, error, off };

struct EnsembleConfig {
  std::string name;
  std::string path;  // the file it came from; "" when built in C++
  Task task = Task::classification;
  std::vector<std::string> classes;  // empty for regression
  std::uint32_t features = 0;
  std::vector<std::string> feature_names;  // empty when only a number was given; else `features` names
  CombineConfig combine;
  AnswerConfig answer;
  std::vector<MemberConfig> members;
  RestartConfig restart;
  LimitsConfig limits;
  IsolationConfig isolation{.require = IsolationRequirement::best_effort,
                            .memory = {},
                            .cpu_cores = {},
                            .cpu_share = {},
                            .nice = 0,
                            .processes = 64,
                            .descriptors = 64,
                            .file_size = 0,
                            .read = {}};
  JitConfig jit{.mode = JitMode::full, .threshold = {}, .compile = JitCompile::automatic};
  SpinConfig spin;
  LogLevel log_level = LogLevel::warning;
  std::string events;  // file that events are appended to as JSON lines; "": none. In C++ also "-"

  /// Columns of an answer row: the classes, or 1.
  [[nodiscard]] std::uint32_t outputs() const noexcept {
    return task == Task::classification ? static_cast<std::uint32_t>(classes.size()) : 1;
  }
  bool operator==(const EnsembleConfig&) const = default;
};

/// Where the parts of a config come from.
struct ConfigSource {
  std::string path;                   // of the TOML file
  std::string profile;                // [profile.NAME] laid over the file; "" for none
  std::vector<std::string> settings;  // --set "answer.deadline=20ms", laid over all
  std::vector<std::pair<std::string, std::string>>
      environment;                // TUTTI_ANSWER__DEADLINE=20ms, names included
  bool models_must_exist = true;  // false: model files are not looked for
};

/// One thing wrong with a config. The text is "file:line:col: error: what; hint", then the line and a caret.
struct ConfigProblem {
  Error error;  // where: "ensemble.toml:14:9"
  std::string
      source_line;  // the line, cut with "…" where it is long; empty where there is none (environment, --set)
  std::uint32_t column = 0;  // of the caret in source_line, 1-based, in code points; 0 where there is none
};

/// "file:line:col: error: what; hint\n  weight = -1\n           ^\n", coloured when `colour`.
std::string describe(const ConfigProblem& problem, bool colour);

/// Reads, overlays and checks. Returns the config, or every problem found, in the file's order.
/// Does not open model files (only that a regular, readable file is there) and starts nothing.
std::expected<EnsembleConfig, std::vector<ConfigProblem>> load_config(const ConfigSource& source);

/// As load_config, from text: `path` names it in errors and anchors relative model paths.
std::expected<EnsembleConfig, std::vector<ConfigProblem>> parse_config(std::string_view text,
                                                                       const ConfigSource& source);

/// All that can be told of a config without opening a model, and what opening them takes.
struct ConfigReport {
  std::vector<ConfigProblem> problems;  // in the file's order; empty: the config is sound
  /// The config if it is sound. Else those members whose models can be opened all the same (their paths,
  /// kinds and shapes are beyond doubt), one isolate each, all else at its default; nothing where there is
  /// none.
  std::optional<EnsembleConfig> openable;
};

/// As load_config, for tutti check: a problem here must not hide one in a model.
ConfigReport examine_config(const ConfigSource& source);

/// Checks a config that was built in C++ under the same rules (ranges, duplicates, quorum > members, ...).
std::vector<Error> check_config(const EnsembleConfig& config);

/// JSON Schema (draft 2020-12) of the config file, made from the table that the parser uses.
std::string config_schema();

/// A config as TOML text that parse_config reads back to the same value (up to `where` and `path`).
std::string to_toml(const EnsembleConfig& config);

/// "20ms", "1.5s", "500us", "2m", "10ns" → a duration; nothing for anything else, negative or beyond 24 h.
std::optional<Duration> parse_duration(std::string_view text);

/// "512MiB", "2GiB", "100B" → bytes; nothing for anything else.
std::optional<std::uint64_t> parse_bytes(std::string_view text);

/// The shortest exact form: "512MiB", "100B".
std::string format_byte_size(std::uint64_t bytes);

/// What holds for a member: its own settings, and the ensemble's where it has none.
IsolationConfig isolation_of(const IsolationConfig& ensemble, const MemberConfig& member);
JitConfig jit_of(const JitConfig& ensemble, const MemberConfig& member);

/// The shortest exact form: "20ms", "1.5s".
std::string format_duration(Duration duration);

}  // namespace tutti
