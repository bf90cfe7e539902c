#include "worker/onnx/step_model.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <utility>

#include "shared/limits.hpp"

namespace tutti::onnx {
namespace {

constexpr std::size_t kScratchBytes = std::size_t{4} << 20;
constexpr std::size_t kScratchRowsMin = 16;

class StepModel final : public Model {
 public:
  StepModel(std::unique_ptr<Model> core, std::vector<Step> before, std::vector<Step> after, OutputKind kind,
            std::uint32_t rows_max)
      : core_(std::move(core)), before_(std::move(before)), after_(std::move(after)), shape_(core_->shape()) {
    shape_.kind = kind;
    if (before_.empty()) return;
    const std::size_t row_bytes = std::size_t{shape_.features} * sizeof(float);
    const std::size_t rows = std::max(kScratchBytes / row_bytes, kScratchRowsMin);
    scratch_rows_ =
        static_cast<std::uint32_t>(std::min(rows, std::size_t{rows_max == 0 ? kRowsDefault : rows_max}));
    scratch_.resize(std::size_t{scratch_rows_} * shape_.features);
  }

  [[nodiscard]] ModelShape shape() const noexcept override { return shape_; }
  [[nodiscard]] const TierReport* tiers() const noexcept override { return core_->tiers(); }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == shape_.features && out.columns == shape_.outputs && x.rows == out.rows);
    if (Result<void> done = before_.empty() ? core_->predict(x, out) : predict_prepared(x, out); !done) {
      return done;
    }
    apply_steps(after_, out);
    return {};
  }

 private:
  Result<void> predict_prepared(MatrixView x, MutableMatrixView out) {
    for (std::uint32_t first = 0; first < x.rows; first += std::min(scratch_rows_, x.rows - first)) {
      const std::uint32_t rows = std::min(scratch_rows_, x.rows - first);
      const MutableMatrixView prepared{scratch_.data(), rows, x.columns};
      std::copy_n(x.row(first).data(), prepared.size(), prepared.data);
      apply_steps(before_, prepared);
      const MutableMatrixView answers{out.row(first).data(), rows, out.columns};
      if (Result<void> done = core_->predict(prepared, answers); !done) return done;
    }
    return {};
  }

  std::unique_ptr<Model> core_;
  std::vector<Step> before_;
  std::vector<Step> after_;
  ModelShape shape_;
  std::uint32_t scratch_rows_ = 0;
  std::vector<float> scratch_;  // [scratch_rows_][features]
};

}  // namespace

std::unique_ptr<Model> with_steps(std::unique_ptr<Model> core, std::vector<Step> before,
                                  std::vector<Step> after, OutputKind kind, std::uint32_t rows_max) {
  if (before.empty() && after.empty() && core->shape().kind == kind) return core;
  return std::make_unique<StepModel>(std::move(core), std::move(before), std::move(after), kind, rows_max);
}

}  // namespace tutti::onnx
