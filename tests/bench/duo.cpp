#include "duo.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "shared/doorbell.hpp"

namespace tutti::bench {
namespace {

constexpr std::uint32_t kBatchesMax = 64;
constexpr double kBatchNs = 100e3;
constexpr double kSampleNs = 5e6;
constexpr std::uint64_t kRoundsMax = 1000;
constexpr auto kPatience = std::chrono::seconds(8);

constexpr std::uint32_t kLastTurn = UINT32_MAX;

// A side that does not end by itself, as one that serves for ever, is killed.
void end(pid_t pid) {
  if (pid <= 0) return;
  for (int i = 0; i < 50; ++i) {
    if (::waitpid(pid, nullptr, WNOHANG) == pid) return;
    ::usleep(2000);
  }
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void say(WakeWord& word, std::uint32_t value) {
  word.value.store(value, std::memory_order_release);
  futex_wake(word.value);
}

// False when there is no more to do.
bool hear(const WakeWord& word, std::uint32_t value) {
  for (;;) {
    const std::uint32_t seen = word.value.load(std::memory_order_acquire);
    if (seen >= value) return seen != kLastTurn;
    futex_wait(word.value, seen, std::chrono::nanoseconds(-1));
  }
}

}  // namespace

struct Duo::Control {
  WakeWord client_go;
  WakeWord client_done;
  WakeWord server_go;
  WakeWord server_done;
  std::uint64_t rounds;
  std::uint32_t batches;
  std::array<double, kBatchesMax> times;
  std::array<char, 512> client_error;
  std::array<char, 512> server_error;
};

void* shared_memory(std::size_t bytes) {
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return memory;
}

void pin(int core, pid_t pid) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(core), &set);
  ::sched_setaffinity(pid, sizeof set, &set);
}

Duo::Duo(Technique& technique)
    : technique_(technique), control_(new(shared_memory(sizeof(Control))) Control{}) {}

Duo::~Duo() {
  say(control_->client_go, kLastTurn);
  say(control_->server_go, kLastTurn);
  end(client_);
  end(server_);
  ::munmap(control_, sizeof(Control));
}

Result<std::unique_ptr<Duo>> Duo::start(Technique& technique, Placement placement) {
  std::unique_ptr<Duo> duo(new Duo(technique));
  const pid_t bench = ::getpid();
  const auto fork_side = [&](bool client) {
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != bench) ::_exit(0);
    if (client) duo->client_main(placement.client, placement.one_core());
    duo->server_main(placement.server, placement.one_core());
  };
  if (technique.has_server()) duo->server_ = fork_side(false);
  duo->client_ = fork_side(true);
  if (duo->client_ < 0 || (technique.has_server() && duo->server_ < 0)) {
    return std::unexpected(system_error("fork", errno));
  }
  duo->turn_ = 1;
  for (const bool client : {false, true}) {
    if (!client && !technique.has_server()) continue;
    if (auto opened = duo->wait_until(client, 1); !opened) return std::unexpected(opened.error());
    const char* error = client ? duo->control_->client_error.data() : duo->control_->server_error.data();
    if (*error != '\0') return std::unexpected(Error{Errc::system, error, "", ""});
  }
  return duo;
}

// On one core the sides are pinned before they open, so that an ensemble sees one core and yields; on two
// cores afterwards, so that it sees two.
void Duo::client_main(int core, bool pin_first) {
  if (pin_first) pin(core);
  if (auto opened = technique_.open_client(); !opened) {
    std::snprintf(control_->client_error.data(), control_->client_error.size(), "%s",
                  describe(opened.error()).c_str());
  }
  pin(core);
  say(control_->client_done, 1);
  for (std::uint32_t turn = 2; hear(control_->client_go, turn); ++turn) {
    const std::uint64_t rounds = control_->rounds;
    technique_.ask(rounds);  // warms up; also wakes a server that slept
    for (std::uint32_t batch = 0; batch < control_->batches; ++batch) {
      const double begun = now_ns();
      technique_.ask(rounds);
      control_->times[batch] = (now_ns() - begun) / static_cast<double>(rounds);
    }
    technique_.rest();
    say(control_->client_done, turn);
  }
  technique_.close();
  ::_exit(0);
}

void Duo::server_main(int core, bool pin_first) {
  if (pin_first) pin(core);
  if (auto opened = technique_.open_server(); !opened) {
    std::snprintf(control_->server_error.data(), control_->server_error.size(), "%s",
                  describe(opened.error()).c_str());
  }
  pin(core);
  say(control_->server_done, 1);
  for (std::uint32_t turn = 2; hear(control_->server_go, turn); ++turn) {
    technique_.serve(control_->rounds * (control_->batches + 1));
  }
  technique_.close();
  ::_exit(0);
}

Result<void> Duo::wait_until(bool client, std::uint32_t count) {
  const WakeWord& word = client ? control_->client_done : control_->server_done;
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const std::uint32_t seen = word.value.load(std::memory_order_acquire);
    if (seen >= count) return {};
    for (pid_t* side : {&client_, &server_}) {
      int status = 0;
      if (*side > 0 && ::waitpid(*side, &status, WNOHANG) == *side) {
        *side = -1;
        return std::unexpected(Error{Errc::system, "a side of the measurement ended by itself", "", ""});
      }
    }
    if (std::chrono::steady_clock::now() > until) {
      return std::unexpected(Error{Errc::system, "no answer within 8 s; the machine is too busy", "", ""});
    }
    futex_wait(word.value, seen, std::chrono::milliseconds(100));
  }
}

Result<double> Duo::run(std::uint64_t rounds, std::uint32_t batches) {
  ++turn_;
  control_->rounds = rounds;
  control_->batches = batches;
  if (server_ > 0) say(control_->server_go, turn_);
  say(control_->client_go, turn_);
  if (auto done = wait_until(true, turn_); !done) return std::unexpected(done.error());
  Samples times;
  for (std::uint32_t batch = 0; batch < batches; ++batch) times.add(control_->times[batch]);
  return times.median();
}

Result<double> Duo::sample() {
  if (rounds_ == 0) {
    auto first = run(3, 5);
    if (!first) return first;
    rounds_ = std::clamp(static_cast<std::uint64_t>(kBatchNs / *first), std::uint64_t{1}, kRoundsMax);
    const double batch_ns = *first * static_cast<double>(rounds_);
    batches_ = static_cast<std::uint32_t>(std::clamp(kSampleNs / batch_ns, 5.0, double{kBatchesMax}));
  }
  return run(rounds_, batches_);
}

Result<Compared> compare(Duo& subject, Duo& base, const Options& options) {
  constexpr int kRepeatsMin = 3;
  const double until = now_ns() + (options.quick ? 0.6e9 : 2.5e9);
  Compared compared;
  if (now_ns() > options.until_ns) {
    return std::unexpected(Error{Errc::system, "no time left; the machine is too busy", "", ""});
  }
  auto before = base.sample();
  if (!before) return std::unexpected(before.error());
  for (int repeat = 0; repeat < options.repeats() && (repeat < kRepeatsMin || now_ns() < until); ++repeat) {
    auto value = subject.sample();
    if (!value) return std::unexpected(value.error());
    auto after = base.sample();
    if (!after) return std::unexpected(after.error());
    compared.value.add(*value);
    compared.base.add(*after);
    compared.ratio.add(*value / ((*before + *after) / 2));
    before = after;
  }
  return compared;
}

}  // namespace tutti::bench
