// From a sum of trees (the margin) to the answer: the link functions, in float32, bit for bit as XGBoost has
// them.
//
//   margins [rows][groups] ──apply_link()──▶ out [rows][link_outputs()]
//
// These and no others decide the last bits of an answer: compiled tiers must call them or give the same bits.
#pragma once

#include <cstdint>

#include "shared/tensor.hpp"
#include "worker/model.hpp"

namespace tutti {

enum class Link : std::uint8_t {
  identity,
  logistic,     // 1 / (exp(-x) + 1), one group
  exponential,  // exp(x)
  hinge,        // 1 where x > 0, else 0: the class itself, one group
  softmax,      // probabilities over the groups
  first_max,    // the number of the first group with the largest margin
};

/// Columns of the answer for that many groups.
std::uint32_t link_outputs(Link link, std::uint32_t groups) noexcept;

/// What the answer's numbers mean.
OutputKind link_kind(Link link) noexcept;

/// Classes that a class_index link chooses from; 0 for the others.
std::uint32_t link_classes(Link link, std::uint32_t groups) noexcept;

/// Applies the link to every row.
///   margins  f32 [rows][groups]; used as scratch
///   out      f32 [rows][link_outputs]; may be the same memory as margins unless the link is first_max
void apply_link(Link link, MutableMatrixView margins, MutableMatrixView out) noexcept;

}  // namespace tutti
