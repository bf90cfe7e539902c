// XGBoost's linear booster (gblinear): a weighted sum per group, then the link.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/link.hpp"
#include "worker/model.hpp"

namespace tutti {

struct XgboostLinear {
  std::uint32_t features = 0;
  std::vector<float> base_margins;  // one per group
  std::vector<float> weights;       // f32 [features + 1][groups]; the last row is the bias
  Link link = Link::identity;
};

/// A model of it. Sums in float32: bias and base margin first, then the features in order; NaN adds nothing.
std::unique_ptr<Model> make_linear_model(XgboostLinear linear);

}  // namespace tutti
