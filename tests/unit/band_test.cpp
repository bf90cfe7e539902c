#include "supervisor/band.hpp"

#include <array>
#include <vector>

#include "tests/catch.hpp"

namespace tutti {

TEST_CASE("band: distances are from the median of those who voted, averaged over the values", "[band]") {
  // Four members, two rows of one output; the third did not vote and its part is nonsense.
  const std::vector<float> data{1, 2, 1.5F, 2, 1e9F, -1e9F, 4, 8};
  const std::array answered{true, true, false, true};
  std::array<double, 4> distances{};
  std::array<float, 4> scratch{};
  const Parts parts{.data = data.data(), .model_stride = 2, .answered = answered, .rows = 2};
  REQUIRE(distances_from_median(parts, 1, distances, scratch));
  // Medians: 1.5 and 2.
  CHECK(distances[0] == Approx(0.25));
  CHECK(distances[1] == Approx(0));
  CHECK(distances[3] == Approx(4.25));
}

TEST_CASE("band: two votes have no median to be astray from", "[band]") {
  const std::vector<float> data{1, 2, 3};
  const std::array answered{true, false, true};
  std::array<double, 3> distances{};
  std::array<float, 3> scratch{};
  const Parts parts{.data = data.data(), .model_stride = 1, .answered = answered, .rows = 1};
  CHECK_FALSE(distances_from_median(parts, 1, distances, scratch));
}

}  // namespace tutti
