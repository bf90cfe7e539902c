#include "supervisor/stress/load.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <memory>
#include <random>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti::stress {
namespace {

constexpr std::size_t kInputs = 64;
constexpr std::uint32_t kRowsOfAnInputMax = 4;
constexpr int kCallers = 2;

void put_command(float& number, int behaviour) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(number) & ~0xffU;
  number = std::bit_cast<float>(bits | static_cast<std::uint32_t>(behaviour));
}

// The rest of the mantissa; the number stays within a power of two.
void put_serial(float& number, std::uint32_t serial) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(number) & ~0x7f'ff00U;
  number = std::bit_cast<float>(bits | (serial << 8U & 0x7f'ff00U));
}

}  // namespace

std::vector<Input> make_inputs(const EnsembleConfig& config, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<Input> inputs(kInputs);
  for (Input& input : inputs) {
    input.rows = 1 + static_cast<std::uint32_t>(random() % std::min(config.limits.rows, kRowsOfAnInputMax));
    input.x.resize(std::size_t{input.rows} * config.features);
    for (float& number : input.x) number = normal(random);
    for (std::uint32_t row = 0; row < input.rows; ++row) {
      put_command(input.x[std::size_t{row} * config.features], 0);
    }
  }
  return inputs;
}

Load::Load(Ensemble& ensemble, const std::vector<Input>& inputs, const Checker& checker,
           std::shared_ptr<Journal> journal)
    : ensemble_(ensemble), inputs_(inputs), checker_(checker), journal_(std::move(journal)) {}

void Load::start(double rate, Duration pause, std::uint64_t seed) {
  for (int caller = 0; caller < kCallers; ++caller) {
    threads_.emplace_back(
        [this, pause, own = seed + static_cast<std::uint64_t>(caller)] { ask_again_and_again(pause, own); });
  }
  if (rate > 0) threads_.emplace_back([this, rate, seed] { stream(rate, seed + kCallers); });
}

void Load::ask_again_and_again(Duration pause, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> share;
  Prediction prediction;
  while (!stopping_.load()) {
    const std::size_t index = random() % inputs_.size();
    const Input& input = inputs_[index];
    const Ticket ticket = journal_->send(index, false);
    const auto done =
        ensemble_.predict({input.x.data(), input.rows, ensemble_.config().features}, prediction);
    if (!done && done.error().code == Errc::overloaded) {
      journal_->refused(ticket);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      continue;
    }
    journal_->answered(ticket, done, prediction,
                       done ? checker_.check(index, false, prediction) : std::string());
    if (pause > Duration::zero())
      std::this_thread::sleep_for(std::chrono::duration_cast<Duration>(pause * share(random)));
  }
}

// At moments of its own: a stall of the answers does not slow the questions (open loop).
void Load::stream(double rate, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::exponential_distribution<double> gap(rate);
  auto next = std::chrono::steady_clock::now();
  while (!stopping_.load()) {
    next += std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(gap(random)));
    std::this_thread::sleep_until(next);
    const std::size_t index = random() % inputs_.size();
    const Input& input = inputs_[index];
    const Ticket ticket = journal_->send(index, false);
    {
      const std::lock_guard lock(mutex_);
      ++streamed_;
    }
    const auto called = std::make_shared<std::atomic<bool>>(false);
    const auto accepted = ensemble_.predict_async(
        {input.x.data(), input.rows, ensemble_.config().features},
        // An answer that comes after all patience must still find somebody.
        [this, self = shared_from_this(), ticket, called](const Result<void>& outcome,
                                                          const Prediction& prediction) {
          if (called->exchange(true)) return journal_->twice(ticket);
          journal_->answered(ticket, outcome, prediction,
                             outcome ? checker_.check(ticket.input, false, prediction) : std::string());
          const std::lock_guard lock(mutex_);
          --streamed_;
          changed_.notify_all();
        });
    if (accepted) continue;
    journal_->refused(ticket);
    const std::lock_guard lock(mutex_);
    --streamed_;
  }
}

Prediction Load::command(int behaviour) {
  const std::uint32_t serial = commands_++;
  const std::size_t index = serial % inputs_.size();
  const Input& input = inputs_[index];
  std::vector<float> x = input.x;
  put_serial(x[0], serial / static_cast<std::uint32_t>(inputs_.size()));
  put_command(x[0], behaviour);
  Prediction prediction;
  for (;;) {
    const Ticket ticket = journal_->send(index, true);
    const auto done = ensemble_.predict({x.data(), input.rows, ensemble_.config().features}, prediction);
    if (done || done.error().code != Errc::overloaded) {
      journal_->answered(ticket, done, prediction,
                         done ? checker_.check(index, true, prediction) : std::string());
      return prediction;
    }
    journal_->refused(ticket);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Load::stop() {
  if (stopping_.exchange(true)) return;
  for (std::thread& thread : threads_) thread.join();
  std::unique_lock lock(mutex_);
  const Duration patience = ensemble_.config().answer.deadline + std::chrono::seconds(1);
  changed_.wait_for(lock, patience, [&] { return streamed_ == 0; });
  lock.unlock();
  journal_->close();
}

}  // namespace tutti::stress
