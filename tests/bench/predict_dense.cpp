#include "predict_dense.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "predict_eigen.hpp"
#include "predict_ways.hpp"
#include "worker/dense/instruction_set.hpp"
#include "worker/dense_plan.hpp"

namespace tutti::bench {
namespace {

constexpr std::uint32_t kBatches[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024};
constexpr std::uint32_t kQuickBatches[] = {1, 32, 256};
constexpr std::uint32_t kBatchMax = 1024;
constexpr std::uint32_t kFeatures = kWidths[0];
constexpr std::uint32_t kClasses = kWidths[kLayers];

class DenseBench {
 public:
  explicit DenseBench(const Options& options)
      : options_(options),
        x_(normal_numbers(std::size_t{kPoolRows} * kFeatures, 3)),
        out_(std::size_t{kPoolRows} * kClasses) {
    for (std::uint32_t index = 0; index < kLayers; ++index) {
      LayerNumbers numbers{
          .weights = normal_numbers(std::size_t{kWidths[index]} * kWidths[index + 1], 10 + index),
          .bias = normal_numbers(kWidths[index + 1], 20 + index)};
      for (float& weight : numbers.weights) weight /= std::sqrt(static_cast<float>(kWidths[index]));
      layers_.push_back(std::move(numbers));
    }
    eigen_load(layers_, kPoolRows);
    for (const dense::DenseKernels* const kernels : dense::runnable_kernels()) {
      models_.push_back(model_of(*kernels));
      names_.push_back(kernels->name);
    }
  }

  Panel run(Report& report) {
    const std::string title = "layers 64-128-64-10, softmax";
    report.section("dense",
                   fmt::format("{}; ns a row on one thread, against Eigen {}", title, eigen_version()));
    Panel panel{.title = title, .curves = {}};
    if (!answers_agree()) {
      report.skip("all", "the answers differ from Eigen's, or from each other");
      return panel;
    }
    const auto batches = options_.quick ? std::span<const std::uint32_t>(kQuickBatches)
                                        : std::span<const std::uint32_t>(kBatches);
    for (const std::uint32_t batch : batches) {
      std::vector<Way> ways = ways_of(batch);
      measure(ways, batch, options_);
      add_points(panel, ways, batch);
      for (std::size_t index = 0; index < ways.size(); ++index) report_way(report, ways[index], batch, index);
    }
    return panel;
  }

 private:
  static std::vector<float> normal_numbers(std::size_t count, std::uint32_t seed) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<float> numbers(count);
    for (float& number : numbers) number = normal(generator);
    return numbers;
  }

  [[nodiscard]] std::unique_ptr<Model> model_of(const dense::DenseKernels& kernels) const {
    std::vector<Tensor> tensors;
    for (std::uint32_t index = 0; index < kLayers; ++index) {
      const LayerNumbers& numbers = layers_[index];
      tensors.push_back({.dtype = "F32",
                         .shape = {kWidths[index + 1], kWidths[index]},
                         .count = numbers.weights.size(),
                         .bytes = std::as_bytes(std::span(numbers.weights))});
      tensors.push_back({.dtype = "F32",
                         .shape = {kWidths[index + 1]},
                         .count = numbers.bias.size(),
                         .bytes = std::as_bytes(std::span(numbers.bias))});
    }
    dense::Plan plan;
    for (std::uint32_t index = 0; index < kLayers; ++index) {
      dense::LayerPlan layer;
      layer.weight = &tensors[std::size_t{2} * index];
      layer.bias = &tensors[std::size_t{2} * index + 1];
      layer.inputs = kWidths[index];
      layer.outputs = kWidths[index + 1];
      layer.activation = index + 1 < kLayers ? dense::Activation::relu : dense::Activation::softmax;
      plan.layers.push_back(std::move(layer));
    }
    plan.kind = OutputKind::probabilities;
    return dense::build_model(plan, "bench", kBatchMax, {}, &kernels).value();
  }

  void ask(Model& model, std::uint32_t first, std::uint32_t rows) {
    static_cast<void>(model.predict({&x_[std::size_t{first} * kFeatures], rows, kFeatures},
                                    {&out_[std::size_t{first} * kClasses], rows, kClasses}));
  }

  /// The same bits from all of ours, and Eigen's numbers but for roundings.
  bool answers_agree() {
    eigen_predict(x_.data(), kPoolRows, out_.data());
    const std::vector<float> peer = out_;
    std::vector<float> wanted;
    for (const auto& model : models_) {
      std::ranges::fill(out_, 0.0F);
      ask(*model, 0, kPoolRows);
      if (wanted.empty()) wanted = out_;
      if (out_ != wanted) return false;
    }
    return std::ranges::equal(wanted, peer,
                              [](float ours, float theirs) { return std::abs(ours - theirs) < 1e-5F; });
  }

  std::vector<Way> ways_of(std::uint32_t batch) {
    std::vector<Way> ways;
    ways.push_back({.name = "eigen", .call = [this, batch](std::uint32_t first) {
                      eigen_predict(&x_[std::size_t{first} * kFeatures], batch,
                                    &out_[std::size_t{first} * kClasses]);
                    }});
    for (std::size_t index = 0; index < models_.size(); ++index) {
      ways.push_back({.name = names_[index], .call = [this, index, batch](std::uint32_t first) {
                        ask(*models_[index], first, batch);
                      }});
    }
    return ways;
  }

  static void report_way(Report& report, const Way& way, std::uint32_t batch, std::size_t index) {
    Figure figure{
        .name = fmt::format("batch {:>4}, {}", batch, way.name), .unit = "ns", .value = way.ns_a_row};
    if (index != 0) {
      figure.ratio = way.against_peer;
      figure.against = "Eigen";
    }
    // The goals are AVX-512's, against AVX-512.
    if (way.name == "avx512") {
      figure.goal = Goal{.kind = Goal::Kind::at_least, .bound = batch < 32 ? 1.0 : 1.5};
    }
    report.add(std::move(figure));
  }

  Options options_;
  std::vector<LayerNumbers> layers_;
  std::vector<float> x_;
  std::vector<float> out_;
  std::vector<std::unique_ptr<Model>> models_;
  std::vector<const char*> names_;
};

}  // namespace

Panel dense_case(Report& report, const Options& options) { return DenseBench(options).run(report); }

}  // namespace tutti::bench
