// The load of a stress run: two callers that ask again when they are answered, and one stream of requests
// that come at a rate whatever becomes of those before them.
//
// Where latencies are compared the callers pause after each answer: on a machine that they keep full,
// whatever else takes a moment of a processor delays every answer, and a fault could not be told from the
// load.
//
// The rows are drawn once, from a seed. The lowest eight bits of each row's first number are 0: in the first
// row a command to a stand-in can be put there (worker/hostile/hostile.h), which changes that number by less
// than 1 in 30 000. The other rows must say nothing either: a batch that kills twice is asked again in parts.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "supervisor/stress/checker.hpp"
#include "supervisor/stress/journal.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

struct Input {
  std::vector<float> x;  // f32 [rows][features]
  std::uint32_t rows = 0;
};
std::vector<Input> make_inputs(const EnsembleConfig& config, std::uint64_t seed);

class Load : public std::enable_shared_from_this<Load> {
 public:
  /// The checker and the inputs outlive the ensemble.
  Load(Ensemble& ensemble, const std::vector<Input>& inputs, const Checker& checker,
       std::shared_ptr<Journal> journal);
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  ~Load() = default;

  /// rate   requests a second of the stream; 0: none
  /// pause  of a caller after an answer, on average; 0: none
  void start(double rate, Duration pause, std::uint64_t seed);
  /// Sends one request that carries a command, and returns what became of it. No two of them have the same
  /// rows: an input that kills again and again is quarantined.
  Prediction command(int behaviour);
  /// Ends the load and waits for what is in flight, as long as it may take; what does not come is lost.
  void stop();

 private:
  void ask_again_and_again(Duration pause, std::uint64_t seed);
  void stream(double rate, std::uint64_t seed);

  Ensemble& ensemble_;
  const std::vector<Input>& inputs_;
  const Checker& checker_;
  std::shared_ptr<Journal> journal_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t streamed_ = 0;  // requests whose callback has not come
  std::uint32_t commands_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace tutti::stress
