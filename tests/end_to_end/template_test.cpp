// Templates: a member's model is loaded once, its isolates are forks, and what a worker says is checked.
#include <signal.h>

#include <algorithm>
#include <set>

#include "tests/end_to_end/world.hpp"

namespace tutti::test {
namespace {

EnsembleConfig with_model(const std::string& file, std::uint32_t instances) {
  EnsembleConfig config = hostile_config(1, instances);
  config.members[0].model = kBin + "/test_plugins/" + file + ".so";
  config.members.push_back({.name = "good", .model = kBin + "/test_plugins/steady.so"});
  return config;
}

Ensemble launch(EnsembleConfig config) {
  auto launched = Ensemble::launch(std::move(config), {.worker = kBin + "/tutti-worker"});
  if (!launched) FAIL(describe(launched.error()));
  return std::move(*launched);
}

std::set<int> children() {
  std::set<int> pids;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream list(task.path() / "children");
    for (int pid = 0; list >> pid;) pids.insert(pid);
  }
  return pids;
}

bool alive(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);
  return stat && text.find(") Z ") == std::string::npos;
}

// Children that are no isolate of a member: the templates. A dead one is kept as a zombie, so that nobody
// gets the number of its group, until the last of its isolates is gone.
std::set<int> templates(const Ensemble& ensemble) {
  Footprint::now();  // waits until companions have their name
  std::set<int> pids = children();
  std::erase_if(pids, [](int pid) { return !alive(pid) || is_companion(pid); });
  for (const MemberStatus& member : ensemble.status().members) {
    for (const int pid : member.pids) pids.erase(pid);
  }
  return pids;
}

// Kills an isolate of the first member and waits until another has taken its place.
void kill_and_heal(Ensemble& ensemble) {
  const std::uint32_t restarts = ensemble.status().members[0].restarts;
  REQUIRE(ensemble.kill_worker("m0"));
  for (int i = 0; i < 4000 && ensemble.status().members[0].restarts == restarts; ++i)
    std::this_thread::sleep_for(5ms);
  wait_until_healed(ensemble);
}

void ask(Ensemble& ensemble, std::uint32_t voters) {
  const std::vector<float> x{0, 0};
  Prediction prediction;
  const auto answered = ensemble.predict({x.data(), 1, 2}, prediction);
  if (!answered) FAIL(describe(answered.error()));
  CHECK(prediction.voted == voters);
}

}  // namespace

TEST_CASE("template: an isolate that dies is replaced by another fork of the same template", "[template]") {
  Ensemble ensemble = launch(with_model("steady", 2));
  const std::set<int> before = templates(ensemble);
  CHECK(before.size() == 2);
  for (int round = 0; round < 5; ++round) {
    kill_and_heal(ensemble);
    ask(ensemble, 2);
  }
  CHECK(templates(ensemble) == before);
}

TEST_CASE("template: one that is killed is rebuilt while its isolates go on voting", "[template]") {
  Ensemble ensemble = launch(with_model("steady", 1));
  const std::vector<int> isolates = ensemble.status().members[0].pids;
  const std::set<int> before = templates(ensemble);
  for (const int pid : before) ::kill(pid, SIGKILL);
  for (int i = 0; i < 50; ++i) ask(ensemble, 2);
  // A template that starts is more than one process for a moment.
  const auto rebuilt = [&](const std::set<int>& now) {
    return now.size() == 2 && std::ranges::none_of(now, [&](int pid) { return before.contains(pid); });
  };
  for (int i = 0; i < 4000 && !rebuilt(templates(ensemble)); ++i) std::this_thread::sleep_for(5ms);
  CHECK(rebuilt(templates(ensemble)));
  CHECK(ensemble.status().members[0].pids == isolates);
  CHECK(ensemble.status().members[0].restarts == 0);

  kill_and_heal(ensemble);
  ask(ensemble, 2);
}

TEST_CASE("template: a stopped one costs its isolates their restart only until it is replaced",
          "[template]") {
  EnsembleConfig config = with_model("steady", 1);
  config.restart.start_timeout = 300ms;
  Ensemble ensemble = launch(config);
  for (const int pid : templates(ensemble)) ::kill(pid, SIGSTOP);
  kill_and_heal(ensemble);
  ask(ensemble, 2);
}

TEST_CASE("template: a model that cannot be forked is loaded by each isolate for itself", "[template]") {
  const auto* const file = GENERATE("never_fork", "with_thread");
  CAPTURE(file);
  const Footprint before = Footprint::now();
  {
    Ensemble ensemble = launch(with_model(file, 3));
    wait_until_healed(ensemble);
    CHECK(templates(ensemble).size() == 1);  // the other member's
    ask(ensemble, 2);
    kill_and_heal(ensemble);
    ask(ensemble, 2);
  }
  CHECK(Footprint::now() == before);
}

TEST_CASE("template: a worker that says what no correct worker says is not believed", "[template]") {
  // Goal: the control socket is no way into the supervisor. Method: a model that speaks on it while it loads.
  const auto [file, reason] = GENERATE(table<std::string, std::string>({
      {"lie_short", "it sent 5 bytes that are no notice"},
      {"lie_born", "it made more isolates than were ordered"},
      {"lie_twice", "it reported twice"},
      {"lie_loading", "it reported twice"},
  }));
  CAPTURE(file);
  const Footprint before = Footprint::now();
  {
    EnsembleConfig config = with_model(file, 1);
    config.restart.backoff_min = 10ms;
    Ensemble ensemble = launch(config);
    const EnsembleStatus status = ensemble.status();
    CHECK(status.members[0].ready == 0);
    CHECK(status.members[0].last_error == "protocol violation: " + reason);
    for (int i = 0; i < 20; ++i) ask(ensemble, 1);
  }
  CHECK(Footprint::now() == before);
}

TEST_CASE("template: one that makes processes which nobody ordered is not believed, and they go with it",
          "[template]") {
  // Where the kernel lists no children nobody can see them; they end with the member all the same.
  if (!std::filesystem::exists("/proc/thread-self/children")) return;
  const Footprint before = Footprint::now();
  {
    Ensemble ensemble = launch(with_model("hides_processes", 1));
    CHECK(ensemble.status().members[0].ready == 0);
    CHECK(ensemble.status().members[0].last_error ==
          "protocol violation: it made processes that nobody ordered");
    ask(ensemble, 1);
  }
  CHECK(Footprint::now() == before);
}

TEST_CASE("template: descriptors that a worker sends do not stay", "[template]") {
  // A kernel that can refuses them at the sender's side, and the worker is none the worse; else it is
  // distrusted.
  const Footprint before = Footprint::now();
  {
    Ensemble ensemble = launch(with_model("lie_descriptor", 1));
    const std::vector<float> x{0, 0};
    for (int i = 0; i < 20; ++i) CHECK(ensemble.predict({x.data(), 1, 2}));
  }
  CHECK(Footprint::now() == before);
}

}  // namespace tutti::test
