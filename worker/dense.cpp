#include "worker/dense.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "shared/limits.hpp"
#include "worker/dense/instruction_set.hpp"
#include "worker/dense/layer.hpp"
#include "worker/dense_plan.hpp"
#include "worker/file.hpp"
#include "worker/safetensors.hpp"
#include "worker/text.hpp"

namespace tutti {
namespace {

using dense::Activation;
using dense::LayerPlan;
using dense::Plan;

/// Scratch of one tile of rows, each of its two halves. A tile runs through all layers before the next one
/// begins.
constexpr std::size_t kTileBytes = 96U << 10;
constexpr std::size_t kTileRowsMin = 6;  // that share each weight that is fetched

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
  DenseModel(const Plan& plan, Input<T> input, std::vector<dense::Layer<T>> layers, std::string where,
             std::uint32_t rows_max, bool jit, const dense::DenseKernels& kernels)
      : shape_{.features = layers.front().inputs, .outputs = layers.back().outputs, .kind = plan.kind},
        one_against_rest_(plan.one_against_rest),
        input_(std::move(input)),
        layers_(std::move(layers)),
        where_(std::move(where)),
        kernels_(kernels) {
    std::size_t widest = shape_.features;
    for (const dense::Layer<T>& layer : layers_) {
      widest = std::max<std::size_t>(widest, layer.outputs);
      report_.bytes += layer.bytes();
    }
    // An odd number of cache lines, so that the rows of a tile do not share one set of the nearest cache.
    const std::size_t lines = (widest + dense::kPanel<T> - 1) / dense::kPanel<T>;
    stride_ = static_cast<std::uint32_t>((lines | 1) * dense::kPanel<T>);
    const std::size_t rows = std::max(kTileBytes / (stride_ * sizeof(T)), kTileRowsMin);
    tile_rows_ = static_cast<std::uint32_t>(std::min(rows, std::size_t{std::max(rows_max, 1U)}));
    front_.resize(std::size_t{tile_rows_} * stride_);
    back_.resize(std::size_t{tile_rows_} * stride_);
    // Rows whose length is a multiple of half a cache way are copied for the same reason.
    reads_in_place_ = std::is_same_v<T, float> && input_.mean.empty() && input_.scale.empty() &&
                      shape_.features * sizeof(T) % 2048 != 0;
    if (jit) {
      report_.tier = 1;
      report_.kernels = kernels_.name;
      report_.why_not = "products of layers gain nothing by being compiled";
    } else {
      report_.why_not = "jit is off";
    }
  }

  [[nodiscard]] ModelShape shape() const noexcept override { return shape_; }
  [[nodiscard]] const TierReport* tiers() const noexcept override { return &report_; }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == shape_.features && out.columns == shape_.outputs && x.rows == out.rows);
    CountedCall call(report_.tiers[report_.tier]);
    std::uint32_t first = 0;
    for (std::uint32_t tiles = (x.rows + tile_rows_ - 1) / tile_rows_; tiles > 0; --tiles) {
      const std::uint32_t rows = (x.rows - first + tiles - 1) / tiles;
      Result<Rows> taken = take_rows(x, first, rows);
      if (!taken) return std::unexpected(std::move(taken.error()));
      answer(*taken, rows, out.row(first).data());
      first += rows;
    }
    call.done(x.rows);
    return {};
  }

 private:
  /// Rows as a layer reads them: the request's own, or in one of the two halves of the scratch memory.
  struct Rows {
    const T* numbers = nullptr;
    std::uint32_t stride = 0;
  };

  /// All layers over a tile, whose rows end in `out`.
  void answer(Rows x, std::uint32_t rows, float* out) {
    for (std::size_t index = 0; index < layers_.size(); ++index) {
      const dense::Layer<T>& layer = layers_[index];
      const bool last = index + 1 == layers_.size();
      if constexpr (std::is_same_v<T, float>) {
        if (layer.activation == Activation::softmax) {
          x = softmax(layer, x, rows, last ? out : nullptr);
          continue;
        }
        if (last && !one_against_rest_) {
          run(layer, x, rows, out, shape_.outputs);
          return;
        }
      }
      T* const y = other_half(x);
      run(layer, x, rows, y, stride_);
      x = {y, stride_};
    }
    if (x.numbers == nullptr) return;
    for (std::uint32_t row = 0; row < rows; ++row) {
      give_row(x.numbers + std::size_t{row} * x.stride,
               {out + std::size_t{row} * shape_.outputs, shape_.outputs});
    }
  }

  void run(const dense::Layer<T>& layer, Rows x, std::uint32_t rows, T* y, std::uint32_t y_stride) const {
    kernels_.multiply(layer.view(x.numbers, x.stride, rows, y, y_stride));
    if (layer.activation == Activation::identity || layer.activation == Activation::relu) return;
    for (std::uint32_t row = 0; row < rows; ++row) {
      dense::activate(layer.activation, std::span(y + std::size_t{row} * y_stride, layer.outputs),
                      layer.slope);
    }
  }

  /// A layer that ends in softmax, into the answer if there is one; nothing is then left to be read.
  Rows softmax(const dense::Layer<float>& layer, Rows x, std::uint32_t rows, float* out) {
    float* const sums = other_half(x);
    kernels_.multiply(layer.view(x.numbers, x.stride, rows, sums, stride_));
    float* const y = out != nullptr ? out : other_half({sums, stride_});
    const std::uint32_t y_stride = out != nullptr ? shape_.outputs : stride_;
    kernels_.softmax({.x = sums,
                      .y = y,
                      .numbers = layer.outputs,
                      .rows = rows,
                      .x_stride = stride_,
                      .y_stride = y_stride});
    return out != nullptr ? Rows{} : Rows{y, y_stride};
  }

  T* other_half(Rows rows) { return rows.numbers == front_.data() ? back_.data() : front_.data(); }

  /// The rows as they are, or a copy that is filled and standardised.
  Result<Rows> take_rows(MatrixView x, std::uint32_t start, std::uint32_t rows) {
    const float* const from = x.row(start).data();
    const bool missing = kernels_.any_nan(from, std::size_t{rows} * x.columns);
    if constexpr (std::is_same_v<T, float>) {
      if (reads_in_place_ && !missing) return Rows{from, x.columns};
    }
    for (std::uint32_t row = 0; row < rows; ++row) {
      T* const to = front_.data() + std::size_t{row} * stride_;
      std::ranges::copy(x.row(start + row), to);
      if (missing) {
        if (Result<void> filled = fill(std::span(to, x.columns), start + row); !filled) {
          return std::unexpected(std::move(filled.error()));
        }
      }
      for (std::size_t feature = 0; feature < input_.mean.size(); ++feature) {
        to[feature] -= input_.mean[feature];
      }
      for (std::size_t feature = 0; feature < input_.scale.size(); ++feature) {
        to[feature] /= input_.scale[feature];
      }
    }
    return Rows{front_.data(), stride_};
  }

  Result<void> fill(std::span<T> numbers, std::uint32_t row) const {
    for (std::size_t feature = 0; feature < numbers.size(); ++feature) {
      if (!std::isnan(numbers[feature])) continue;
      if (input_.fill.empty()) return missing_number(row, feature);
      numbers[feature] = input_.fill[feature];
    }
    return {};
  }

  [[nodiscard]] Result<void> missing_number(std::uint32_t row, std::size_t feature) const {
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
  const dense::DenseKernels& kernels_;
  bool reads_in_place_ = false;  // the first layer reads a request's rows where they lie
  std::uint32_t stride_ = 0;     // numbers from one row of a tile to the next: the widest layer, padded
  std::uint32_t tile_rows_ = 0;
  AlignedVector<T> front_;  // [tile_rows_][stride_]: one half of the scratch memory
  AlignedVector<T> back_;   // the other
  TierReport report_;
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
Result<std::unique_ptr<Model>> build(const Plan& plan, const std::string& where, std::uint32_t rows_max,
                                     bool jit, const dense::DenseKernels& kernels) {
  Result<Input<T>> input = pack_input<T>(plan, where);
  if (!input) return std::unexpected(std::move(input.error()));
  std::vector<dense::Layer<T>> layers;
  for (const LayerPlan& layer_plan : plan.layers) {
    Result<dense::Layer<T>> layer = pack_layer<T>(layer_plan, where);
    if (!layer) return std::unexpected(std::move(layer.error()));
    layers.push_back(std::move(*layer));
  }
  return std::make_unique<DenseModel<T>>(plan, std::move(*input), std::move(layers), where, rows_max, jit,
                                         kernels);
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
  return dense::build_model(*plan, where, source.rows_max, source.jit);
}

Result<std::unique_ptr<Model>> dense::build_model(const Plan& plan, const std::string& where,
                                                  std::uint32_t rows_max, const JitSettings& jit,
                                                  const DenseKernels* kernels) {
  const bool on = jit.mode != JitSettings::Mode::off;
  if (kernels == nullptr) kernels = on ? &chosen_kernels() : &kPortableDenseKernels;
  return plan.in_double ? build<double>(plan, where, rows_max, on, *kernels)
                        : build<float>(plan, where, rows_max, on, *kernels);
}

}  // namespace tutti
