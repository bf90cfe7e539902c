// A model's own outputs turned into exactly the ensemble's columns.
#pragma once

#include <memory>

#include "shared/error.hpp"
#include "worker/model.hpp"

namespace tutti {

/// Wraps `model` where its outputs are not the ensemble's already.
///
///   the model answers     classification into K classes            regression
///   value                 an error: a number is no class           as it is
///   probabilities         as they are, if there are K               an error
///   probability p         [1 - p, p] in float32, if K is 2          as it is: a number in [0, 1]
///   class_index           one-hot, if it chooses from K             an error
///
/// A class index that is no class is model_failed when it occurs. The wrapper allocates nothing when it
/// predicts. Errors: shape_mismatch, naming what the model has and what the ensemble needs.
Result<std::unique_ptr<Model>> adapt(std::unique_ptr<Model> model, const ModelSource& source);

}  // namespace tutti
