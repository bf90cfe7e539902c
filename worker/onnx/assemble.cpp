// Operators are taken one after the other, in three states: before the core, in its layers, after it.
//
//   before ──trees──────────────▶ after
//     └──────Gemm, MatMul──▶ layers ──anything that is no layer's part──▶ after
//
// Whatever follows an operator that cannot stand there is an error that names it.
#include "worker/onnx/assemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/limits.hpp"
#include "worker/onnx/chain.hpp"
#include "worker/onnx/ensemble.hpp"
#include "worker/onnx/forest.hpp"
#include "worker/onnx/layers.hpp"
#include "worker/onnx/lists.hpp"
#include "worker/onnx/step_model.hpp"
#include "worker/onnx/steps.hpp"
#include "worker/text.hpp"
#include "worker/tree_model.hpp"

namespace tutti::onnx {
namespace {

constexpr std::string_view kKnownOperators =
    "this graph needs ONNX Runtime, in a Python or plug-in member; worker/onnx.hpp lists what is read here";

bool is_one_of(std::string_view op, std::initializer_list<std::string_view> ops) {
  return std::ranges::find(ops, op) != ops.end();
}

class Assembler {
 public:
  Assembler(const File& file, const ModelSource& source) : file_(file), source_(source), layers_(file) {}

  Result<std::unique_ptr<Model>> assemble() {
    const Result<Chain> chain = find_chain(file_);
    if (!chain) return std::unexpected(chain.error());
    if (Result<void> read = read_input(*chain); !read) return std::unexpected(std::move(read.error()));
    for (const Node* const node : chain->nodes) {
      if (Result<void> taken = take(*node); !taken) return std::unexpected(std::move(taken.error()));
    }
    if (!flat_) {
      return bad_input(*chain->input, "has more than two dimensions", "a model takes [rows][features]");
    }
    return finish(*chain);
  }

 private:
  [[nodiscard]] std::unexpected<Error> bad_input(const ValueInfo& input, std::string what,
                                                 std::string_view hint) const {
    return std::unexpected(
        Error{.code = Errc::bad_model,
              .what = std::move(what),
              .where = fmt::format("{}: input '{}'", file_.name, one_line(input.name, kNameMax)),
              .hint = std::string(hint)});
  }

  /// [rows][features], or more dimensions that an operator flattens.
  Result<void> read_input(const Chain& chain) {
    const ValueInfo& input = *chain.input;
    if (input.type != Type::f32 && input.type != Type::f64) {
      return bad_input(input, fmt::format("is of {}", type_name(input.type)),
                       "export the model with one float input, [rows][features]");
    }
    if (input.shape.size() == 1) {
      return bad_input(input, "has one dimension", "export the model for [rows][features]");
    }
    std::uint64_t features = 1;
    for (std::size_t index = 1; index < input.shape.size(); ++index) {
      features *= std::min<std::uint64_t>(input.shape[index].value_or(0), kFeaturesMax + 1);
      if (features > kFeaturesMax) {
        return bad_input(input, fmt::format("has more than {} features", kFeaturesMax), "use fewer features");
      }
    }
    if (input.shape.empty() || features == 0) features = source_.features;
    if (features < 1 || features > kFeaturesMax) {
      return bad_input(input, "does not say how many features it has", "export the model with a fixed width");
    }
    flat_ = input.shape.size() <= 2;
    columns_ = static_cast<std::uint32_t>(features);
    return {};
  }

  Result<void> take(const Node& node) {
    const bool own = node.domain.empty();
    if (own && is_one_of(node.op, {"Identity", "Dropout"})) return {};
    if (own && node.op == "Cast") return take_cast(node);
    if (own && is_one_of(node.op, {"Flatten", "Reshape"})) return take_reshape(node);
    if (!flat_) return bad_node(node, "", "takes more than two dimensions", "flatten the input first");
    if (is_tree_operator(node)) return take_trees(node);
    if (is_layer_operator(node)) return take_layer(node);
    if (is_activation(node)) return take_activation(node);
    if (own && is_one_of(node.op, {"Add", "Sub", "Mul", "Div"})) return take_arithmetic(node);
    if (node.domain == "ai.onnx.ml") {
      if (node.op == "Scaler") return take_scaler(node);
      if (node.op == "Imputer") return take_imputer(node);
      if (node.op == "Normalizer") return take_normalizer(node);
      if (node.op == "ZipMap" && has_core()) return {};
    }
    return bad_node(node, "", "is an operator that is not read here", kKnownOperators);
  }

  [[nodiscard]] bool has_core() const noexcept { return trees_ || !layers_.empty(); }

  /// Where a step goes: before the core, or after it.
  std::vector<Step>& steps() noexcept { return has_core() ? after_ : before_; }

  Result<void> take_cast(const Node& node) {
    const Result<std::optional<std::int64_t>> to = int_attribute(node, "to");
    if (!to) return std::unexpected(to.error());
    const auto type = static_cast<Type>(std::clamp<std::int64_t>(to->value_or(0), 0, 0xffff));
    if (type == Type::f32 || type == Type::f64) return {};
    return bad_node(node, "to", fmt::format("casts to {}", type_name(type)), "numbers stay floats here");
  }

  Result<void> take_reshape(const Node& node) {
    if (node.op == "Flatten") {
      const Result<std::optional<std::int64_t>> axis = int_attribute(node, "axis");
      if (!axis) return std::unexpected(axis.error());
      if (axis->value_or(1) != 1)
        return bad_node(node, "axis", fmt::format("is {}, not 1", **axis), kKnownOperators);
      flat_ = true;
      return {};
    }
    const auto shape = node.inputs.size() == 2 ? file_.constants.find(node.inputs[1]) : file_.constants.end();
    if (shape == file_.constants.end()) return bad_node(node, "shape", "is not a constant", kKnownOperators);
    const Result<std::vector<std::int64_t>> sizes = ints_of(shape->second);
    if (!sizes) return std::unexpected(sizes.error());
    // 0 keeps a size and -1 is what is left: [-1, columns], [0, -1] and [0, columns].
    const bool keeps_rows = sizes->size() == 2 && ((*sizes)[0] == 0 || (*sizes)[0] == -1);
    if (!keeps_rows || ((*sizes)[1] != columns_ && ((*sizes)[1] != -1 || (*sizes)[0] == -1))) {
      return bad_node(node, "shape",
                      fmt::format("[{}] does not keep rows of {}", comma_list(*sizes), columns_),
                      kKnownOperators);
    }
    flat_ = true;
    return {};
  }

  Result<void> take_trees(const Node& node) {
    if (has_core()) return bad_node(node, "", "follows another model", kKnownOperators);
    const Result<Ensemble> ensemble = read_ensemble(node);
    if (!ensemble) return std::unexpected(ensemble.error());
    if (const std::uint32_t seen = features_seen(*ensemble); seen > columns_) {
      return bad_node(node, "nodes_featureids",
                      fmt::format("feature {} is not in [0, {})", seen - 1, columns_),
                      "the input has fewer features than the trees look at");
    }
    Result<TreeCore> core = build_forest(*ensemble, node);
    if (!core) return std::unexpected(std::move(core.error()));
    trees_ = std::move(*core);
    trees_->forest.features = columns_;
    columns_ = trees_->forest.groups();
    after_ = std::move(trees_->steps);
    kind_ = trees_->kind;
    return {};
  }

  Result<void> take_layer(const Node& node) {
    if (trees_ || !after_.empty())
      return bad_node(node, "", "cannot follow what is before it", kKnownOperators);
    if (Result<void> added = layers_.add(node, columns_); !added) return added;
    columns_ = layers_.outputs();
    kind_ = layers_.kind();
    return {};
  }

  Result<void> take_activation(const Node& node) {
    if (!layers_.empty() && after_.empty()) {
      const Result<bool> taken = layers_.activate(node);
      if (!taken) return std::unexpected(taken.error());
      kind_ = layers_.kind();
      if (*taken) return {};
    }
    if (!has_core() || !is_one_of(node.op, {"Sigmoid", "Softmax"})) {
      return bad_node(node, "", "cannot follow what is before it", kKnownOperators);
    }
    const bool softmax = node.op == "Softmax";
    after_.push_back({.kind = softmax ? Step::Kind::softmax : Step::Kind::logistic});
    kind_ = columns_ > 1 ? OutputKind::probabilities : softmax ? OutputKind::value : OutputKind::probability;
    return {};
  }

  /// A constant beside the rows: a bias of the layer before it, or a step.
  Result<void> take_arithmetic(const Node& node) {
    const std::size_t computed = computed_input(file_, node);
    const bool commutes = node.op == "Add" || node.op == "Mul";
    const auto found =
        node.inputs.size() == 2 ? file_.constants.find(node.inputs[1 - computed]) : file_.constants.end();
    if (found == file_.constants.end() || (computed != 0 && !commutes)) {
      return bad_node(node, "", "is not the rows and then a constant", kKnownOperators);
    }
    const Result<std::vector<double>> numbers = numbers_by_column(node, found->second, columns_);
    if (!numbers) return std::unexpected(numbers.error());
    if (node.op == "Add" && !layers_.empty() && after_.empty()) {
      const Result<bool> added = layers_.add_bias(found->first, *numbers, found->second.type == Type::f64);
      if (!added) return std::unexpected(added.error());
      if (*added) return {};
    }
    const Step::Kind kind = node.op == "Add"   ? Step::Kind::add
                            : node.op == "Sub" ? Step::Kind::subtract
                            : node.op == "Mul" ? Step::Kind::multiply
                                               : Step::Kind::divide;
    if (has_core()) kind_ = OutputKind::value;
    return push_step(node, kind, one_line(found->first, kNameMax), {numbers->begin(), numbers->end()});
  }

  Result<void> push_step(const Node& node, Step::Kind kind, std::string_view place,
                         std::vector<float> numbers, float value = 0.0F) {
    const auto wrong = std::ranges::find_if_not(numbers, [](float number) { return std::isfinite(number); });
    if (wrong != numbers.end()) {
      return bad_node(node, place, fmt::format("number {} is {}", wrong - numbers.begin(), *wrong),
                      kExportAgain);
    }
    const bool zero = kind == Step::Kind::divide && std::ranges::find(numbers, 0.0F) != numbers.end();
    if (zero) return bad_node(node, place, "holds a 0, and rows are divided by it", kExportAgain);
    steps().push_back({.kind = kind, .numbers = std::move(numbers), .value = value});
    return {};
  }

  /// A list of floats, one for each column or one for all; empty where it is absent.
  Result<std::vector<float>> floats_by_column(const Node& node, std::string_view name) {
    Result<std::vector<float>> numbers = floats_attribute(node, name);
    if (numbers && numbers->size() == 1) numbers->resize(columns_, numbers->front());
    if (!numbers || numbers->empty() || numbers->size() == columns_) return numbers;
    return bad_node(node, name, fmt::format("{} numbers beside {} columns", numbers->size(), columns_),
                    kExportAgain);
  }

  Result<void> take_scaler(const Node& node) {
    for (const auto& [name, kind] :
         {std::pair("offset", Step::Kind::subtract), std::pair("scale", Step::Kind::multiply)}) {
      Result<std::vector<float>> numbers = floats_by_column(node, name);
      if (!numbers) return std::unexpected(std::move(numbers.error()));
      if (numbers->empty()) continue;
      if (Result<void> pushed = push_step(node, kind, name, std::move(*numbers)); !pushed) return pushed;
    }
    if (has_core()) kind_ = OutputKind::value;
    return {};
  }

  Result<void> take_imputer(const Node& node) {
    Result<std::vector<float>> by = floats_by_column(node, "imputed_value_floats");
    if (!by) return std::unexpected(std::move(by.error()));
    if (by->empty() || has_core()) {
      return bad_node(node, "imputed_value_floats", "is absent, or stands behind the model", kKnownOperators);
    }
    const Result<std::optional<float>> replaced = float_attribute(node, "replaced_value_float");
    if (!replaced) return std::unexpected(replaced.error());
    return push_step(node, Step::Kind::replace, "imputed_value_floats", std::move(*by),
                     replaced->value_or(0.0F));
  }

  Result<void> take_normalizer(const Node& node) {
    const Result<std::optional<std::string_view>> norm = text_attribute(node, "norm");
    if (!norm) return std::unexpected(norm.error());
    const std::string_view name = norm->value_or("MAX");
    if (name != "L1" && name != "L2") {
      return bad_node(node, "norm", fmt::format("\"{}\" is not L1 or L2", one_line(name, kNameMax)),
                      "libraries disagree about MAX where numbers are negative");
    }
    if (has_core() && kind_ == OutputKind::probability) {
      return bad_node(node, "", "of one probability", kKnownOperators);
    }
    steps().push_back({.kind = name == "L1" ? Step::Kind::divide_l1 : Step::Kind::divide_l2});
    return {};
  }

  Result<std::unique_ptr<Model>> finish(const Chain& chain) {
    if (!has_core()) {
      return bad_input(*chain.input, "reaches the output by way of no trees and no layers", kKnownOperators);
    }
    if (columns_ > kOutputsMax) {
      return bad_input(*chain.input,
                       fmt::format("the model has {} outputs; {} are the limit", columns_, kOutputsMax),
                       "use fewer classes");
    }
    if (trees_) {
      return with_steps(make_tree_model(std::move(trees_->forest), source_.jit), std::move(before_),
                        std::move(after_), kind_, source_.rows_max);
    }
    Result<std::unique_ptr<Model>> core =
        layers_.build(kind_, std::string(file_.name), source_.rows_max, source_.jit);
    if (!core) return core;
    return with_steps(std::move(*core), std::move(before_), std::move(after_), kind_, source_.rows_max);
  }

  const File& file_;
  const ModelSource& source_;
  std::uint32_t columns_ = 0;
  bool flat_ = true;
  std::vector<Step> before_;
  std::vector<Step> after_;
  std::optional<TreeCore> trees_;
  Layers layers_;
  OutputKind kind_ = OutputKind::value;
};

}  // namespace

Result<std::unique_ptr<Model>> assemble(const File& file, const ModelSource& source) {
  return Assembler(file, source).assemble();
}

}  // namespace tutti::onnx
