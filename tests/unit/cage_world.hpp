// A cage without a supervisor: this process plays it. Forks a launcher that enters the cage, runs a function
// in it, and says how that ended.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <string>

#include "worker/cage.hpp"

namespace tutti::cage_world {

/// What both sides see. The caged process writes it.
struct Shared {
  std::atomic<std::uint64_t> walls{0};
  std::atomic<std::uint64_t> sealed{0};
  std::atomic<int> error{0};  // 1: enter_cage failed
  std::array<char, 512> what{};
  std::atomic<int> result{-1};     // of the function; -1: it did not return
  std::atomic<int> violation{-1};  // the number of the forbidden call
  std::atomic<std::int64_t> enter_ns{0};
  std::atomic<std::int64_t> seal_ns{0};
};
inline Shared* shared = nullptr;

struct End {
  Walls walls;      // of both stages
  int result = -1;  // what the function returned
  int violation = -1;
  int signal = 0;    // that ended the caged process
  int children = 0;  // that this process had to reap, launcher included
  std::string error;
  std::int64_t enter_ns = 0;
  std::int64_t seal_ns = 0;
};

/// Who is caged, and how.
struct Job {
  std::string model;
  CageRequest request{};
};

enum class Stage : std::uint8_t { load, serve, serve_with_threads };

inline std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

inline void be_caged(const Job& job, int control, Stage stage, const std::function<int()>& inside) {
  // The test framework's handlers would answer for the worker.
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGTERM, SIGINT})
    ::signal(signal, SIG_DFL);
  const std::int64_t begun = now_ns();
  const auto caged = enter_cage(job.request, {.model = job.model, .control_descriptor = control},
                                [](int call) noexcept { shared->violation.store(call); });
  shared->enter_ns = now_ns() - begun;
  if (!caged) {
    shared->error = 1;
    const std::string text = describe(caged.error());
    std::memcpy(shared->what.data(), text.data(), std::min(text.size(), shared->what.size() - 1));
    ::_exit(0);
  }
  shared->walls = caged->walls.bits();
  if (stage != Stage::load) {
    const std::int64_t sealing = now_ns();
    const auto sealed = seal_cage(job.request, stage == Stage::serve_with_threads);
    shared->seal_ns = now_ns() - sealing;
    if (sealed) shared->sealed = sealed->bits();
  }
  shared->result = inside();
  ::_exit(0);
}

/// Runs `inside` in a cage, ends the companion as a supervisor does, and waits for all processes.
inline End run(const Job& job, Stage stage, const std::function<int()>& inside) {
  if (shared == nullptr) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared = static_cast<Shared*>(memory);
  }
  new (shared) Shared;
  std::array<int, 2> sockets{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0) return {};
  const pid_t launcher = ::fork();
  ::setpgid(launcher, launcher);
  if (launcher == 0) {
    ::setpgid(0, 0);
    ::close(sockets[0]);
    be_caged(job, sockets[1], stage, inside);
  }
  ::close(sockets[1]);
  End end;
  int status = 0;
  while (::waitpid(-launcher, &status, 0) > 0) {
    ++end.children;
    // The launcher ends first. When a second has, it was the worker, and whoever is left is the companion.
    if (end.children <= 2 && WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    if (end.children == 2) ::kill(-launcher, SIGKILL);
  }
  ::kill(-launcher, SIGKILL);  // orphans, where no namespace takes them along
  ::close(sockets[0]);
  end.walls = Walls::from_bits(shared->walls | shared->sealed);
  end.result = shared->result;
  end.violation = shared->violation;
  if (shared->error != 0) end.error = shared->what.data();
  end.enter_ns = shared->enter_ns;
  end.seal_ns = shared->seal_ns;
  return end;
}

}  // namespace tutti::cage_world
