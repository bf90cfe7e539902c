#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>

#include "shared/suggest.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/interrupt.hpp"
#include "supervisor/cli/pipeline.hpp"
#include "supervisor/cli/reload.hpp"
#include "supervisor/cli/report.hpp"
#include "supervisor/cli/terminal.hpp"
#include "supervisor/data/sink.hpp"
#include "supervisor/data/table.hpp"

namespace tutti::cli {
namespace {

Result<std::unique_ptr<TableReader>> open_input(const RunOptions& options, const EnsembleConfig& config) {
  return open_table({.path = options.input,
                     .features = config.features,
                     .feature_names = config.feature_names,
                     .target = options.target,
                     .classes = config.classes});
}

Result<void> check_drills(const RunOptions& options, const EnsembleConfig& config) {
  std::vector<std::string> names;
  for (const MemberConfig& member : config.members) names.push_back(member.name);
  for (const Drill& drill : options.drills) {
    if (std::ranges::find(names, drill.member) != names.end()) continue;
    std::string hint = did_you_mean(drill.member, names);
    if (hint.empty()) hint = fmt::format("the members are {}", fmt::join(names, ", "));
    return std::unexpected(
        Error{Errc::bad_usage, fmt::format("no member is called '{}'", drill.member), "--kill", hint});
  }
  return {};
}

int exit_code_of(const Error& error) {
  const bool usage = error.code == Errc::bad_usage || error.code == Errc::bad_config;
  return usage ? kUsage : kFailed;
}

int fail(const Error& error) {
  complain(error);
  return exit_code_of(error);
}

// Everything that a run holds, in the order in which it is built.
struct Run {
  Ensemble ensemble;
  Statistics statistics;
  std::unique_ptr<AnswerSink> sink;
};

// Where the answers go: "" for nowhere.
std::string output_path(const RunOptions& options) {
  const bool asked_for = options.output.has_value() || !options.format.empty();
  if (!asked_for && (!options.target.empty() || options.json)) return "";
  return options.output.value_or("-");
}

bool is_standard_output(const std::string& path) { return path == "-" || path == "/dev/stdout"; }

// A run must not replace the rows that it reads, and appending answers to them would never end.
Result<void> check_output(const RunOptions& options) {
  const std::string path = output_path(options);
  if (path.empty()) return {};
  if (is_standard_output(path) && options.json) {
    return std::unexpected(Error{Errc::bad_usage, "the summary and the answers both want standard output",
                                 "--json", "write the answers to a file with --output"});
  }
  struct stat input{};
  struct stat output{};
  const bool both =
      (options.input == "-" ? ::fstat(STDIN_FILENO, &input) : ::stat(options.input.c_str(), &input)) == 0 &&
      (is_standard_output(path) ? ::fstat(STDOUT_FILENO, &output) : ::stat(path.c_str(), &output)) == 0;
  if (!both || !S_ISREG(input.st_mode) || input.st_dev != output.st_dev || input.st_ino != output.st_ino)
    return {};
  return std::unexpected(Error{Errc::bad_usage, "the output is the input file itself",
                               fmt::format("--output {}", path), "write the answers to another file"});
}

// What became of an output whose rows were cut short. A stream has them already.
void say_what_is_kept(const AnswerSink& sink, const std::string& path) {
  const std::string kept = sink.kept_in();
  if (is_standard_output(path)) return;
  if (kept.empty()) {
    say("no row was answered: {} was not written\n", path);
  } else if (kept == path) {
    say("{} holds the answers before the error, no more\n", path);
  } else {
    say("{} is as it was; {} holds the answers before the error\n", path, kept);
  }
}

Result<std::unique_ptr<AnswerSink>> open_output(const RunOptions& options, const EnsembleConfig& config) {
  const std::string path = output_path(options);
  if (path.empty()) return std::unique_ptr<AnswerSink>();
  return open_sink({.path = path, .format = options.format, .classes = config.classes});
}

Result<void> send_all(const RunOptions& options, Run& run, ProgressBar& bar) {
  const EnsembleConfig& config = run.ensemble.config();
  auto table = open_input(options, config);
  if (!table) return std::unexpected(table.error());
  auto total = (*table)->rows_estimated();
  if (total) *total *= options.repeat;
  if (options.repeat > 1 && !(*table)->is_file()) {
    return std::unexpected(
        Error{Errc::bad_usage, "--repeat needs a file, not a pipe", options.input, "save it first"});
  }
  Pipeline pipeline(
      run.ensemble, run.statistics, run.sink.get(),
      {.batch = options.batch, .drills = options.drills, .rows_total = total, .interrupted = &interruption()},
      [&](std::uint64_t rows) { bar.update(rows, total, ""); });
  Result<void> fed = pipeline.feed(**table);
  for (std::uint32_t round = 1; round < options.repeat && fed && interrupted() == 0; ++round) {
    table = open_input(options, config);
    if (!table) return std::unexpected(table.error());
    fed = pipeline.feed(**table);
  }
  // Also after an error: what was read before it is answered and written.
  Result<void> finished = pipeline.finish();
  return fed ? finished : fed;
}

}  // namespace

int run(const RunOptions& options) {
  auto config = load_or_explain(options.config, options.json);
  if (!config) return kUsage;
  if (auto checked = check_drills(options, *config); !checked) return fail(checked.error());
  if (auto checked = check_output(options); !checked) return fail(checked.error());
  // The input is opened once before anything is started, so that its problems cost no launch. A pipe can be
  // read only once.
  std::error_code unknown;
  const bool is_pipe = options.input == "-" || (std::filesystem::exists(options.input, unknown) &&
                                                !std::filesystem::is_regular_file(options.input, unknown));
  if (!is_pipe) {
    if (auto probe = open_input(options, *config); !probe) return fail(probe.error());
  }
  end_standard_input_when_interrupted(options.input == "-");
  if (options.watch.events) config->events = *options.watch.events;
  if (config->events == "-" && (options.json || output_path(options) == "-")) {
    return fail({Errc::bad_usage, "--events - and the answers both want standard output", "tutti run",
                 "write one of them to a file"});
  }
  std::optional<Run> run;  // outlives what reloads its ensemble
  ReloadOnHangup reload(options.config);
  // Until all have started any other signal simply ends us, and the kernel ends the workers.
  auto ensemble = Ensemble::launch(*config, {.events = options.watch.events});
  if (!ensemble) return fail(ensemble.error());
  handle_signals();
  auto sink = open_output(options, *config);
  if (!sink) return fail(sink.error());

  run.emplace(Run{std::move(*ensemble), Statistics(*config, !options.target.empty()), std::move(*sink)});
  const auto socket = open_status_socket(run->ensemble, options.watch);
  if (!socket) return fail(socket.error());
  reload.serve(run->ensemble);
  ProgressBar bar(config->name);
  const auto begun = std::chrono::steady_clock::now();
  Result<void> sent = send_all(options, *run, bar);
  const auto elapsed = std::chrono::steady_clock::now() - begun;
  bar.clear();
  if (run->sink) {
    if (auto closed = run->sink->close(sent ? Ending::whole : Ending::cut_short); !closed && sent)
      sent = closed;
  }
  report({.config = *config,
          .statistics = run->statistics,
          .status = run->ensemble.status(),
          .elapsed = std::chrono::duration_cast<Duration>(elapsed),
          .scored = !options.target.empty(),
          .interrupted = interrupted() != 0,
          .json = options.json,
          .error = sent ? std::nullopt : std::optional<Error>(sent.error())});
  if (run->sink && !sent) say_what_is_kept(*run->sink, output_path(options));
  if (!sent) return exit_code_of(sent.error());
  if (interrupted() != 0) return 128 + interrupted();
  if (run->statistics.rows_unanswered() > 0) return kFailed;
  return run->statistics.rows_degraded() > 0 ? kDegraded : kOk;
}

}  // namespace tutti::cli
