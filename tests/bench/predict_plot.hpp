// The bench's figures as a picture: one panel a forest, nanoseconds a row over the batch, both axes
// logarithmic.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tutti::bench {

struct Curve {
  std::string name;
  std::vector<std::pair<std::uint32_t, double>> points;  // batch, ns a row
};
struct Panel {
  std::string title;
  std::vector<Curve> curves;
};

std::string draw(const std::vector<Panel>& panels, const std::string& caption);

}  // namespace tutti::bench
