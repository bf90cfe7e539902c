// The cage as a model meets it: every attack of plugins/evil.h from inside, and what must still work.
//
// What a machine cannot give is not asserted: a test looks at the walls that hold and asks what they promise.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/plugins/evil.h"
#include "tests/unit/cage_world.hpp"
#include "worker/cage/steps.hpp"

using namespace tutti;
using namespace tutti::cage_world;

namespace {

const std::string kLibrary = std::string(TUTTI_BIN) + "/test_plugins/steady.so";

struct Expected {
  int violation = -1;         // dies of SIGSYS, by this call; or
  std::vector<int> errors{};  // one of these stops it, and the model goes on
};

Expected dies_by(long call) { return {.violation = static_cast<int>(call)}; }
Expected stopped_by(std::initializer_list<int> errors) { return {.errors = errors}; }

/// What must happen to each attack once the cage is sealed.
std::map<int, Expected> while_serving() {
  std::map<int, Expected> expected{
      {EVIL_READ_CANARY, stopped_by({EACCES})},
      {EVIL_WRITE_CANARY, stopped_by({EACCES})},
      {EVIL_CHMOD_CANARY, dies_by(SYS_chmod)},
      {EVIL_STAT_CANARY, stopped_by({EACCES})},
      {EVIL_READ_SHADOW, stopped_by({EACCES})},
      {EVIL_READ_ENVIRONMENT, stopped_by({EACCES})},
      {EVIL_OWN_MEMORY_FILE, stopped_by({EACCES})},
      {EVIL_MAKE_TEMPORARY, stopped_by({EACCES})},
      {EVIL_MAKE_SHARED, stopped_by({EACCES})},
      {EVIL_LEAVE_ROOT, dies_by(SYS_chroot)},
      {EVIL_EXEC, dies_by(SYS_execve)},
      {EVIL_FORK, dies_by(SYS_clone)},
      {EVIL_VFORK_CALL, dies_by(SYS_clone)},
      {EVIL_KILL_ALL, stopped_by({EPERM})},
      {EVIL_KILL_PARENT, stopped_by({EPERM, ESRCH})},
      {EVIL_KILL_FIRST, stopped_by({EPERM})},
      {EVIL_TGKILL_FIRST, stopped_by({EPERM})},
      {EVIL_PTRACE, dies_by(SYS_ptrace)},
      {EVIL_READ_OTHER, dies_by(SYS_process_vm_readv)},
      {EVIL_WRITE_OWN, dies_by(SYS_process_vm_writev)},
      {EVIL_TAKE_DESCRIPTOR, dies_by(SYS_pidfd_open)},
      {EVIL_RENICE, stopped_by({EPERM})},
      {EVIL_RAISE_LIMIT, stopped_by({EPERM})},
      {EVIL_IO_URING, dies_by(SYS_io_uring_setup)},
      {EVIL_USERFAULTFD, dies_by(SYS_userfaultfd)},
      {EVIL_BPF, dies_by(SYS_bpf)},
      {EVIL_PERF, dies_by(SYS_perf_event_open)},
      {EVIL_KEYCTL, dies_by(SYS_keyctl)},
      {EVIL_UNSHARE_USER, dies_by(SYS_unshare)},
      {EVIL_CLONE_USER, dies_by(SYS_clone)},
      {EVIL_CLONE3, stopped_by({ENOSYS})},
      {EVIL_SETUID, dies_by(SYS_setuid)},
      {EVIL_MEMFD, dies_by(SYS_memfd_create)},
      {EVIL_SHMGET, dies_by(SYS_shmget)},
      {EVIL_MESSAGE_QUEUE, dies_by(SYS_mq_open)},
      {EVIL_MAP_EXECUTABLE, dies_by(SYS_mmap)},
      {EVIL_PROTECT_EXECUTABLE, dies_by(SYS_mprotect)},
      {EVIL_CATCH_SIGSYS, stopped_by({EPERM})},
      {EVIL_DUMPABLE, stopped_by({EINVAL})},
      {EVIL_PUNCH_HOLES, stopped_by({EPERM})},
      {EVIL_USE_UP_DESCRIPTORS, stopped_by({EPERM, EMFILE})},
      {EVIL_MAP_SHARED, stopped_by({EPERM})},
      {EVIL_MAP_GROWS_DOWN, stopped_by({EPERM})},
      {EVIL_FORGET_DEATH, stopped_by({EINVAL})},
  };
  for (int attack = EVIL_TCP; attack < EVIL_SOCKETPAIR; ++attack) expected[attack] = dies_by(SYS_socket);
  expected[EVIL_SOCKETPAIR] = dies_by(SYS_socketpair);
  return expected;
}

/// What must happen to the same while the model loads: it may open files there, and libraries may ask for
/// much.
std::map<int, Expected> while_loading() {
  std::map<int, Expected> expected = while_serving();
  for (const int attack : {EVIL_READ_CANARY, EVIL_WRITE_CANARY, EVIL_READ_SHADOW, EVIL_READ_ENVIRONMENT,
                           EVIL_OWN_MEMORY_FILE, EVIL_MAKE_TEMPORARY, EVIL_MAKE_SHARED})
    expected[attack] = stopped_by({EACCES, ENOENT, EROFS});
  expected[EVIL_CHMOD_CANARY] = stopped_by({EPERM});
  expected.erase(EVIL_STAT_CANARY);  // only the view hides that a file is there
  expected[EVIL_FORK] = stopped_by({EPERM});
  for (const int attack : {EVIL_VFORK_CALL, EVIL_MAP_EXECUTABLE, EVIL_PROTECT_EXECUTABLE, EVIL_KILL_ALL,
                           EVIL_KILL_PARENT, EVIL_KILL_FIRST, EVIL_TGKILL_FIRST})
    expected.erase(attack);
  for (const int attack : {EVIL_TCP, EVIL_UDP, EVIL_UNIX, EVIL_NETLINK, EVIL_VSOCK, EVIL_SOCKETPAIR,
                           EVIL_SETUID, EVIL_SHMGET, EVIL_MESSAGE_QUEUE, EVIL_TAKE_DESCRIPTOR})
    expected[attack] = stopped_by({EPERM});
  expected[EVIL_USE_UP_DESCRIPTORS] = stopped_by({EMFILE});
  return expected;
}

std::string canary() {
  std::ifstream file(EVIL_CANARY);
  std::string text;
  std::getline(file, text);
  return text;
}

void check_attacks(Stage stage, const std::map<int, Expected>& all) {
  alignas(4096) static std::array<char, 4096> inputs{};
  for (const auto& [attack, expected] : all) {
    const int number = attack;
    const End end = run({kLibrary}, stage, [number] { return evil_try(number, inputs.data()); });
    INFO("attack " << attack << ": result " << end.result << " (" << std::strerror(std::max(end.result, 0))
                   << "), call " << end.violation << ", signal " << end.signal << ", " << end.error);
    if (expected.violation >= 0) {
      CHECK(end.violation == expected.violation);
      CHECK(end.signal == SIGSYS);
      CHECK(end.result == -1);
    } else {
      CHECK(std::ranges::count(expected.errors, end.result) == 1);
      CHECK(end.signal == 0);
    }
  }
  CHECK(canary() == "nobody has read this");
}

bool sealed_here() {
  return run({kLibrary}, Stage::serve, [] { return 0; }).walls.has(Wall::seccomp_serve);
}

}  // namespace

TEST_CASE("cage: once it serves, every attack is stopped or costs the worker its life", "[cage]") {
  if (!sealed_here()) return;
  check_attacks(Stage::serve, while_serving());
}

TEST_CASE("cage: while it loads its model, every attack is stopped or costs the worker its life", "[cage]") {
  if (!sealed_here()) return;
  check_attacks(Stage::load, while_loading());
}

TEST_CASE("cage: the 32-bit and x32 doors kill at once", "[cage]") {
  if (!sealed_here()) return;
  for (const int attack : {EVIL_INT80, EVIL_X32}) {
    const End end = run({kLibrary}, Stage::serve, [attack] { return evil_try(attack, nullptr); });
    INFO("attack " << attack << ", result " << end.result);
    // A kernel without that interface faults instead.
    CHECK((end.signal == SIGSYS || end.signal == SIGSEGV || end.result == ENOSYS));
    CHECK(end.result != 0);
  }
}

TEST_CASE("cage: this machine's walls, and what they make", "[cage]") {
  const End end = run({kLibrary}, Stage::serve, [] { return 7; });
  INFO(names_of(end.walls) << " | " << end.error);
  REQUIRE(end.result == 7);
  CHECK(end.signal == 0);
  if (cage::kSanitized) {
    CHECK(end.walls.empty());
    return;
  }
  CHECK(end.walls.has_all({Wall::no_capabilities, Wall::no_new_privileges, Wall::limits}));
  CHECK((end.walls.has(Wall::user_namespace) || end.walls.has(Wall::not_dumpable)));
  const bool own_pids = end.walls.has(Wall::pid_namespace);
  // The launcher, and with a namespace the companion and the process that went on: all end, all are ours.
  CHECK(end.children == (own_pids ? 3 : 1));
}

TEST_CASE("cage: a library beside the model can be loaded inside, and a model served", "[cage]") {
  // Goal: the walls leave a plug-in what it needs. Method: dlopen it in the cage, then compute once sealed.
  const End end = run({kLibrary}, Stage::load, [] {
    void* library = ::dlopen(kLibrary.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return 1;
    return ::dlsym(library, "tutti_plugin_v1") != nullptr ? 0 : 2;
  });
  CHECK(end.result == 0);
}

TEST_CASE("cage: a plain model file lets its worker read that file and not the directory", "[cage]") {
  const std::string directory = std::string(TUTTI_EXAMPLES) + "/models/wine";
  const End own = run({directory + "/forest.ubj"}, Stage::load,
                      [&] { return ::open((directory + "/forest.ubj").c_str(), O_RDONLY) >= 0 ? 0 : errno; });
  CHECK(own.result == 0);
  const End other = run({directory + "/forest.ubj"}, Stage::load, [&] {
    return ::open((directory + "/boosted.json").c_str(), O_RDONLY) >= 0 ? 0 : errno;
  });
  if (other.walls.has(Wall::landlock_files) || other.walls.has(Wall::mount_namespace)) {
    CHECK((other.result == EACCES || other.result == ENOENT));
  }
}

TEST_CASE("cage: threads are for models that may have them", "[cage]") {
  if (!sealed_here()) return;
  const auto start_one = [] { return evil_try(EVIL_THREAD, nullptr); };
  CHECK(run({kLibrary}, Stage::serve_with_threads, start_one).result == 0);
  CHECK(run({kLibrary}, Stage::load, start_one).result == 0);
  const End without = run({kLibrary}, Stage::serve, start_one);
  // The C library blocks all signals there: the kernel kills without asking the handler.
  CHECK(without.signal == SIGSYS);
  const End forks = run({kLibrary}, Stage::serve_with_threads, [] { return evil_try(EVIL_FORK, nullptr); });
  CHECK(forks.violation == SYS_clone);
}

TEST_CASE("cage: a worker dies of its own signals under the names they have", "[cage]") {
  for (const int signal : {SIGABRT, SIGKILL, SIGSEGV, SIGFPE}) {
    const End end = run({kLibrary}, Stage::serve, [signal] { return ::raise(signal); });
    CHECK(end.signal == signal);
  }
  CHECK(run({kLibrary}, Stage::serve, []() -> int { std::abort(); }).signal == SIGABRT);
}

TEST_CASE("cage: limits hold", "[cage]") {
  Job job{kLibrary};
  job.request.descriptors_max = 20;
  job.request.nice = 10;
  job.request.memory_bytes_max = 64U << 20U;
  const End descriptors = run(job, Stage::load, [] { return evil_try(EVIL_USE_UP_DESCRIPTORS, nullptr); });
  if (cage::kSanitized) return;
  CHECK(descriptors.result == EMFILE);
  const End memory = run(job, Stage::serve, [] {
    return ::mmap(nullptr, 128U << 20U, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                   MAP_FAILED
               ? errno
               : 0;
  });
  CHECK(memory.result == ENOMEM);
  // Memory that is written and then made read-only is not private and writable any more.
  job.request.address_bytes_max = 128U << 20U;
  const End hidden = run(job, Stage::serve, [] {
    constexpr std::size_t kPart = 8U << 20U;
    for (int part = 0; part < 32; ++part) {
      void* block = ::mmap(nullptr, kPart, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) return errno;
      std::memset(block, 1, kPart);
      ::mprotect(block, kPart, PROT_READ);
    }
    return 0;
  });
  CHECK(hidden.result == ENOMEM);
  const End core = run(job, Stage::serve, [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_CORE, &limit);
    return static_cast<int>(limit.rlim_max) + (::getpriority(PRIO_PROCESS, 0) == 10 ? 0 : 100);
  });
  CHECK(core.result == 0);
}

TEST_CASE("cage: a model that loads gets threads up to its limit, and no processes", "[cage]") {
  Job job{kLibrary};
  job.request.processes_max = 8;
  const End forked = run(job, Stage::load, [] {
    const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (child == 0) ::_exit(0);
    return child < 0 ? errno : 0;
  });
  if (forked.walls.has(Wall::seccomp_load)) CHECK(forked.result == EPERM);
  const End threads = run(job, Stage::load, [] {
    for (int count = 0; count < 100; ++count) {
      pthread_t thread{};
      const auto sleep = [](void*) -> void* {
        for (;;) ::pause();
      };
      if (const int failure = ::pthread_create(&thread, nullptr, sleep, nullptr); failure != 0)
        return count <= 8 ? failure : 0;
    }
    return 0;
  });
  if (threads.walls.has(Wall::user_namespace) || threads.walls.has(Wall::own_uid))
    CHECK(threads.result == EAGAIN);
}

TEST_CASE("cage: what a model leaves running ends with its last worker", "[cage]") {
  // Goal: no orphan outlives a member. Method: a process that it made, as a template makes isolates, holds a
  // pipe; when the cage has ended, the pipe has too.
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const End end = run({kLibrary}, Stage::load, [&] {
    const long child = ::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    // Without a namespace nobody would end it: there its parent has a number.
    if (child == 0 && ::getppid() != 0) ::_exit(0);
    if (child == 0) {
      for (;;) ::pause();
    }
    return child > 0 ? 1 : 0;
  });
  ::close(pipe[1]);
  CHECK(end.result == 1);
  if (end.walls.has(Wall::pid_namespace)) {
    pollfd state{.fd = pipe[0], .events = POLLIN, .revents = 0};
    CHECK(::poll(&state, 1, 10'000) == 1);
    CHECK((state.revents & POLLHUP) != 0);
  }
  ::close(pipe[0]);
}

TEST_CASE("cage: a supervisor that is gone ends it before it begins", "[cage]") {
  std::array<int, 2> sockets{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets.data()) == 0);
  ::close(sockets[0]);
  const int status = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(enter_cage({}, {.model = kLibrary, .control_descriptor = sockets[1]}, nullptr) ? 1 : 0);
    }
    int result = 0;
    ::waitpid(child, &result, 0);
    return result;
  }();
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  ::close(sockets[1]);
}

TEST_CASE("cage: with require none there is no wall", "[cage]") {
  Job job{kLibrary};
  job.request.requirement = IsolationRequirement::none;
  const End end = run(job, Stage::serve, [] { return ::open("/etc/passwd", O_RDONLY) >= 0 ? 0 : errno; });
  CHECK(end.result == 0);
  CHECK(end.walls.empty());
  CHECK(end.children == 1);
}

TEST_CASE("cage: full isolation is refused where it is not reached, and given where it is", "[cage]") {
  Job job{kLibrary};
  job.request.requirement = IsolationRequirement::full;
  const End end = run(job, Stage::serve, [] { return 0; });
  if (end.error.empty()) {
    CHECK(level_of(end.walls) == IsolationLevel::full);
  } else {
    CHECK(end.error.find("tutti doctor") != std::string::npos);
  }
}

TEST_CASE("cage: what it costs to set up", "[.measure]") {
  std::vector<std::int64_t> enter;
  std::vector<std::int64_t> seal;
  for (int round = 0; round < 200; ++round) {
    const End end = run({kLibrary}, Stage::serve, [] { return 0; });
    enter.push_back(end.enter_ns);
    seal.push_back(end.seal_ns);
  }
  std::ranges::sort(enter);
  std::ranges::sort(seal);
  WARN("enter_cage: median " << enter[100] / 1000 << " us, p90 " << enter[180] / 1000
                             << " us; seal_cage: median " << seal[100] / 1000 << " us, p90 "
                             << seal[180] / 1000 << " us");
}
