// tutti for C++ programs: launch an ensemble, ask it, read the answer and the votes behind it.
//
//   auto ensemble = tutti::EnsembleBuilder{}
//                       .name("risk").classes({"no", "yes"}).features(30)
//                       .member("boosted", "models/boosted.json").weight(2.0)
//                       .member("network", "models/network.safetensors")
//                       .combine(tutti::soft_vote()).quorum(2).deadline(20ms)
//                       .launch();                      // Result<Ensemble>
//   auto prediction = ensemble->predict({x, rows, 30});  // Result<Prediction>
//
// Every model runs in a process of its own. A member that crashes, hangs or answers nonsense loses its vote,
// is named in the answer with the cause, and is replaced; the others' answers keep coming.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "shared/error.hpp"
#include "shared/tensor.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/core/vote.hpp"
#include "supervisor/packaged_worker.hpp"
#include "supervisor/status.hpp"

namespace tutti {

/// One member's vote. The member's name lives as long as the ensemble.
struct Vote {
  std::string_view member;
  VoteFate fate;        // voted, or why not; describe(fate) is the text for people
  Duration latency{};   // from the request to the answer, or to the verdict
  Duration compute{};   // inside the model, as the worker measured it; 0 without an answer
  std::string message;  // the model's own words when it failed

  [[nodiscard]] bool voted() const noexcept { return fate.state == VoteState::voted; }
};

struct Classification {
  std::vector<float> probabilities;   // f32 [rows][classes]
  std::vector<std::uint32_t> labels;  // [rows]: the class with the largest probability, the first of equals
};

struct Regression {
  std::vector<float> values;  // f32 [rows]
};

/// The ensemble's answer to one request. Reuse one for call after call: it keeps its memory.
struct Prediction {
  std::variant<Regression, Classification> value;
  std::uint32_t rows = 0;
  std::uint32_t outputs = 0;        // columns: classes, or 1
  std::vector<float> spread;        // f32 [rows]; Combiner::combine says what it is
  std::vector<float> disagreement;  // f32 [rows]
  std::vector<Vote> votes;          // [members], in the config's order
  std::vector<float> parts;         // f32 [members][rows][outputs]; a part without a vote is not meaningful
  std::uint32_t voted = 0;
  IsolationLevel isolation = IsolationLevel::none;  // of the workers that were asked, the lowest

  /// f32 [rows][outputs], whichever task it is.
  [[nodiscard]] std::span<const float> answer() const noexcept;
  /// What one member answered; only if its vote counted.
  [[nodiscard]] MatrixView part(std::size_t member) const noexcept {
    return {parts.data() + member * rows * outputs, rows, outputs};
  }
  /// True when a member is missing.
  [[nodiscard]] bool degraded() const noexcept { return voted < votes.size(); }
};

/// What becomes of an asynchronous request: as predict() returns it. The votes are filled in either way.
using OnPrediction = std::move_only_function<void(Result<void> outcome, Prediction prediction)>;

/// What launching needs beside the config.
struct LaunchOptions {
  /// Path of tutti-worker. "" finds it: TUTTI_WORKER if set, beside this program, or in the installed
  /// package.
  std::string worker;
  std::uint64_t seed = 0;             // of the restart jitter; 0 draws one
  bool templates = true;              // false: each isolate loads its model itself; slower, for comparison
  std::optional<std::string> events;  // the event log, instead of the config's, of every config to come
  bool require_quorum = true;         // false: launch succeeds whatever starts (tutti check asks for this)
  std::vector<std::pair<std::string, std::string>>
      faults;            // member, fault point; for workers built for tests
  bool promotes = true;  // false: no member is loaded anew to have its model compiled
  /// What compiling a model is taken to cost until one was compiled; [jit] compile = "auto" waits for it.
  Duration compile_guess = std::chrono::milliseconds(1500);
  /// Told of every change of state, one after the other, from a thread of the ensemble's own. It must not
  /// throw and must not end the ensemble. It may be slow: what it cannot take is counted (events_dropped).
  std::function<void(const Event&)> on_event;
};

class Generations;
class Promoter;

/// A running ensemble. Its workers live as long as it does. All functions may be called from any thread.
class Ensemble {
 public:
  /// Starts every member and waits until each has started or failed to.
  /// Errors: bad_config, system, not_ready (too few members for the quorum; `what` has each one's error).
  static Result<Ensemble> launch(EnsembleConfig config, LaunchOptions options = {});

  Ensemble(Ensemble&&) noexcept;
  Ensemble& operator=(Ensemble&&) noexcept;
  /// Waits for what is in flight (to its deadline at most), then ends every worker.
  ~Ensemble();

  /// Asks every member and combines those who vote by the deadline.
  ///   x  f32 [rows][features], 1 <= rows <= limits.rows; NaN means missing
  /// Errors: shape_mismatch, overloaded, too_few_votes (`where` names who is missing and why), stopped.
  Result<Prediction> predict(MatrixView x);
  /// The same into a Prediction that is reused: allocates nothing once it has grown.
  Result<void> predict(MatrixView x, Prediction& prediction);
  /// As predict, with a deadline of its own.
  Result<void> predict(MatrixView x, Prediction& prediction, Duration deadline);

  /// Returns at once; `done` is called exactly once, from a thread of the ensemble's or of another caller. It
  /// must be quick, must not throw and must not destroy the ensemble; in it, ask with predict_async(), since
  /// predict() may be refused there (bad_usage). x may be reused as soon as this returns.
  /// Errors, returned at once and then `done` is not called: shape_mismatch, overloaded, stopped.
  Result<void> predict_async(MatrixView x, OnPrediction done);

  /// Kills one worker of a member with SIGKILL, as a fault would. For drills: the ensemble answers without it
  /// and heals. Errors: bad_usage (no such member), not_ready (none of its workers runs).
  Result<void> kill_worker(std::string_view member);

  /// What each process uses is read where that is asked for: some files of /proc for each, without holding up
  /// an answer.
  /// Replaces all members by those of `config`, without a pause: they are started beside the old ones, each
  /// must answer a golden request (a row that was asked before, else zeros), then all requests go to them.
  /// Each answer is wholly of one config; what is in flight is answered by the old members, which end after
  /// it. On an error the old ones go on as if nothing had been. Waits for all of this; not to be called in a
  /// callback. Errors: bad_config (task, classes or features differ), system, not_ready (a new member did not
  /// start, or did not answer its golden request: `what` has each one's cause).
  Result<void> reload(EnsembleConfig config);
  /// The same from a config's file, which is checked first. Errors also: bad_config with every problem in
  /// `what`, a line each.
  Result<void> reload(const ConfigSource& source);

  [[nodiscard]] EnsembleStatus status(ReadUsage usage = ReadUsage::no) const;
  [[nodiscard]] const EnsembleConfig& config() const noexcept;

 private:
  Ensemble(std::unique_ptr<Generations> generations, LaunchOptions options);
  std::unique_ptr<Generations> generations_;
  LaunchOptions options_;
  std::unique_ptr<Promoter> promoter_;  // of generations_, which must outlive it
};

// ---- rules, as EnsembleBuilder::combine takes them ----
CombineConfig mean();
CombineConfig weighted_mean();
CombineConfig median();
CombineConfig trimmed_mean(double trim);
CombineConfig minimum();
CombineConfig maximum();
CombineConfig geometric_mean();
CombineConfig soft_vote();
CombineConfig hard_vote();
CombineConfig rank_mean();
/// coefficients [outputs][members * outputs], intercept [outputs]
CombineConfig stacking(std::vector<std::vector<double>> coefficients, std::vector<double> intercept);

/// Builds a config step by step. weight(), kind() and instances() speak of the member added last. Nothing is
/// refused on the way: build() reports every mistake at once. What is not said keeps the config file's
/// default.
class EnsembleBuilder {
 public:
  EnsembleBuilder& name(std::string name);
  /// Classification into these classes, in the order of the models' outputs.
  EnsembleBuilder& classes(std::vector<std::string> names);
  /// Regression.
  EnsembleBuilder& regression();
  EnsembleBuilder& features(std::uint32_t count);
  EnsembleBuilder& features(std::vector<std::string> names);
  /// `model` is a path, relative to the current directory of build().
  EnsembleBuilder& member(std::string name, std::string model);
  EnsembleBuilder& weight(double weight);
  EnsembleBuilder& kind(std::string kind);
  EnsembleBuilder& instances(std::uint32_t count);
  /// Without it: soft_vote() for classification, mean() for regression.
  EnsembleBuilder& combine(CombineConfig rule);
  EnsembleBuilder& quorum(std::uint32_t votes);
  EnsembleBuilder& quorum(Quorum quorum);
  EnsembleBuilder& deadline(Duration deadline);
  EnsembleBuilder& limits(LimitsConfig limits);
  EnsembleBuilder& restart(RestartConfig restart);
  EnsembleBuilder& spin(SpinConfig spin);

  /// The config as it stands, checked. Errors: bad_config with every problem in `what`, a line each.
  [[nodiscard]] Result<EnsembleConfig> build() const;
  /// build(), then Ensemble::launch().
  [[nodiscard]] Result<Ensemble> launch(LaunchOptions options = {}) const;

 private:
  MemberConfig* last_member(const char* setting);
  EnsembleConfig config_;
  bool rule_given_ = false;
  std::vector<Error> misuse_;
};

}  // namespace tutti
