#include "ensemble.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>

#include "shared/doorbell.hpp"

namespace tutti::bench {

EnsembleBuilder idle_ensemble(std::uint32_t members, std::uint32_t features) {
  EnsembleBuilder builder;
  builder.name("bench").regression().features(features).combine(mean()).deadline(std::chrono::seconds(5));
  for (std::uint32_t i = 0; i < members; ++i) {
    builder.member(fmt::format("idle{}", i), TUTTI_BENCH_PLUGIN).kind("plugin");
  }
  return builder;
}

Asked::Asked(std::uint32_t members, std::uint32_t features, std::vector<int> cores)
    : members_(members), cores_(std::move(cores)), row_(features, 0.5F) {}

Result<void> Asked::open_client() {
  auto launched = idle_ensemble(members_, static_cast<std::uint32_t>(row_.size())).launch();
  if (!launched) return std::unexpected(launched.error());
  ensemble_.emplace(std::move(*launched));
  std::size_t next = 0;
  for (const MemberStatus& member : ensemble_->status().members) {
    for (const int pid : member.pids) pin(cores_[++next % cores_.size()], pid);
  }
  return {};
}

void Asked::ask(std::uint64_t rounds) {
  const MatrixView x{row_.data(), 1, static_cast<std::uint32_t>(row_.size())};
  for (; rounds > 0; --rounds) {
    // A vote that is missing would make the request cheaper than it is.
    if (!ensemble_->predict(x, prediction_) || prediction_.degraded()) std::abort();
  }
}

// ---- the bare loop ----

struct BareFanOut::Shared {
  Word asked;
  Word resting;
  std::array<Word, kMembersMax> answered;
};

BareFanOut::BareFanOut(std::uint32_t processes, std::vector<int> cores)
    : processes_(processes),
      cores_(std::move(cores)),
      yields_(processes >= cores_.size()),
      shared_(new(shared_memory(sizeof(Shared))) Shared{}) {}

Result<void> BareFanOut::open_client() {
  const pid_t client = ::getpid();
  for (std::uint32_t i = 0; i < processes_; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) return std::unexpected(system_error("fork", errno));
    if (pid > 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != client) ::_exit(0);
    pin(cores_[(i + 1) % cores_.size()]);
    answer(i);
  }
  return {};
}

void BareFanOut::answer(std::uint32_t index) {
  for (std::uint32_t round = 1;; ++round) {
    while (shared_->asked.value.load(std::memory_order_acquire) < round) {
      const std::uint32_t resting = shared_->resting.value.load(std::memory_order_relaxed);
      if (resting % 2 == 1) futex_wait(shared_->resting.value, resting, std::chrono::nanoseconds(-1));
      wait_step(yields_);
    }
    shared_->answered[index].value.store(round, std::memory_order_release);
  }
}

void BareFanOut::ask(std::uint64_t rounds) {
  if (shared_->resting.value.load(std::memory_order_relaxed) % 2 == 1) {
    shared_->resting.value.fetch_add(1, std::memory_order_release);
    futex_wake(shared_->resting.value);
  }
  for (; rounds > 0; --rounds) {
    shared_->asked.value.store(++round_, std::memory_order_release);
    for (std::uint32_t i = 0; i < processes_; ++i) {
      while (shared_->answered[i].value.load(std::memory_order_acquire) != round_) wait_step(yields_);
    }
  }
}

void BareFanOut::rest() { shared_->resting.value.fetch_add(1, std::memory_order_release); }

}  // namespace tutti::bench
