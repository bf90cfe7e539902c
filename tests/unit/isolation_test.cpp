// The supervisor's side of isolation: what it sees in /proc, control groups, names of walls.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "supervisor/isolation/control_group.hpp"
#include "supervisor/isolation/probe.hpp"
#include "supervisor/isolation/verify.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

std::vector<std::filesystem::path> group_paths() {
  std::vector<std::filesystem::path> paths;
  std::error_code ignored;
  for (auto entry = std::filesystem::recursive_directory_iterator(
           "/sys/fs/cgroup", std::filesystem::directory_options::skip_permission_denied, ignored);
       entry != std::filesystem::end(entry); entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with("tutti-") && name.find("-" + std::to_string(::getpid()) + "-") != std::string::npos)
      paths.push_back(entry->path());
  }
  return paths;
}

std::size_t group_folders() { return group_paths().size(); }

TEST_CASE("isolation: a wall that is claimed and does not stand is found", "[isolation]") {
  // Goal: nobody is believed. Method: this process stands behind no wall; each is claimed for it in turn.
  for (const Wall wall : {Wall::user_namespace, Wall::pid_namespace, Wall::net_namespace, Wall::ipc_namespace,
                          Wall::mount_namespace, Wall::uts_namespace, Wall::own_uid, Wall::seccomp_serve}) {
    const auto seen = verify_from_outside(::getpid(), {wall});
    INFO(name_of(wall));
    REQUIRE_FALSE(seen.has_value());
    CHECK(seen.error().code == Errc::protocol);
    CHECK(seen.error().what.find(name_of(wall)) != std::string::npos);
  }
  CHECK(verify_from_outside(::getpid(), {}).has_value());
}

TEST_CASE("isolation: a process that is gone is an error and no verdict", "[isolation]") {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  const auto seen = verify_from_outside(child, {Wall::no_new_privileges});
  REQUIRE_FALSE(seen.has_value());
  CHECK(seen.error().code == Errc::system);
}

TEST_CASE("isolation: a worker that reports nonsense is not believed, one that is missing is told",
          "[isolation]") {
  CHECK_FALSE(probe_isolation("/bin/echo").has_value());
  CHECK_FALSE(probe_isolation("/bin/true").has_value());
  CHECK_FALSE(probe_isolation("/no/such/program").has_value());
}

TEST_CASE("isolation: nothing limited, no control group; and what is made is taken away", "[isolation]") {
  CHECK(ControlGroup::create({}).walls().empty());
  {
    const ControlGroup group =
        ControlGroup::create({.memory_bytes = 64U << 20U, .cpu_cores = 0.5, .processes = 8});
    CHECK((group_folders() > 0) == !group.walls().empty());
    CHECK(group.memory_kills() == 0);
  }
  CHECK(group_folders() == 0);
}

TEST_CASE("isolation: a share of the processor is written as the kernel counts it", "[isolation]") {
  for (const auto& [share, shares, weight] : {std::tuple{2.0, "2048", "200"}, std::tuple{0.01, "10", "1"}}) {
    const ControlGroup group = ControlGroup::create({.cpu_share = share});
    CHECK((group_folders() > 0) == group.walls().has(Wall::cgroup_cpu));
    for (const std::filesystem::path& folder : group_paths()) {
      std::ifstream file(exists(folder / "cpu.shares") ? folder / "cpu.shares" : folder / "cpu.weight");
      std::string text;
      std::getline(file, text);
      CHECK((text == shares || text == weight));
    }
  }
}

TEST_CASE("isolation: a control group ends what uses too much memory, and says so", "[isolation]") {
  ControlGroup group = ControlGroup::create({.memory_bytes = 16U << 20U});
  if (!group.walls().has(Wall::cgroup_memory)) return;
  std::array<int, 2> gate{};
  REQUIRE(::pipe(gate.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    if (::read(gate[0], &byte, 1) != 1) ::_exit(1);
    std::vector<char> memory(64U << 20U, 'x');
    ::_exit(memory.back() == 'x' ? 0 : 2);
  }
  group.add(child);
  REQUIRE(group.walls().has(Wall::cgroup_memory));
  REQUIRE(::write(gate[1], "g", 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(group.memory_kills() == 1);
  ::close(gate[0]);
  ::close(gate[1]);
}

TEST_CASE("isolation: a group whose supervisor is dead is taken away, one that lives stays", "[isolation]") {
  const ControlGroup mine = ControlGroup::create({.memory_bytes = 64U << 20U});
  if (mine.walls().empty()) return;
  const std::size_t before = group_folders();
  const pid_t dead = ::fork();
  if (dead == 0) {
    // Dies as a killed supervisor does: without a word and with its group in place.
    const ControlGroup left = ControlGroup::create({.memory_bytes = 64U << 20U});
    ::_exit(left.walls().empty() ? 1 : 0);
  }
  REQUIRE(::waitpid(dead, nullptr, 0) == dead);
  const auto left_behind = [&] {
    std::size_t count = 0;
    std::error_code ignored;
    for (auto entry = std::filesystem::recursive_directory_iterator(
             "/sys/fs/cgroup", std::filesystem::directory_options::skip_permission_denied, ignored);
         entry != std::filesystem::end(entry); entry.increment(ignored)) {
      count += entry->path().filename().string().find("-" + std::to_string(dead) + "-") != std::string::npos
                   ? 1U
                   : 0U;
    }
    return count;
  };
  CHECK(left_behind() > 0);
  remove_stale_groups();
  CHECK(left_behind() == 0);
  CHECK(group_folders() == before);
}

TEST_CASE("walls: names there and back, and the level they make", "[isolation]") {
  Walls all;
  for (std::size_t index = 0; index < kWallCount; ++index) {
    const auto wall = static_cast<Wall>(index);
    CHECK(wall_named(name_of(wall)) == wall);
    CHECK_FALSE(remedy_of(wall).empty());
    all.add(wall);
  }
  CHECK_FALSE(wall_named("moat").has_value());
  CHECK(Walls::from_bits(~std::uint64_t{0}) == all);
  CHECK(level_of(all) == IsolationLevel::full);
  CHECK(level_of({}) == IsolationLevel::none);
  CHECK(level_of(all.without({Wall::no_new_privileges})) == IsolationLevel::partial);
  // Each threat is stopped by something, and by nothing when there is nothing.
  for (const Threat& threat : threats()) {
    INFO(threat.name);
    CHECK(threat.stopped_by(all));
    CHECK_FALSE(threat.stopped_by({}));
  }
  // A machine without user namespaces but with Landlock and filters.
  const Walls unprivileged{Wall::no_capabilities, Wall::no_new_privileges, Wall::not_dumpable,
                           Wall::limits,          Wall::landlock_files,    Wall::landlock_network,
                           Wall::landlock_scope,  Wall::seccomp_load,      Wall::seccomp_serve};
  CHECK(level_of(unprivileged) == IsolationLevel::partial);
  CHECK(names_of_open_threats(unprivileged) ==
        "use up descriptors, disk or processes; leave processes behind that outlive tutti");
  CHECK(level_of(unprivileged | Walls{Wall::user_namespace, Wall::pid_namespace}) == IsolationLevel::full);
}

}  // namespace
}  // namespace tutti
