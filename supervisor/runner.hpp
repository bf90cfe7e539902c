// The runner: one thread that waits for the outside world, and the callers who drive the engine themselves.
//
//   caller: lock ── submit ── look for answers for about what a wake costs ──▶ answer, nobody was woken
//                                   │ not yet
//                                   ▼
//           raise the flags ── unlock ── sleep ◀── runner's thread: bells, deaths, deadlines, output (Asio)
//
// The engine belongs to whoever holds the mutex. A hot request is served wholly by its caller: no hand-over
// to another thread, no system call. Whoever leaves while answers are outstanding has raised the flags first,
// so that the workers ring and the runner's thread takes over.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "supervisor/engine.hpp"

namespace tutti {

class Runner {
 public:
  explicit Runner(std::unique_ptr<Engine> engine);
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  ~Runner();

  /// Starts the thread and the workers, and waits until each isolate has started or failed to.
  Result<void> start();
  /// Waits for what is in flight and ends every worker. What was counted can still be asked for.
  void stop();

  Result<void> predict(MatrixView x, Prediction& prediction, Duration deadline);
  Result<void> predict_async(MatrixView x, Duration deadline, OnPrediction done);
  Result<void> kill_worker(std::string_view member);
  [[nodiscard]] EnsembleStatus status(ReadUsage usage = ReadUsage::no) const;
  [[nodiscard]] std::vector<float> sample_row() const;
  /// Tells what became of compiling a member's model, as an event and in the log.
  void tell_promotion(std::size_t member, Event::Kind kind, std::string text);
  [[nodiscard]] const EnsembleConfig& config() const noexcept { return engine_->config(); }

 private:
  struct Watch;
  using Lock = std::unique_lock<std::mutex>;

  Lock enter();
  void leave(Lock lock);
  void look(Lock& lock, const Waiter& waiter);
  void arm(Time wake);
  void spawn_ordered(Lock& lock);
  void watch_bells();
  void watch_timer();
  void watch_process(const std::shared_ptr<Watch>& watch);
  void watch_death(const std::shared_ptr<Watch>& watch);
  void watch_control(const std::shared_ptr<Watch>& watch);
  void on_notice(const std::shared_ptr<Watch>& watch);
  void watch_output(const std::shared_ptr<Watch>& watch);
  void on_bells();
  void on_death(const std::shared_ptr<Watch>& watch);
  [[nodiscard]] bool add_watch(const SpawnOrder& order);
  void watch_adopted();
  static void deliver(std::vector<Delivery> deliveries);

  std::unique_ptr<Engine> engine_;
  mutable std::mutex mutex_;
  std::atomic<std::uint32_t> contenders_{0};  // callers waiting for the mutex
  std::condition_variable changed_;
  boost::asio::io_context io_;
  boost::asio::posix::stream_descriptor bells_;  // an epoll set of the isolates' eventfds, edge-triggered
  boost::asio::posix::stream_descriptor timer_;  // a timerfd, armed by whoever leaves
  std::vector<std::shared_ptr<Watch>> unborn_;   // of isolates whose processes are not known yet
  Time armed_ = kNever;
  std::thread thread_;
};

}  // namespace tutti
