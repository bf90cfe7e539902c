// One comparison of ONNX as what the kernels know: x < bound, in float32, and nothing else.
//
//   x <= 3          true │next(3) false                    x == 3     false │3 true │next(3) false
//   x in {1, 2, 5}  false │1 true │next(1) false │2 true │next(2) false │5 true │next(5) false
//
// Whatever the mode, a comparison is a few bounds at which its truth turns over, and NaN's truth beside them.
// Exact for every float32, both infinities and denormals among them: next() is the next number of that type.
// Members that follow one another share their bounds. Thresholds may be doubles; x is a float, so that each
// has a float that decides the same.
#pragma once

#include <span>
#include <vector>

#include "worker/onnx/ensemble.hpp"

namespace tutti::onnx {

struct Intervals {
  std::vector<float> bounds;  // rising, each once; the truth turns over at each
  bool first = false;         // the truth of what lies below all bounds
  bool missing = false;       // NaN's

  /// The truth of the interval that many bounds below which lie.
  [[nodiscard]] bool truth(std::size_t interval) const noexcept { return first != (interval % 2 == 1); }
};

/// Fills `intervals`. Afterwards either there are no bounds and NaN's truth is that of all numbers, or there
/// is an interval of NaN's truth: where no number has it, one below minus infinity.
void find_intervals(const Branch& branch, std::span<const double> members, Intervals& intervals);

}  // namespace tutti::onnx
