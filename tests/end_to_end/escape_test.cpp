// A model that attacks its host, in a real ensemble: the attack is stopped, the others answer, nothing
// outside changed.
#include <sys/resource.h>
#include <sys/syscall.h>

#include <fstream>

#include "supervisor/isolation/control_group.hpp"
#include "supervisor/isolation/probe.hpp"
#include "tests/end_to_end/world.hpp"
#include "tests/plugins/evil.h"

namespace tutti::test {
namespace {

const std::string kEvil = kBin + "/test_plugins/evil.so";

/// An evil member, and a good one beside it whose vote must come whatever the other does.
EnsembleConfig evil_config() {
  EnsembleConfig config = hostile_config(2);
  config.answer.deadline = 5s;
  config.members[0].name = "evil";
  config.members[0].model = kEvil;
  config.members[1].name = "good";
  config.members[1].model = kBin + "/test_plugins/steady.so";
  return config;
}

Ensemble launched(const EnsembleConfig& config) {
  auto ensemble = Ensemble::launch(config);
  if (!ensemble) FAIL(describe(ensemble.error()));
  return std::move(*ensemble);
}

struct Tried {
  VoteFate fate;       // of the evil member's vote
  int stopped_by = 0;  // the errno that it answered with, when it lived
};

Tried try_attack(Ensemble& ensemble, int attack) {
  wait_until_healed(ensemble);
  // The second feature makes each request another input: none is remembered as poison.
  const std::vector<float> x{static_cast<float>(attack), static_cast<float>(attack)};
  Prediction prediction;
  const auto answered = ensemble.predict({x.data(), 1, 2}, prediction);
  if (!answered) FAIL(describe(answered.error()));
  CHECK(prediction.votes[1].voted());
  Tried tried{.fate = prediction.votes[0].fate};
  if (prediction.votes[0].voted())
    tried.stopped_by = static_cast<int>(prediction.part(0).data[1] * EVIL_ERROR_SCALE + 0.5F);
  return tried;
}

Walls walls_here() {
  const auto report = probe_isolation(kBin + "/tutti-worker");
  if (!report) FAIL(describe(report.error()));
  return report->walls;
}

std::string canary() {
  std::ifstream file(EVIL_CANARY);
  std::string text;
  std::getline(file, text);
  return text;
}

TEST_CASE("escape: whatever a model attacks is stopped, and the other member answers", "[escape]") {
  // Goal: no attack of evil.h reaches anything outside, told from the vote it costs.
  // Method: each as a request to a real ensemble. Where it lives, it says which error stopped it.
  if (!walls_here().has(Wall::seccomp_serve)) return;
  Ensemble ensemble = launched(evil_config());
  const std::vector<int> good = ensemble.status().members[1].pids;
  for (int attack = EVIL_NOTHING + 1; attack < EVIL_ATTACK_COUNT; ++attack) {
    if (attack == EVIL_THREAD) continue;  // plug-ins may have threads
    const Tried tried = try_attack(ensemble, attack);
    INFO("attack " << attack << ": " << describe(tried.fate) << ", stopped by " << tried.stopped_by);
    // The 32-bit door is a fault of its own where the kernel was built without it.
    const bool died = tried.fate.state == VoteState::escape_attempt ||
                      (attack == EVIL_INT80 && tried.fate.state == VoteState::crashed);
    const bool refused = tried.fate.state == VoteState::voted && tried.stopped_by != 0;
    CHECK((died || refused));
  }
  CHECK(ensemble.status().members[1].pids == good);
  CHECK(canary() == "nobody has read this");
}

TEST_CASE("escape: the cause names the system call", "[escape]") {
  if (!walls_here().has(Wall::seccomp_serve)) return;
  Ensemble ensemble = launched(evil_config());
  const Tried tried = try_attack(ensemble, EVIL_EXEC);
  CHECK(tried.fate == VoteFate{.state = VoteState::escape_attempt, .detail = SYS_execve});
}

TEST_CASE("escape: status tells the walls, and require none takes them away", "[escape]") {
  const Walls here =
      walls_here().without({Wall::cgroup_memory, Wall::cgroup_processes, Wall::cgroup_cpu, Wall::own_uid});
  EnsembleConfig config = evil_config();
  {
    Ensemble ensemble = launched(config);
    wait_until_healed(ensemble);
    // Whether it has a uid of its own depends on who may read its model.
    CHECK(names_of(ensemble.status().members[0].walls.without({Wall::own_uid})) == names_of(here));
  }
  config.isolation.require = IsolationRequirement::none;
  Ensemble ensemble = launched(config);
  wait_until_healed(ensemble);
  CHECK(ensemble.status().members[0].walls.empty());
  CHECK(try_attack(ensemble, EVIL_READ_CANARY).stopped_by == 0);
}

TEST_CASE("escape: what the config lets be read can be read, and nothing beside it", "[escape]") {
  if (!walls_here().has(Wall::landlock_files)) return;
  EnsembleConfig config = evil_config();
  {
    // The filter that holds while serving refuses every file, so only a loading model can tell: it needs a
    // library from a folder of its own.
    config.members[0].model = kBin + "/test_plugins/needs_library.so";
    const auto ensemble = Ensemble::launch(config);
    REQUIRE(ensemble.has_value());
    CHECK(ensemble->status().members[0].last_error.find("cannot open shared object file") !=
          std::string::npos);
  }
  config.members[0].isolation.read = {kBin + "/test_library"};
  Ensemble ensemble = launched(config);
  wait_until_healed(ensemble);
  CHECK(ensemble.status().members[0].last_error.empty());
}

TEST_CASE("escape: full isolation starts where it is reached, and else says why not", "[escape]") {
  EnsembleConfig config = evil_config();
  config.isolation.require = IsolationRequirement::full;
  const auto ensemble = Ensemble::launch(config);
  if (level_of(walls_here()) == IsolationLevel::full) {
    CHECK(ensemble.has_value());
  } else {
    REQUIRE_FALSE(ensemble.has_value());
    CHECK(describe(ensemble.error()).find("isolation is not full") != std::string::npos);
  }
}

TEST_CASE("escape: a member's own requirement goes before the ensemble's", "[escape]") {
  EnsembleConfig config = evil_config();
  config.members.push_back(config.members[0]);
  config.members[1].name = "trusted";
  config.members[1].isolation.require = IsolationRequirement::none;
  {
    Ensemble ensemble = launched(config);
    wait_until_healed(ensemble);
    const EnsembleStatus status = ensemble.status();
    CHECK(status.members[0].walls.has(Wall::limits) == walls_here().has(Wall::limits));
    CHECK(status.members[1].walls.empty());
    CHECK(status.isolation == IsolationLevel::none);
  }
  // Nobody is held fully who has no walls: it says so where the ensemble requires it and no member differs.
  config.members[0].isolation.require = IsolationRequirement::full;
  config.answer.quorum = {.kind = Quorum::Kind::count, .count = 1};
  Ensemble ensemble = launched(config);
  const bool full = level_of(walls_here()) == IsolationLevel::full;
  CHECK((ensemble.status().members[0].ready == 1) == full);
  CHECK(ensemble.status().members[1].ready == 1);
}

TEST_CASE("escape: a nice member is nice to the others, not only to itself", "[escape]") {
  // Where the kernel shares processors by session, a process's own niceness counts within its session.
  if (!walls_here().has(Wall::limits)) return;
  EnsembleConfig config = evil_config();
  config.members[0].isolation.nice = 10;
  Ensemble ensemble = launched(config);
  wait_until_healed(ensemble);
  const EnsembleStatus status = ensemble.status();
  REQUIRE_FALSE(status.members[0].pids.empty());
  for (const int pid : status.members[0].pids) {
    CHECK(::getpriority(PRIO_PROCESS, static_cast<id_t>(pid)) == 10);
    std::ifstream file("/proc/" + std::to_string(pid) + "/autogroup");
    if (std::string text; std::getline(file, text)) CHECK(text.ends_with("nice 10"));
  }
}

TEST_CASE("escape: a limit of memory holds, by a control group as well where there is one", "[escape]") {
  EnsembleConfig config = evil_config();
  config.members[0].model = kHostile;
  config.members[0].isolation.memory = 64U << 20U;
  const Walls groups = ControlGroup::create({.memory_bytes = 1U << 20U}).walls();
  const Walls here = walls_here();
  Ensemble ensemble = launched(config);
  wait_until_healed(ensemble);
  CHECK(ensemble.status().members[0].walls.has(Wall::cgroup_memory) == groups.has(Wall::cgroup_memory));
  if (!here.has(Wall::limits)) return;
  const Tried tried = try_attack(ensemble, HOSTILE_OOM);
  // Refused memory, or ended by the kernel: never more than it may have.
  CHECK((tried.fate.state == VoteState::failed || tried.fate.state == VoteState::out_of_memory ||
         tried.fate.state == VoteState::crashed));
}

}  // namespace
}  // namespace tutti::test
