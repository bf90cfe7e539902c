// tutti: the supervisor's command line. Parsing only; each command is a file of its own.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "shared/suggest.hpp"
#include "supervisor/cli/commands.hpp"
#include "supervisor/cli/terminal.hpp"

namespace tutti::cli {
namespace {

void add_config(CLI::App& command, ConfigOptions& options) {
  command.add_option("config", options.path, "The ensemble's TOML file")->required();
  command.add_option("--profile", options.profile, "Lay [profile.NAME] over the file");
  command.add_option("--set", options.settings, "Change a setting: answer.deadline=20ms (may be repeated)")
      ->allow_extra_args(false);
}

void add_watch(CLI::App& command, WatchOptions& options) {
  command.add_option("--status-socket", options.socket,
                     "Where tutti status asks: a path, or off (a place of its own when left out)");
  command.add_option("--events", options.events,
                     "Append every change of state to this file as JSON lines; - is standard output");
}

// CLI11 says what is missing; which word it did not know, and what was meant, is found here.
Error explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
  Error explained{
      .code = Errc::bad_usage, .what = error.what(), .where = "tutti", .hint = "see tutti --help"};
  std::vector<std::string> known;
  const CLI::App* scope = &app;
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    if (command->parsed()) scope = command;
    known.push_back(command->get_name());
  }
  for (const CLI::Option* option : scope->get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    const bool is_command = scope == &app && !word.starts_with('-');
    if (std::ranges::find(known, name) != known.end() || !(is_command || word.starts_with("--"))) continue;
    explained.what = fmt::format("unknown {} '{}'", is_command ? "command" : "option", name);
    const std::string hint = did_you_mean(name, known);
    if (!hint.empty()) explained.hint = hint;
    break;
  }
  return explained;
}

// A list that is empty by mistake, from a variable that is not set, must not mean everything.
std::string refuse_empty(const std::string& text) {
  return text.empty() ? "names nothing; leave the option out to mean all" : "";
}

// A closed standard descriptor would be given to the next file or region that is opened, and then be written
// to.
void open_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) != -1) continue;
    // The lowest free number is this one, since those below it are open.
    [[maybe_unused]] const int opened = ::open("/dev/null", O_RDWR);
  }
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("tutti runs an ensemble of models as one; no model can take the others down.", "tutti");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help on every command");
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage or config, 3 degraded, 130 or 143 interrupted (SIGINT, SIGTERM).");

  RunOptions run_options;
  std::string output;
  std::vector<std::string> drills;
  ConfigOptions config;
  bool json = false;
  std::function<int()> action;

  CLI::App* run_command = app.add_subcommand("run", "Answer the rows of a CSV or NPY file");
  add_config(*run_command, run_options.config);
  run_command
      ->add_option("--input,-i", run_options.input, "Rows: a .csv or .npy file, or - for standard input")
      ->required();
  run_command->add_option("--target,-t", run_options.target, "Column with the true values; scores are shown");
  CLI::Option* output_option = run_command->add_option(
      "--output,-o", output,
      "Answers: a .csv, .jsonl or .npy file, or - (the default without --target and --json)");
  run_command->add_option(
      "--format,-f", run_options.format,
      "What the answers are written as: csv, jsonl or npy; by the output's ending when left out");
  run_command->add_flag("--json", run_options.json, "The summary as JSON on standard output");
  run_command->add_option("--repeat", run_options.repeat, "Go through the input this many times")
      ->check(CLI::Range(1U, 1'000'000U));
  run_command->add_option("--batch", run_options.batch, "Rows of a request; 0 adapts them to the deadline");
  run_command
      ->add_option("--kill", drills, "Drill: kill a worker of MEMBER at a row, MEMBER@ROW or MEMBER@30%")
      ->allow_extra_args(false);
  add_watch(*run_command, run_options.watch);
  run_command->callback([&] { action = [&] { return run(run_options); }; });

  StatusOptions status_options;
  CLI::App* status_command = app.add_subcommand("status", "Say how running ensembles are");
  status_command->add_option("what", status_options.what,
                             "An ensemble's name or a status socket's path; all when left out");
  status_command->add_flag("--json", status_options.json,
                           "As JSON on standard output, a line for each ensemble");
  status_command->add_flag("--watch", status_options.watch, "Once a second, until interrupted");
  status_command->callback([&] { action = [&] { return status(status_options); }; });

  ReloadOptions reload_options;
  CLI::App* reload_command =
      app.add_subcommand("reload", "Have a running ensemble load its config anew, without a pause");
  reload_command->add_option("what", reload_options.what,
                             "An ensemble's name or a status socket's path; not needed when one is running");
  reload_command->callback([&] { action = [&] { return reload(reload_options); }; });

  StressCommand stress_options;
  CLI::App* stress_command = app.add_subcommand(
      "stress", "Put load on an ensemble, strike its members with faults, check every answer");
  add_config(*stress_command, stress_options.config);
  stress_command
      ->add_option("--faults", stress_options.faults, "Which, as a,b,c; all (the default); list names them")
      ->check(refuse_empty);
  stress_command
      ->add_option("--members", stress_options.members,
                   "Who is struck from outside, as a,b; all when left out")
      ->check(refuse_empty);
  stress_command->add_option(
      "--kills", stress_options.kills,
      "Instead of faults: so many kills at random moments, many a second, under full load");
  stress_command->add_option("--for", stress_options.length,
                             "How long, 60s when left out; with --kills at most so long");
  stress_command
      ->add_option("--rate", stress_options.rate,
                   "Requests a second beside two callers who ask when they are answered")
      ->check(CLI::Range(0.0, 1e6));
  stress_command->add_option("--seed", stress_options.seed,
                             "Of rows, order and pauses; drawn and told when left out");
  stress_command->add_flag("--json", stress_options.json, "The report as JSON on standard output");
  stress_command->add_option("--report", stress_options.report, "The report as one HTML file");
  add_watch(*stress_command, stress_options.watch);
  stress_command->callback([&] { action = [&] { return stress(stress_options); }; });

  CLI::App* check_command =
      app.add_subcommand("check", "Say everything that is wrong with a config, models included");
  add_config(*check_command, config);
  check_command->add_flag("--json", json, "As JSON on standard output");
  check_command->callback([&] { action = [&] { return check(config, json); }; });

  CLI::App* plan_command =
      app.add_subcommand("plan", "Say what a launch would take: isolates, memory, cores");
  add_config(*plan_command, config);
  plan_command->add_flag("--json", json, "As JSON on standard output");
  plan_command->callback([&] { action = [&] { return plan(config, json); }; });

  JitOptions jit_options;
  CLI::App* jit_command = app.add_subcommand(
      "jit", "Say which tier each model answers from, how fast each tier is, and why it stays there");
  add_config(*jit_command, jit_options.config);
  jit_command->add_flag("--try", jit_options.trial, "Try the models here even where the ensemble runs");
  jit_command->add_flag("--json", jit_options.json, "As JSON on standard output");
  jit_command->callback([&] { action = [&] { return jit(jit_options); }; });

  CLI::App* doctor_command = app.add_subcommand(
      "doctor", "Say what this machine gives: the walls around workers, limits, how to get more");
  doctor_command->add_flag("--json", json, "As JSON on standard output");
  doctor_command->callback([&] { action = [&] { return doctor(json); }; });

  bool guide = false;
  CLI::App* bench_command = app.add_subcommand("bench", "Run a benchmark that readers know, beside its peer");
  bench_command
      ->add_flag("--guide", guide, "random(100, 784) @ random(784, 10), beside numpy where it is installed")
      ->required();
  bench_command->add_flag("--json", json, "As JSON on standard output");
  bench_command->callback([&] { action = [&] { return bench_guide(json); }; });

  app.add_subcommand("schema", "Print the JSON Schema of the config file, for editors")->callback([&] {
    action = [] { return schema(); };
  });

  CLI::App* version_command = app.add_subcommand("version", "Say which build this is");
  version_command->add_flag("--json", json, "As JSON on standard output");
  version_command->callback([&] { action = [&] { return version(json); }; });

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success);  // --help
  } catch (const CLI::ParseError& error) {
    complain(explain(app, error, std::vector<std::string>(argv + 1, argv + argc)));
    return kUsage;
  }
  if (*output_option) run_options.output = output;
  for (const std::string& text : drills) {
    auto drill = parse_drill(text);
    if (!drill) {
      complain(drill.error());
      return kUsage;
    }
    run_options.drills.push_back(*drill);
  }
  const int code = action();
  // What was printed for programs must have arrived, or this run has failed.
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  complain(
      system_error("writing to standard output", errno, "tutti", "is the disk full, or the reader gone?"));
  return code == kOk ? kFailed : code;
}

}  // namespace
}  // namespace tutti::cli

int main(int argc, char** argv) {
  tutti::cli::open_standard_descriptors();
  // A reader that went away is an error of a write, not the end of us.
  ::signal(SIGPIPE, SIG_IGN);
  if (argc == 2 && std::string_view(argv[1]) == tutti::cli::kJanitorArgument) return tutti::cli::be_janitor();
  try {
    return tutti::cli::parse_and_run(argc, argv);
  } catch (const std::exception& exception) {
    tutti::cli::say("tutti: error: {}\n", exception.what());
    return tutti::cli::kFailed;
  }
}
