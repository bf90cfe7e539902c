// The benchmark of the guide that tutti grew from, which every reader of it has run in Python:
//
//   data = random(100, 784); result = data @ random(784, 10)
//
// A thousand times, three times over. Nine tenths of it are random numbers, not the product: so both are
// timed apart too, and the same is asked of numpy in the same run, round by round in turn.
//
// Together they need no `data` at all: numbers are drawn into registers and multiplied there
// (random_product.hpp).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tutti {

/// Nanoseconds an iteration.
struct GuideTimes {
  double generator = 0;  // 100 x 784 and 784 x 10 random numbers in [0, 1)
  double product = 0;    // of matrices that are there
  double together = 0;   // both, as the guide has it
};

struct GuideRound {
  GuideTimes doubles;               // float64, as numpy's default
  GuideTimes floats;                // float32
  std::optional<GuideTimes> numpy;  // float64, one thread; nothing where there is no numpy
};

struct GuideReport {
  std::vector<GuideRound> rounds;
  std::string_view instruction_set;  // that the kernels were chosen for
  std::string numpy_version;         // "" where there is none
};

/// Runs it. `progress` is told the rounds that are done.
GuideReport run_guide(std::uint32_t iterations, std::uint32_t rounds,
                      const std::function<void(std::uint32_t)>& progress);

}  // namespace tutti
