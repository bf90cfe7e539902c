// From a sum in double to the answer: the link functions of LightGBM and scikit-learn.
//
//   sum ──divided──▶ ──function──▶ the library's own answer in double ──rounded──▶ f32
//
// Each is written as the library writes it, operation for operation. exp and its kin are the C library's, as
// in LightGBM; numpy brings vector versions of its own, which may differ from it in a double's last bit.
#pragma once

#include <cstdint>
#include <span>

#include "shared/tensor.hpp"
#include "worker/model.hpp"

namespace tutti {

struct WideLink {
  enum class Function : std::uint8_t {
    identity,
    signed_square,   // sign(x) * x * x
    exponential,     // exp(x)
    logistic,        // 1 / (1 + exp(-scale * x)), each group for itself
    log_one_plus,    // log(1 + exp(x))
    softmax,         // over the groups
    two_classes,     // [1 - p, p] where p is the logistic of the only group
    negative_power,  // -(2 ^ -x), as isolation forests score
  };

  Function function = Function::identity;
  double divisor = 1.0;                 // of every sum, before the function
  double scale = 1.0;                   // of a logistic
  OutputKind kind = OutputKind::value;  // what the answer's numbers mean
};

/// Columns of the answer for that many groups.
std::uint32_t wide_link_outputs(const WideLink& link, std::uint32_t groups) noexcept;

/// One row's sums become the library's answer, in place.
///   row  f64 [max(groups, wide_link_outputs)]; the sums come first
void apply_wide_link(const WideLink& link, std::span<double> row) noexcept;

/// The same for every row, rounded to float32.
///   margins  f64 [rows][groups]; used as scratch
///   out      f32 [rows][wide_link_outputs]
void apply_wide_link(const WideLink& link, WideMatrixView margins, MutableMatrixView out) noexcept;

}  // namespace tutti
