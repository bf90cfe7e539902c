#include "worker/xgboost_linear.hpp"

#include <cassert>
#include <cmath>
#include <span>
#include <utility>

namespace tutti {
namespace {

class LinearModel final : public Model {
 public:
  explicit LinearModel(XgboostLinear linear)
      : linear_(std::move(linear)), margins_(linear_.base_margins.size()) {
    assert(linear_.weights.size() == (std::size_t{linear_.features} + 1) * margins_.size());
  }

  [[nodiscard]] ModelShape shape() const noexcept override {
    return {.features = linear_.features,
            .outputs = link_outputs(linear_.link, groups()),
            .kind = link_kind(linear_.link),
            .classes = link_classes(linear_.link, groups())};
  }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == linear_.features && out.rows == x.rows && out.columns == shape().outputs);
    for (std::uint32_t row = 0; row < x.rows; ++row) {
      for (std::uint32_t group = 0; group < groups(); ++group) margins_[group] = sum(x.row(row), group);
      apply_link(linear_.link, {margins_.data(), 1, groups()}, {out.row(row).data(), 1, out.columns});
    }
    return {};
  }

 private:
  [[nodiscard]] std::uint32_t groups() const noexcept { return static_cast<std::uint32_t>(margins_.size()); }

  [[nodiscard]] float sum(std::span<const float> row, std::uint32_t group) const noexcept {
    const std::size_t stride = groups();
    float total = linear_.weights[row.size() * stride + group] + linear_.base_margins[group];
    for (std::size_t feature = 0; feature < row.size(); ++feature) {
      if (std::isnan(row[feature])) continue;
      const float term = row[feature] * linear_.weights[feature * stride + group];
      total += term;
    }
    return total;
  }

  XgboostLinear linear_;
  std::vector<float> margins_;  // of one row
};

}  // namespace

std::unique_ptr<Model> make_linear_model(XgboostLinear linear) {
  return std::make_unique<LinearModel>(std::move(linear));
}

}  // namespace tutti
