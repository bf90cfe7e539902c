#include "supervisor/band.hpp"

#include <algorithm>
#include <cmath>

namespace tutti {

bool distances_from_median(const Parts& parts, std::uint32_t outputs, std::span<double> distances,
                           std::span<float> scratch) {
  const std::size_t models = parts.answered.size();
  const auto votes = static_cast<std::size_t>(std::ranges::count(parts.answered, true));
  if (votes < kBandVotesMin) return false;
  const std::size_t values = std::size_t{parts.rows} * outputs;
  std::ranges::fill(distances, 0.0);
  const auto sorted = scratch.first(votes);
  for (std::size_t value = 0; value < values; ++value) {
    std::size_t vote = 0;
    for (std::size_t model = 0; model < models; ++model) {
      if (parts.answered[model]) sorted[vote++] = parts.data[model * parts.model_stride + value];
    }
    std::ranges::sort(sorted);
    const double median =
        (static_cast<double>(sorted[(votes - 1) / 2]) + static_cast<double>(sorted[votes / 2])) / 2;
    for (std::size_t model = 0; model < models; ++model) {
      if (!parts.answered[model]) continue;
      const auto answer = static_cast<double>(parts.data[model * parts.model_stride + value]);
      distances[model] += std::abs(answer - median) / static_cast<double>(values);
    }
  }
  return true;
}

}  // namespace tutti
