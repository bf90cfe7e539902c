#include "supervisor/generations.hpp"

#include <sys/stat.h>

#include <chrono>
#include <thread>
#include <utility>

#include "supervisor/clock.hpp"
#include "supervisor/tier_ledger.hpp"

namespace tutti {

namespace {

FileStamp stamp_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return {};
  return {.device = found.st_dev,
          .inode = found.st_ino,
          .bytes = found.st_size,
          .modified_ns = found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec};
}

}  // namespace

std::vector<FileStamp> stamps_of(const EnsembleConfig& config) {
  std::vector<FileStamp> stamps;
  for (const MemberConfig& member : config.members) stamps.push_back(stamp_of(member.model));
  return stamps;
}

Result<std::unique_ptr<Generation>> Generation::launch(EnsembleConfig config, const LaunchOptions& options) {
  auto generation = std::make_unique<Generation>();
  generation->models = stamps_of(config);
  if (StackingModel::wanted(config)) {
    auto launched = StackingModel::launch(config, options);
    if (!launched) return std::unexpected(launched.error());
    generation->stacking = std::move(*launched);
  }
  generation->config = std::make_shared<const EnsembleConfig>(std::move(config));
  auto engine = Engine::create(generation->config, options);
  if (!engine) return std::unexpected(engine.error());
  generation->runner = std::make_unique<Runner>(std::move(*engine));
  if (auto started = generation->runner->start(); !started) return std::unexpected(started.error());
  return generation;
}

Result<void> Generation::predict(MatrixView x, Prediction& prediction, Duration deadline) {
  if (!stacking) return runner->predict(x, prediction, deadline);
  const Time until = monotonic_now() + deadline;
  auto voted = runner->predict(x, prediction, StackingModel::first_stage(deadline));
  if (!voted) return voted;
  return stacking->answer(prediction, until - monotonic_now());
}

Result<void> Generation::predict_async(MatrixView x, OnPrediction done) {
  const Duration deadline = config->answer.deadline;
  if (!stacking) return runner->predict_async(x, deadline, std::move(done));
  const Time until = monotonic_now() + deadline;
  return runner->predict_async(x, StackingModel::first_stage(deadline),
                               [second = stacking.get(), until, done = std::move(done)](
                                   Result<void> outcome, Prediction prediction) mutable {
                                 if (!outcome) return done(std::move(outcome), std::move(prediction));
                                 second->answer_async(std::move(prediction), until - monotonic_now(),
                                                      std::move(done));
                               });
}

EnsembleStatus Generation::status(ReadUsage usage) const {
  EnsembleStatus status = runner->status(usage);
  status.config_generation = number;
  if (!stacking) return status;
  EnsembleStatus second = stacking->status(usage);
  if (second.readiness == Readiness::not_ready) status.readiness = Readiness::not_ready;
  status.members.push_back(std::move(second.members.front()));
  status.counters.events_dropped += second.counters.events_dropped;
  return status;
}

Generations::Generations(std::unique_ptr<Generation> first)
    : current_(first.get()), launched_(first->created) {
  all_.push_back(std::move(first));
}

// seq_cst twice: either this sees that the generation is no longer current, or replace() sees the user.
Generations::Use Generations::use() const noexcept {
  for (;;) {
    Generation* generation = current_.load(std::memory_order_acquire);
    generation->users.fetch_add(1, std::memory_order_seq_cst);
    if (current_.load(std::memory_order_seq_cst) == generation) return Use(*generation);
    generation->users.fetch_sub(1, std::memory_order_release);
  }
}

void Generations::replace(std::unique_ptr<Generation> next, Replacement what) {
  constexpr auto kPause = std::chrono::milliseconds(1);
  Generation* old = all_.back().get();
  const bool is_reload = what == Replacement::reload;
  next->number = old->number + (is_reload ? 1 : 0);
  Generation* current = next.get();
  all_.push_back(std::move(next));
  {
    const std::scoped_lock lock(noting_);
    retiring_ = old;
    retiring_tiers_ = !is_reload;
    if (is_reload) tiers_before_.clear();
    current_.store(current, std::memory_order_seq_cst);
  }
  // Bounded by the deadlines of the requests that are in flight.
  while (old->users.load(std::memory_order_seq_cst) > 0) std::this_thread::sleep_for(kPause);
  old->runner->stop();
  {
    const EnsembleStatus last = old->status(ReadUsage::no);
    const std::scoped_lock lock(noting_);
    retiring_ = nullptr;
    if (!is_reload) {
      for (const MemberStatus& member : last.members) add_use(tiers_before_[member.name], member.tiers);
    }
    counted_ = sum_of(counted_, last.counters);
    decided_ = sum_of(decided_, last.decisions);
  }
  old->runner.reset();  // its callbacks may still ask the stacking model
  old->stacking.reset();
}

void Generations::note_failure(std::string error) {
  const std::scoped_lock lock(noting_);
  ++failures_;
  last_error_ = std::move(error);
}

EnsembleStatus Generations::status(ReadUsage usage) const {
  const std::scoped_lock lock(noting_);
  EnsembleStatus status = use()->status(usage);
  status.uptime = monotonic_now() - launched_;
  status.counters = sum_of(status.counters, counted_);
  status.decisions = sum_of(status.decisions, decided_);
  if (retiring_ != nullptr) {
    const EnsembleStatus retiring = retiring_->status(ReadUsage::no);
    status.in_flight += retiring.in_flight;
    status.counters = sum_of(status.counters, retiring.counters);
    status.decisions = sum_of(status.decisions, retiring.decisions);
    // A promotion has the same members.
    for (std::size_t i = 0; retiring_tiers_ && i < retiring.members.size(); ++i)
      add_use(status.members[i].tiers, retiring.members[i].tiers);
  }
  for (MemberStatus& member : status.members) {
    const auto before = tiers_before_.find(member.name);
    if (before != tiers_before_.end()) add_use(member.tiers, before->second);
  }
  status.reloads_failed = failures_;
  status.last_reload_error = last_error_;
  return status;
}

}  // namespace tutti
