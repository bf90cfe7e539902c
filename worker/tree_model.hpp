// A forest as a model: tier 0 first, tier 1 when it is due.
#pragma once

#include <memory>

#include "worker/jit.hpp"
#include "worker/model.hpp"
#include "worker/trees.hpp"

namespace tutti {

/// A model that answers from `forest`. Where tier 1 is built at load, forks of this process share it.
std::unique_ptr<Model> make_tree_model(Forest forest, const JitSettings& jit = {});

}  // namespace tutti
