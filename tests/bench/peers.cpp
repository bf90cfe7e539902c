#include "peers.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

namespace tutti::bench {
namespace {

namespace ipc = boost::interprocess;

/// A Unix socket that keeps messages whole, blocking.
class Socket : public Technique {
 public:
  explicit Socket(std::size_t payload) : row_(payload) {
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends_.data()) != 0) ends_ = {-1, -1};
  }
  ~Socket() override {
    for (const int end : ends_) ::close(end);
  }
  void ask(std::uint64_t rounds) override {
    float answer = 0;
    for (; rounds > 0; --rounds) {
      if (::send(ends_[0], row_.data(), row_.size(), 0) < 0 ||
          ::recv(ends_[0], &answer, sizeof answer, 0) < 0) {
        std::abort();
      }
    }
  }
  void serve(std::uint64_t rounds) override {
    const float answer = 0.5F;
    for (; rounds > 0; --rounds) {
      if (::recv(ends_[1], row_.data(), row_.size(), 0) < 0 ||
          ::send(ends_[1], &answer, sizeof answer, 0) < 0) {
        std::abort();
      }
    }
  }

 private:
  std::array<int, 2> ends_{-1, -1};
  std::vector<char> row_;
};

class BoostQueue : public Technique {
 public:
  explicit BoostQueue(std::size_t payload)
      : row_(payload),
        there_name_(fmt::format("tutti_bench_{}_there", ::getpid())),
        back_name_(fmt::format("tutti_bench_{}_back", ::getpid())) {
    remove();
    there_.emplace(ipc::create_only, there_name_.c_str(), 16, payload);
    back_.emplace(ipc::create_only, back_name_.c_str(), 16, sizeof(float));
    remove();  // the names; both sides inherit the mappings
  }
  void ask(std::uint64_t rounds) override {
    float answer = 0;
    for (; rounds > 0; --rounds) {
      there_->send(row_.data(), row_.size(), 0);
      back_->receive(&answer, sizeof answer, received_, priority_);
    }
  }
  void serve(std::uint64_t rounds) override {
    const float answer = 0.5F;
    for (; rounds > 0; --rounds) {
      there_->receive(row_.data(), row_.size(), received_, priority_);
      back_->send(&answer, sizeof answer, 0);
    }
  }

 private:
  void remove() {
    ipc::message_queue::remove(there_name_.c_str());
    ipc::message_queue::remove(back_name_.c_str());
  }
  std::vector<char> row_;
  std::string there_name_;
  std::string back_name_;
  std::optional<ipc::message_queue> there_;
  std::optional<ipc::message_queue> back_;
  ipc::message_queue::size_type received_ = 0;
  unsigned priority_ = 0;
};

Result<std::unique_ptr<Technique>> make_socket(std::size_t payload, bool) {
  return std::make_unique<Socket>(payload);
}

Result<std::unique_ptr<Technique>> make_boost_queue(std::size_t payload, bool) {
  try {
    return std::make_unique<BoostQueue>(payload);
  } catch (const ipc::interprocess_exception& exception) {
    return std::unexpected(system_error("message_queue", exception.get_native_error()));
  }
}

#if !defined(TUTTI_BENCH_ICEORYX)
Result<std::unique_ptr<Technique>> iceoryx_is_missing(std::size_t, bool) {
  return std::unexpected(Error{Errc::system, "not installed when this was built", "", "libiceoryx-posh-dev"});
}
#endif

}  // namespace

std::vector<PeerMaker> peer_makers() {
  return {
#if defined(TUTTI_BENCH_ICEORYX)
      {"iceoryx 2.0.3, polling", make_iceoryx},
#else
      {"iceoryx 2.0.3, polling", iceoryx_is_missing},
#endif
      {"Boost message_queue", make_boost_queue},
      {"Unix socket, SEQPACKET", make_socket},
  };
}

// ---- programs ----

Result<Program> Program::start(const std::vector<std::string>& arguments, const std::string& output) {
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const pid_t bench = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(system_error("fork", errno));
  if (pid > 0) return Program(pid);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != bench) ::_exit(0);
  const int nowhere = ::open("/dev/null", O_RDWR);
  const int target = output.empty() ? nowhere : ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(nowhere, 0);
  ::dup2(target, 1);
  ::dup2(nowhere, 2);
  ::execv(words[0], words.data());
  ::_exit(127);
}

Program::~Program() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  if (wait(std::chrono::seconds(3))) return;
  // It has a process group of its own: whatever it started ends with it.
  ::kill(-pid_, SIGKILL);
  wait(std::chrono::seconds(1));
}

bool Program::wait(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  for (;;) {
    int status = 0;
    rusage usage{};
    if (::wait4(pid_, &status, WNOHANG, &usage) == pid_) {
      const auto ns = [](const timeval& value) {
        return static_cast<double>(value.tv_sec) * 1e9 + static_cast<double>(value.tv_usec) * 1e3;
      };
      cpu_ns_ = ns(usage.ru_utime) + ns(usage.ru_stime);
      exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      pid_ = -1;
      return true;
    }
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Result<Samples> process_pool(const Options& options, Placement placement, std::uint32_t features) {
  const std::string output = options.scratch + "/pool";
  auto python = Program::start(
      {"/usr/bin/python3", TUTTI_BENCH_POOL, std::to_string(features), std::to_string(placement.client),
       std::to_string(placement.server), options.quick ? "0.5" : "1.5"},
      output);
  if (!python) return std::unexpected(python.error());
  if (!python->wait(std::chrono::seconds(10)) || python->exit_code() != 0) {
    return std::unexpected(Error{Errc::system, "/usr/bin/python3 is missing or failed", "", ""});
  }
  Samples samples;
  std::ifstream file(output);
  for (double ns = 0; file >> ns;) samples.add(ns);
  return samples;
}

}  // namespace tutti::bench
