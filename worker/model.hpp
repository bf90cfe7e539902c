// What a worker knows of a model: its shape, what its numbers mean, and how to ask it.
//
//   file ──load_model()──▶ Model ──adapt()──▶ Model with exactly the ensemble's outputs ──▶ loop
//
// A model file is hostile: loading never crashes, never allocates from an unchecked number, never loops
// for ever, and says where the file is broken
// ("boosted.json: learner.gradient_booster.model.trees[3].left_children[7]").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shared/error.hpp"
#include "shared/tensor.hpp"
#include "worker/jit.hpp"

namespace tutti {

/// What the numbers of one output row mean.
enum class OutputKind : std::uint32_t {
  value,          // regression: one number
  probabilities,  // one per class, summing to 1
  probability,    // one number: the second class's probability; the first class has 1 - p
  class_index,    // one number: the winning class
};

struct ModelShape {
  std::uint32_t features = 0;  // columns of an input row
  std::uint32_t outputs = 0;   // columns of an output row
  OutputKind kind = OutputKind::value;
  std::uint32_t classes = 0;  // class_index: how many classes it chooses from; 0 where the file does not say
};

/// One model's state. Owned by one isolate, called by one thread.
class Model {
 public:
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;
  virtual ~Model() = default;

  [[nodiscard]] virtual ModelShape shape() const noexcept = 0;

  /// False when a process that has this model must not be forked: isolates then load it each for themselves.
  [[nodiscard]] virtual bool may_fork() const noexcept { return true; }

  /// True when it may start threads while it predicts: its isolates must then be let.
  [[nodiscard]] virtual bool may_start_threads() const noexcept { return false; }

  /// Where it stands on the way to a faster tier; null for models that know none.
  [[nodiscard]] virtual const TierReport* tiers() const noexcept { return nullptr; }

  /// Predicts.
  ///   x    f32 [rows][shape().features]; NaN means missing
  ///   out  f32 [rows][shape().outputs], wholly written on success; may not alias x
  /// Errors: model_failed with the model's own message. Shapes are the caller's duty (asserted).
  /// The hot path: implementations allocate nothing after warm-up for batches seen before.
  virtual Result<void> predict(MatrixView x, MutableMatrixView out) = 0;
};

/// Where a model comes from and what the ensemble expects of it.
struct ModelSource {
  std::string path;  // of the file
  std::string kind;  // "" recognises it; else what load.cpp knows: "xgboost", "lightgbm", …
  bool classification = false;
  std::uint32_t features = 0;  // of the ensemble
  std::uint32_t outputs = 0;   // classes of the ensemble, or 1
  std::uint32_t rows_max = 0;  // of one request: scratch memory is sized from it
  JitSettings jit = {};
};

/// Loads, checks and adapts: the model returned has exactly source.features and source.outputs.
/// Errors: bad_model (what is wrong with the file, where in it, what to do), shape_mismatch (the model
/// fits another ensemble: both numbers are named).
Result<std::unique_ptr<Model>> load_model(const ModelSource& source);

}  // namespace tutti
