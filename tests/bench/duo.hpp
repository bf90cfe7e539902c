// Two pinned processes that hand something to and fro, told by a third one when to do it and how often.
//
//   bench ──go──▶ client (core A): ask, ask, ask …        bench sleeps while they run
//        └──go──▶ server (core B): serve exactly as many
//
// Between samples both sleep, so several duos can share the cores and be measured in turns.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "bench.hpp"
#include "shared/error.hpp"

namespace tutti::bench {

/// One way of handing over. Its two ends live in two processes after open_*(); what they share is made by the
/// constructor, before the fork.
class Technique {
 public:
  Technique() = default;
  Technique(const Technique&) = delete;
  Technique& operator=(const Technique&) = delete;
  virtual ~Technique() = default;

  virtual Result<void> open_client() { return {}; }
  virtual Result<void> open_server() { return {}; }
  /// False: the client brings its own peers.
  [[nodiscard]] virtual bool has_server() const { return true; }
  virtual void ask(std::uint64_t rounds) = 0;
  /// Serves exactly that many rounds, or for ever.
  virtual void serve(std::uint64_t /*rounds*/) {}
  /// After a sample: peers that would spin on go to sleep.
  virtual void rest() {}
  /// Before a side ends, for what others would miss; most are simply killed.
  virtual void close() {}
};

struct Placement {
  int client = 0;
  int server = 0;
  [[nodiscard]] bool one_core() const noexcept { return client == server; }
};

class Duo {
 public:
  /// Forks both sides and opens them. The technique must outlive the duo.
  static Result<std::unique_ptr<Duo>> start(Technique& technique, Placement placement);
  Duo(const Duo&) = delete;
  Duo& operator=(const Duo&) = delete;
  ~Duo();

  /// Nanoseconds a round: the median over batches of rounds, so that what the host takes away does not count.
  Result<double> sample();

 private:
  struct Control;
  explicit Duo(Technique& technique);
  [[noreturn]] void client_main(int core, bool pin_first);
  [[noreturn]] void server_main(int core, bool pin_first);
  Result<double> run(std::uint64_t rounds, std::uint32_t batches);
  Result<void> wait_until(bool client, std::uint32_t count);

  Technique& technique_;
  Control* control_;
  pid_t client_ = -1;
  pid_t server_ = -1;
  std::uint32_t turn_ = 0;
  std::uint64_t rounds_ = 0;  // of a batch; 0 until it was found out
  std::uint32_t batches_ = 0;
};

/// Samples of a subject, each between two of its base; fewer than options.repeats() where the machine is
/// slow.
struct Compared {
  Samples value;
  Samples base;
  Samples ratio;
};
Result<Compared> compare(Duo& subject, Duo& base, const Options& options);

/// Near: the cores share a cache. So says R; measured on hosts that move cores, 65 against 300 ns.
inline bool cores_are_near(double line_ns) noexcept { return line_ns < 150; }

/// Pins the calling thread (pid 0) or another process to one core.
void pin(int core, pid_t pid = 0);
/// Zeroed memory that children share with this process; lives until the process ends.
void* shared_memory(std::size_t bytes);

}  // namespace tutti::bench
