#include "worker/dense.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/limits.hpp"
#include "worker/dense_kernel.hpp"
#include "worker/dense_plan.hpp"
#include "worker/file.hpp"
#include "worker/safetensors.hpp"
#include "worker/text.hpp"

namespace tutti {
namespace {

using dense::LayerPlan;
using dense::Plan;

/// Scratch of one tile of rows, each of its two halves. A tile runs through all layers before the next one
/// begins.
constexpr std::size_t kTileBytes = 256U << 10;
constexpr std::size_t kTileRowsMin = 4;

std::unexpected<Error> bad(std::string what, std::string where, std::string hint) {
  return std::unexpected(Error{
      .code = Errc::bad_model, .what = std::move(what), .where = std::move(where), .hint = std::move(hint)});
}

/// A tensor's numbers, all finite.
template <class T>
Result<std::vector<T>> finite_numbers(const Tensor& tensor, std::string_view name, std::string_view where) {
  std::vector<T> numbers(tensor.count);
  read_numbers<T>(tensor, numbers);
  const auto wrong = std::ranges::find_if_not(numbers, [](T number) { return std::isfinite(number); });
  if (wrong != numbers.end()) {
    return bad(fmt::format("number {} is {}", wrong - numbers.begin(), *wrong),
               fmt::format("{}: tensor '{}'", where, one_line(name, kNameMax)),
               "the training diverged or the file is damaged");
  }
  return numbers;
}

template <class T>
struct Input {
  std::vector<T> fill;  // empty, or [features]; so are the others
  std::vector<T> mean;
  std::vector<T> scale;
};

template <class T>
class DenseModel final : public Model {
 public:
  DenseModel(ModelShape shape, bool one_against_rest, Input<T> input, std::vector<dense::Layer<T>> layers,
             std::string where, std::uint32_t rows_max)
      : shape_(shape),
        one_against_rest_(one_against_rest),
        input_(std::move(input)),
        layers_(std::move(layers)),
        where_(std::move(where)) {
    stride_ = dense::round_up(shape_.features, dense::kPanel<T>);
    for (const dense::Layer<T>& layer : layers_) stride_ = std::max(stride_, layer.bias.size());
    const std::size_t rows = std::max(kTileBytes / (stride_ * sizeof(T)), kTileRowsMin);
    tile_rows_ = std::min(rows, std::size_t{std::max(rows_max, 1U)});
    front_.resize(tile_rows_ * stride_);
    back_.resize(tile_rows_ * stride_);
  }

  [[nodiscard]] ModelShape shape() const noexcept override { return shape_; }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == shape_.features && out.columns == shape_.outputs && x.rows == out.rows);
    for (std::size_t first = 0; first < x.rows; first += tile_rows_) {
      const auto rows = static_cast<std::uint32_t>(std::min<std::size_t>(tile_rows_, x.rows - first));
      const auto start = static_cast<std::uint32_t>(first);
      if (Result<void> taken = take_rows(x, start, rows); !taken) return taken;
      for (const dense::Layer<T>& layer : layers_) {
        dense::multiply(layer, front_.data(), rows, stride_, back_.data());
        for (std::uint32_t row = 0; row < rows; ++row) {
          dense::activate(layer.activation, std::span(back_.data() + row * stride_, layer.outputs),
                          layer.slope);
        }
        std::swap(front_, back_);
      }
      for (std::uint32_t row = 0; row < rows; ++row)
        give_row(front_.data() + row * stride_, out.row(start + row));
    }
    return {};
  }

 private:
  /// Copies rows into `front_`, filled and standardised.
  Result<void> take_rows(MatrixView x, std::uint32_t start, std::uint32_t rows) {
    for (std::uint32_t row = 0; row < rows; ++row) {
      const std::span<const float> from = x.row(start + row);
      T* to = front_.data() + row * stride_;
      for (std::size_t feature = 0; feature < from.size(); ++feature) {
        T value = static_cast<T>(from[feature]);
        if (std::isnan(value)) {
          if (input_.fill.empty()) return missing(start + row, feature);
          value = input_.fill[feature];
        }
        if (!input_.mean.empty()) value -= input_.mean[feature];
        if (!input_.scale.empty()) value /= input_.scale[feature];
        to[feature] = value;
      }
    }
    return {};
  }

  [[nodiscard]] Result<void> missing(std::uint32_t row, std::size_t feature) const {
    return std::unexpected(Error{
        .code = Errc::model_failed,
        .what =
            fmt::format("row {} feature {} is missing and this model has no fill values (both count from 0)",
                        row, feature),
        .where = where_,
        .hint = "fill missing numbers before the request, or export the model with input.fill"});
  }

  /// One finished row. Sigmoids over several classes are independent of each other and need not sum to 1.
  void give_row(const T* from, std::span<float> to) const {
    T sum = 0;
    for (std::size_t output = 0; one_against_rest_ && output < to.size(); ++output) sum += from[output];
    for (std::size_t output = 0; output < to.size(); ++output) {
      if (!one_against_rest_) {
        to[output] = static_cast<float>(from[output]);
      } else {
        // All of them 0: no class is likelier than another.
        const T share = sum == 0 ? 1 / static_cast<T>(to.size()) : from[output] / sum;
        to[output] = static_cast<float>(share);
      }
    }
  }

  ModelShape shape_;
  bool one_against_rest_;
  Input<T> input_;
  std::vector<dense::Layer<T>> layers_;
  std::string where_;
  std::size_t stride_ = 0;  // numbers from one row of a tile to the next: the widest layer, padded
  std::size_t tile_rows_ = 0;
  std::vector<T> front_;  // [tile_rows_][stride_]: what a layer reads
  std::vector<T> back_;   // the same: what it writes
};

template <class T>
Result<dense::Layer<T>> pack_layer(const LayerPlan& plan, std::string_view where) {
  const Result<std::vector<T>> numbers = finite_numbers<T>(*plan.weight, plan.weight_name, where);
  if (!numbers) return std::unexpected(numbers.error());
  dense::Layer<T> layer = dense::make_layer<T>(plan.inputs, plan.outputs, plan.activation);
  layer.slope = static_cast<T>(plan.slope);
  for (std::size_t output = 0; output < layer.outputs; ++output) {
    for (std::size_t input = 0; input < layer.inputs; ++input) {
      const std::size_t index =
          plan.transpose ? input * layer.outputs + output : output * layer.inputs + input;
      dense::set_weight(layer, output, input, (*numbers)[index]);
    }
  }
  if (plan.bias != nullptr) {
    const Result<std::vector<T>> bias = finite_numbers<T>(*plan.bias, plan.bias_name, where);
    if (!bias) return std::unexpected(bias.error());
    std::ranges::copy(*bias, layer.bias.begin());
  }
  return layer;
}

template <class T>
Result<Input<T>> pack_input(const Plan& plan, std::string_view where) {
  Input<T> input;
  for (const auto& [from, to] : {std::pair(&plan.fill, &input.fill), std::pair(&plan.mean, &input.mean),
                                 std::pair(&plan.scale, &input.scale)}) {
    if (from->tensor == nullptr) continue;
    Result<std::vector<T>> numbers = finite_numbers<T>(*from->tensor, from->name, where);
    if (!numbers) return std::unexpected(std::move(numbers.error()));
    *to = std::move(*numbers);
  }
  const auto zero = std::ranges::find(input.scale, T{0});
  if (zero != input.scale.end()) {
    return bad(fmt::format("number {} is 0, and inputs are divided by it", zero - input.scale.begin()),
               fmt::format("{}: tensor '{}'", where, one_line(plan.scale.name, kNameMax)),
               "a feature that never varies has scale 1");
  }
  return input;
}

template <class T>
Result<std::unique_ptr<Model>> build(const Plan& plan, const std::string& where, std::uint32_t rows_max) {
  Result<Input<T>> input = pack_input<T>(plan, where);
  if (!input) return std::unexpected(std::move(input.error()));
  std::vector<dense::Layer<T>> layers;
  for (const LayerPlan& layer_plan : plan.layers) {
    Result<dense::Layer<T>> layer = pack_layer<T>(layer_plan, where);
    if (!layer) return std::unexpected(std::move(layer.error()));
    layers.push_back(std::move(*layer));
  }
  const ModelShape shape{
      .features = plan.layers.front().inputs, .outputs = plan.layers.back().outputs, .kind = plan.kind};
  return std::make_unique<DenseModel<T>>(shape, plan.one_against_rest, std::move(*input), std::move(layers),
                                         where, rows_max);
}

}  // namespace

Result<std::unique_ptr<Model>> load_dense(const ModelSource& source) {
  const Result<FileBytes> file = read_model_file(source.path);
  if (!file) return std::unexpected(file.error());
  return dense_from_bytes(file->view(), source);
}

Result<std::unique_ptr<Model>> dense_from_bytes(std::span<const std::byte> file, const ModelSource& source) {
  const std::string where = file_name(source.path);
  const Result<Safetensors> tensors = Safetensors::parse(file, where);
  if (!tensors) return std::unexpected(tensors.error());
  const Result<Plan> plan = dense::read_plan(*tensors, where);
  if (!plan) return std::unexpected(plan.error());
  return dense::build_model(*plan, where, source.rows_max);
}

Result<std::unique_ptr<Model>> dense::build_model(const Plan& plan, const std::string& where,
                                                  std::uint32_t rows_max) {
  return plan.in_double ? build<double>(plan, where, rows_max) : build<float>(plan, where, rows_max);
}

}  // namespace tutti
