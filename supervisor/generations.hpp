// The generations of an ensemble: what answers now, and what is replaced when its config is loaded anew.
//
//   use() ──▶ the current generation, pinned        replace(next) ──▶ next is current from here on
//   └── a request is served wholly by one            └── waits until nobody uses the old one, then ends it
//
// A pin is two atomic additions on one line; no lock, so a reload holds up nobody. The shells of old
// generations stay until the end, since a late pin may look at one and votes name members by views of its
// config; what costs something, processes and memory, goes at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "supervisor/clock.hpp"
#include "supervisor/runner.hpp"
#include "supervisor/stacking_model.hpp"

namespace tutti {

/// Which file a path named, and what was in it: as far as a file system tells without reading it.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t bytes = -1;  // -1: there was none
  std::int64_t modified_ns = 0;

  bool operator==(const FileStamp&) const = default;
};
/// Of each member's model.
std::vector<FileStamp> stamps_of(const EnsembleConfig& config);

/// Everything that one config brought to life.
struct Generation {
  /// Starts every member and waits until each has started or failed to. Errors: as Ensemble::launch, but for
  /// the quorum, which is not looked at.
  static Result<std::unique_ptr<Generation>> launch(EnsembleConfig config, const LaunchOptions& options);

  /// As Ensemble's.
  Result<void> predict(MatrixView x, Prediction& prediction, Duration deadline);
  Result<void> predict_async(MatrixView x, OnPrediction done);
  [[nodiscard]] EnsembleStatus status(ReadUsage usage) const;

  std::shared_ptr<const EnsembleConfig> config;
  std::unique_ptr<StackingModel> stacking;  // null unless the rule is a stacking model; outlives the runner
  std::unique_ptr<Runner> runner;
  std::vector<FileStamp> models;  // when they were about to be loaded
  std::uint64_t number = 1;
  Time created = monotonic_now();
  std::atomic<std::uint32_t> users{0};
};

/// Why one generation takes the place of another.
enum class Replacement : std::uint8_t {
  reload,     // a config of the user's
  promotion,  // the same config, and models of it compiled: what was said of their tiers goes on
};

class Generations {
 public:
  explicit Generations(std::unique_ptr<Generation> first);

  /// A generation that is not ended while this lives.
  class Use {
   public:
    explicit Use(Generation& used) noexcept : used_(&used) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    // release: pairs with the acquire in replace(). Whoever ends the generation sees all that was done with
    // it.
    ~Use() { used_->users.fetch_sub(1, std::memory_order_release); }
    Generation* operator->() const noexcept { return used_; }
    Generation& operator*() const noexcept { return *used_; }

   private:
    Generation* used_;
  };
  [[nodiscard]] Use use() const noexcept;

  /// Makes `next` the current one, waits until what the old one still serves is done, and ends it. Not from a
  /// callback of the ensemble's.
  void replace(std::unique_ptr<Generation> next, Replacement what);

  /// One reload at a time.
  std::mutex& reloading() noexcept { return reloading_; }

  /// Of the current generation; what is counted, and since when, is of all that there were.
  [[nodiscard]] EnsembleStatus status(ReadUsage usage) const;

  /// Remembers a reload that failed.
  void note_failure(std::string error);

 private:
  std::atomic<Generation*> current_;
  std::mutex reloading_;
  std::vector<std::unique_ptr<Generation>> all_;
  Time launched_;
  // What is below. A status is put together under it, so that no generation is counted twice or not at all.
  mutable std::mutex noting_;
  Generation* retiring_ = nullptr;  // no longer current, and its requests are not all answered
  bool retiring_tiers_ = false;     // its members are those of the current one
  std::map<std::string, TierStatus, std::less<>> tiers_before_;  // by member: of this config's generations
  EngineCounters counted_;                                       // by generations that are gone
  Counters decided_;
  std::uint64_t failures_ = 0;
  std::string last_error_;
};

}  // namespace tutti
