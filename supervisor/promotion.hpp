// When a member is loaded anew to have its model compiled (tier 2), and who sees to it.
//
//   status() ──forecast_of()──▶ lost so far ≥ what compiling costs? ──▶ members beside the old, compile =
//   load
//      ▲ once a second                                                       │ golden request, one swap
//      └──────────────────────────────────────────────────────────────────────┘ or the old ones go on
//
// Code can be made only before a worker gives up the right to make any, so tier 2 comes with a new worker or
// not at all. When that pays nobody knows beforehand: whether to rent skis or to buy them. The rule that is
// never worse than twice the best choice: buy once the rent has come to the price. The rent is what tier 2
// would have saved so far.
//
// Who looks: a thread of the ensemble's own, once a second, and only while some member may be promoted. Not
// the commands' waiting loops: a program that embeds an ensemble has none, and would have to know of tiers.
// Not the runner's thread either: it must not wait for processes that it starts itself.
// One try for a member and config. What comes of it is told once, as an event and in the log; a failure
// changes nothing but stands in the member's why_not.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "supervisor/config/config.hpp"
#include "supervisor/generations.hpp"
#include "supervisor/status.hpp"
#include "supervisor/tutti.hpp"

namespace tutti {

/// The share of tier 1's time that tier 2 is expected to save: 5 to 25 % was seen in requests of up to eight
/// rows, nothing in large ones.
inline constexpr double kShareSaved = 0.1;

/// What tier 2 would have saved of what tier 1 took so far, and what it must come to. Nothing for a member
/// that is not in tier 1, may not be compiled, or is compiled when it is loaded. `jit` is what holds for it.
std::optional<PromotionForecast> forecast_of(const JitConfig& jit, const TierStatus& tiers,
                                             Duration compile_cost);
/// What compiling costs: the longest that was seen, else the guess.
Duration compile_cost_of(const EnsembleStatus& status, Duration guess);
/// Whether it may ever come to that, as far as can be known now.
bool may_be_promoted(const JitConfig& jit, const TierStatus& tiers);

class Promoter {
 public:
  Promoter(Generations& generations, LaunchOptions options);
  Promoter(const Promoter&) = delete;
  Promoter& operator=(const Promoter&) = delete;
  /// Waits for a try that is under way.
  ~Promoter();

  /// After a launch and each reload: begins to look, unless nobody may be promoted.
  void consider();
  /// Fills in what is known here of each member's tiers: forecasts, and why tries came to nothing.
  void annotate(EnsembleStatus& status) const;

 private:
  struct Due {
    std::size_t member = 0;
    PromotionForecast forecast;
  };
  void watch();
  bool look();
  [[nodiscard]] std::vector<Due> due_of(const EnsembleConfig& config, const EnsembleStatus& status) const;
  void promote(const EnsembleConfig& config, const std::vector<Due>& due);
  void tell(const EnsembleConfig& config, const std::vector<Due>& due, const Result<void>& done);
  [[nodiscard]] bool tried(const std::string& member) const;

  Generations& generations_;
  LaunchOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  bool watching_ = false;
  std::uint64_t config_generation_ = 0;       // that the notes speak of
  std::map<std::string, std::string> notes_;  // of members that were tried: why it came to nothing, or ""
  std::thread thread_;
};

}  // namespace tutti
