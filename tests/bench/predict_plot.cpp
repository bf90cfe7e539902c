#include "predict_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

namespace tutti::bench {
namespace {

constexpr double kWidth = 380;
constexpr double kHeight = 300;
constexpr double kLeft = 62;
constexpr double kTop = 40;
constexpr double kGap = 150;
constexpr const char* kColours[] = {"#888888", "#c08a2e", "#4f9d69", "#3b76af", "#b03a48", "#6c4f9d"};

struct Axis {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;
  [[nodiscard]] double place(double value) const {
    return from + (std::log10(value) - low) / (high - low) * (to - from);
  }
};

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return fmt::format("<line x1='{:.1f}' y1='{:.1f}' x2='{:.1f}' y2='{:.1f}' stroke='{}'/>\n", x1, y1, x2, y2,
                     colour);
}

std::string text(double x, double y, const char* anchor, const std::string& words) {
  return fmt::format("<text x='{:.1f}' y='{:.1f}' text-anchor='{}'>{}</text>\n", x, y, anchor, words);
}

std::string draw_panel(const Panel& panel, double left) {
  double least = 1e300;
  double most = 0;
  std::uint32_t batch_max = 1;
  for (const Curve& curve : panel.curves) {
    for (const auto& [batch, ns] : curve.points) {
      least = std::min(least, ns);
      most = std::max(most, ns);
      batch_max = std::max(batch_max, batch);
    }
  }
  if (most <= 0) return {};
  const Axis x{.low = 0, .high = std::max(1.0, std::log10(batch_max)), .from = left, .to = left + kWidth};
  const Axis y{.low = std::floor(std::log10(least)),
               .high = std::ceil(std::log10(most)),
               .from = kTop + kHeight,
               .to = kTop};
  std::string svg = text(left + kWidth / 2, kTop - 14, "middle", panel.title);
  for (int exponent = static_cast<int>(y.low); exponent <= static_cast<int>(y.high); ++exponent) {
    const double at = y.place(std::pow(10, exponent));
    svg += line(left, at, left + kWidth, at, "#dddddd");
    svg += text(left - 6, at + 4, "end", fmt::format("{:g}", std::pow(10, exponent)));
  }
  for (std::uint32_t batch = 1; batch <= batch_max; batch *= 4) {
    svg += line(x.place(batch), y.from, x.place(batch), y.from + 5, "#888888");
    svg += text(x.place(batch), y.from + 18, "middle", fmt::format("{}", batch));
  }
  svg += text(left + kWidth / 2, y.from + 36, "middle", "rows in a batch");
  // From the top down, for the labels: they stand at their curves' ends, and are pushed down where they would
  // meet.
  std::vector<std::size_t> order;
  for (std::size_t index = 0; index < panel.curves.size(); ++index) {
    if (!panel.curves[index].points.empty()) order.push_back(index);
  }
  std::ranges::sort(order, std::ranges::greater{},
                    [&](std::size_t index) { return panel.curves[index].points.back().second; });
  double label_from = 0;
  for (const std::size_t index : order) {
    const Curve& curve = panel.curves[index];
    const char* const colour = kColours[index % std::size(kColours)];
    std::string points;
    for (const auto& [batch, ns] : curve.points)
      points += fmt::format("{:.1f},{:.1f} ", x.place(batch), y.place(ns));
    svg += fmt::format("<polyline points='{}' fill='none' stroke='{}' stroke-width='2'/>\n", points, colour);
    label_from = std::max(label_from + 14, y.place(curve.points.back().second));
    svg += fmt::format("<text x='{:.1f}' y='{:.1f}' fill='{}'>{}</text>\n", left + kWidth + 6, label_from + 4,
                       colour, curve.name);
  }
  return svg;
}

}  // namespace

std::string draw(const std::vector<Panel>& panels, const std::string& caption) {
  const double width = kLeft + static_cast<double>(panels.size()) * (kWidth + kGap);
  const double height = kTop + kHeight + 70;
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{:.0f}' height='{:.0f}' font-family='sans-serif' "
      "font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n",
      width, height);
  double left = kLeft;
  for (const Panel& panel : panels) {
    svg += draw_panel(panel, left);
    left += kWidth + kGap;
  }
  svg += text(kLeft, height - 10, "start", "nanoseconds a row; " + caption);
  return svg + "</svg>\n";
}

}  // namespace tutti::bench
