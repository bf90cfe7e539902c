// The bench is guarded by a process that does nothing else: whatever becomes of the measuring one, its files
// are removed, and it ends in time. All others end with the process that started them (PDEATHSIG).
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "bench.hpp"

namespace tutti::bench {
namespace {

constexpr std::array<std::pair<const char*, Case>, 9> kCases = {{{"line", line_case},
                                                                 {"dispatch", dispatch_case},
                                                                 {"peers", peers_case},
                                                                 {"one_core", one_core_case},
                                                                 {"fan_out", fan_out_case},
                                                                 {"input", input_case},
                                                                 {"busy", busy_case},
                                                                 {"restart", restart_case},
                                                                 {"rows", rows_case}}};

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<unsigned>(core), &set)) cores.push_back(core);
  }
  return cores;
}

int measure(const Options& options, const std::vector<std::string>& only, const std::string& json_path) {
  Report report;
  for (const auto& [name, run] : kCases) {
    if (only.empty() || std::ranges::find(only, name) != only.end()) run(report, options);
  }
  if (json_path.empty()) return 0;
  std::ofstream file(json_path);
  file << report.json(options) << '\n';
  file.close();
  if (file) return 0;
  fmt::print(stderr, "{}: cannot be written\n", json_path);
  return 1;
}

// Waits for the measuring process, for a signal or for the end of its time.
int guard(pid_t measuring, const sigset_t& signals, int seconds) {
  const timespec limit{.tv_sec = seconds, .tv_nsec = 0};
  const int signal = ::sigtimedwait(&signals, nullptr, &limit);
  if (signal != SIGCHLD) {
    fmt::print(stderr, "tutti_bench: {}\n", signal < 0 ? "took too long and was ended" : "interrupted");
    ::kill(measuring, SIGKILL);
  }
  int status = 0;
  while (::waitpid(measuring, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (signal == SIGCHLD) fmt::print(stderr, "tutti_bench: ended by signal {}\n", WTERMSIG(status));
  return 1;
}

int main(int count, char** words) {
  CLI::App app("What a hand-over costs, against the machine and the peers");
  Options options;
  std::string json_path;
  std::vector<std::string> only;
  bool list = false;
  std::vector<std::string> names;
  for (const auto& [name, run] : kCases) names.emplace_back(name);
  app.add_option("--json", json_path, "Write the results to this file too");
  app.add_option("--only", only, "This case alone (may be repeated)")->check(CLI::IsMember(names));
  app.add_flag("--quick", options.quick, "Fewer repeats and rows: less than 40 s");
  app.add_flag("--list", list, "Name the cases");
  CLI11_PARSE(app, count, words);
  if (list) {
    for (const std::string& name : names) fmt::print("{}\n", name);
    return 0;
  }
  options.cores = usable_cores();
  options.until_ns = now_ns() + (options.quick ? 30e9 : 150e9);
  std::string scratch = (std::filesystem::temp_directory_path() / "tutti_bench.XXXXXX").string();
  if (::mkdtemp(scratch.data()) == nullptr) {
    fmt::print(stderr, "{}: cannot be made\n", scratch);
    return 1;
  }
  options.scratch = scratch;

  sigset_t signals;
  sigset_t before;
  ::sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, &before);
  const pid_t guardian = ::getpid();
  const pid_t measuring = ::fork();
  if (measuring == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != guardian) ::_exit(1);
    const int code = measure(options, only, json_path);
    std::fflush(nullptr);
    ::_exit(code);
  }
  const int code = measuring < 0 ? 1 : guard(measuring, signals, options.quick ? 60 : 210);
  std::error_code ignored;
  std::filesystem::remove_all(scratch, ignored);
  return code;
}

}  // namespace
}  // namespace tutti::bench

int main(int count, char** words) { return tutti::bench::main(count, words); }
