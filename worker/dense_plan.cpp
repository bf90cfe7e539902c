#include "worker/dense_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "shared/limits.hpp"
#include "worker/text.hpp"

namespace tutti::dense {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kLayersKey = "tutti.layers";

std::unexpected<Error> bad(std::string what, std::string where, std::string hint) {
  return std::unexpected(Error{
      .code = Errc::bad_model, .what = std::move(what), .where = std::move(where), .hint = std::move(hint)});
}

/// Reads "tutti.layers" against the tensors of its file.
class PlanReader {
 public:
  PlanReader(const Safetensors& tensors, std::string_view where) : tensors_(tensors), where_(where) {}

  Result<Plan> read();

 private:
  [[nodiscard]] std::string at(std::string_view place) const {
    return place.empty() ? fmt::format("{}: {}", where_, kLayersKey)
                         : fmt::format("{}: {}: {}", where_, kLayersKey, place);
  }
  Result<void> check_keys(const Json& object, std::initializer_list<std::string_view> known,
                          const std::string& place);
  Result<std::string> text(const Json& object, std::string_view key, const std::string& place);
  Result<const Tensor*> tensor(const std::string& name, std::size_t rank, const std::string& place);
  Result<InputPlan> read_input(const Json& input, std::string_view key, std::uint32_t features);
  Result<LayerPlan> read_layer(const Json& entry, const std::string& place);
  Result<void> check_last(const Plan& plan, const std::string& place);

  const Safetensors& tensors_;
  std::string where_;
  std::set<const Tensor*> used_;
  bool in_double_ = false;
};

std::optional<Activation> activation_of(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Activation>, 7> kNames{{
      {"identity", Activation::identity},
      {"relu", Activation::relu},
      {"tanh", Activation::tanh},
      {"sigmoid", Activation::sigmoid},
      {"softmax", Activation::softmax},
      {"gelu", Activation::gelu},
      {"gelu_tanh", Activation::gelu_tanh},
  }};
  const auto found = std::ranges::find(kNames, name, &std::pair<std::string_view, Activation>::first);
  if (found == kNames.end()) return std::nullopt;
  return found->second;
}

Result<void> PlanReader::check_keys(const Json& object, std::initializer_list<std::string_view> known,
                                    const std::string& place) {
  if (!object.is_object()) return bad("is not an object", at(place), "worker/dense.hpp shows the form");
  for (const auto& [key, value] : object.items()) {
    if (std::ranges::find(known, key) == known.end()) {
      return bad(fmt::format("key '{}' is not known", one_line(key, kNameMax)), at(place),
                 fmt::format("known here: {}", comma_list(known)));
    }
  }
  return {};
}

Result<std::string> PlanReader::text(const Json& object, std::string_view key, const std::string& place) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) {
    return bad(fmt::format("'{}' is missing or not a text", key), at(place), "give it as a JSON string");
  }
  return found->get<std::string>();
}

Result<const Tensor*> PlanReader::tensor(const std::string& name, std::size_t rank,
                                         const std::string& place) {
  const Tensor* found = tensors_.find(name);
  const std::string shown = one_line(name, kNameMax);
  if (found == nullptr) {
    return bad(fmt::format("the file has no tensor '{}'", shown), at(place),
               "name one of the file's tensors");
  }
  if (!is_float_type(found->dtype)) {
    return bad(fmt::format("tensor '{}' is {}", shown, found->dtype), at(place), "store it as F32 or F64");
  }
  if (found->shape.size() != rank || found->count == 0 ||
      std::ranges::any_of(found->shape, [](std::uint64_t size) { return size > kFeaturesMax; })) {
    return bad(fmt::format("tensor '{}' has shape [{}]", shown, comma_list(found->shape)), at(place),
               fmt::format("{} sizes in [1, {}] are needed", rank, kFeaturesMax));
  }
  // One tensor in many layers would make a small file a large model.
  if (!used_.insert(found).second) {
    return bad(fmt::format("tensor '{}' is used twice", shown), at(place), "store a copy for each use");
  }
  in_double_ = in_double_ || found->dtype == "F64";
  return found;
}

Result<InputPlan> PlanReader::read_input(const Json& input, std::string_view key, std::uint32_t features) {
  if (!input.contains(key)) return InputPlan{};
  const std::string place = fmt::format("input.{}", key);
  const Result<std::string> name = text(input, key, "input");
  if (!name) return std::unexpected(name.error());
  const Result<const Tensor*> found = tensor(*name, 1, place);
  if (!found) return std::unexpected(found.error());
  if ((*found)->count != features) {
    return bad(fmt::format("tensor '{}' has {} numbers; the first layer has {} inputs",
                           one_line(*name, kNameMax), (*found)->count, features),
               at(place), "give one number for each input");
  }
  return InputPlan{.tensor = *found, .name = *name};
}

Result<LayerPlan> PlanReader::read_layer(const Json& entry, const std::string& place) {
  if (Result<void> keys = check_keys(entry, {"weight", "bias", "activation", "transpose"}, place); !keys) {
    return std::unexpected(keys.error());
  }
  LayerPlan layer;
  const Result<std::string> weight_name = text(entry, "weight", place);
  if (!weight_name) return std::unexpected(weight_name.error());
  const Result<const Tensor*> weight = tensor(*weight_name, 2, place + ".weight");
  if (!weight) return std::unexpected(weight.error());
  layer.weight = *weight;
  layer.weight_name = *weight_name;

  if (const auto transpose = entry.find("transpose"); transpose != entry.end()) {
    if (!transpose->is_boolean())
      return bad("is not true or false", at(place + ".transpose"), "write true or false");
    layer.transpose = transpose->get<bool>();
  }
  layer.outputs = static_cast<std::uint32_t>(layer.weight->shape[layer.transpose ? 1 : 0]);
  layer.inputs = static_cast<std::uint32_t>(layer.weight->shape[layer.transpose ? 0 : 1]);

  if (entry.contains("bias")) {
    const Result<std::string> bias_name = text(entry, "bias", place);
    if (!bias_name) return std::unexpected(bias_name.error());
    const Result<const Tensor*> bias = tensor(*bias_name, 1, place + ".bias");
    if (!bias) return std::unexpected(bias.error());
    if ((*bias)->count != layer.outputs) {
      return bad(fmt::format("tensor '{}' has {} numbers; the layer has {} outputs",
                             one_line(*bias_name, kNameMax), (*bias)->count, layer.outputs),
                 at(place + ".bias"),
                 "a weight is [outputs][inputs], or [inputs][outputs] with \"transpose\": true");
    }
    layer.bias = *bias;
    layer.bias_name = *bias_name;
  }
  if (entry.contains("activation")) {
    const Result<std::string> name = text(entry, "activation", place);
    if (!name) return std::unexpected(name.error());
    const std::optional<Activation> activation = activation_of(*name);
    if (!activation) {
      return bad(fmt::format("activation '{}' is not known", one_line(*name, kNameMax)),
                 at(place + ".activation"), "known: identity, relu, tanh, sigmoid, softmax, gelu, gelu_tanh");
    }
    layer.activation = *activation;
  }
  return layer;
}

/// The last layer must give what the task asks for.
Result<void> PlanReader::check_last(const Plan& plan, const std::string& place) {
  const LayerPlan& last = plan.layers.back();
  if (last.outputs > kOutputsMax) {
    return bad(fmt::format("{} outputs; {} are the limit", last.outputs, kOutputsMax), at(place),
               "use fewer classes");
  }
  if (!plan.classification) {
    if (last.outputs != 1) {
      return bad(fmt::format("a regression model has 1 output, this one {}", last.outputs), at(place),
                 "export one model for each target");
    }
    if (last.activation == Activation::softmax) {
      return bad("softmax over 1 output is always 1", at(place), "end a regression model with identity");
    }
    return {};
  }
  const bool softmax = last.activation == Activation::softmax && last.outputs >= 2;
  if (!softmax && last.activation != Activation::sigmoid) {
    return bad("the last layer does not give probabilities", at(place),
               "end a classifier with sigmoid, or with softmax over 2 outputs or more");
  }
  return {};
}

Result<Plan> PlanReader::read() {
  const std::string* layers_text = tensors_.metadata(kLayersKey);
  if (layers_text == nullptr) {
    return bad(fmt::format("the metadata has no '{}'", kLayersKey), where_,
               "safetensors alone does not say how its tensors are used; examples/dense_export.py writes "
               "such files");
  }
  const Result<Json> json = parse_hostile_json(*layers_text, kJsonDepthMax, at(""));
  if (!json) return std::unexpected(json.error());
  if (Result<void> keys = check_keys(*json, {"version", "task", "input", "layers"}, ""); !keys) {
    return std::unexpected(keys.error());
  }
  if (const auto version = json->find("version"); version == json->end() || *version != 1) {
    return bad("'version' is missing or not 1", at(""), "this tutti reads version 1");
  }
  const Result<std::string> task = text(*json, "task", "");
  if (!task) return std::unexpected(task.error());
  if (*task != "classification" && *task != "regression") {
    return bad(fmt::format("task '{}' is not known", one_line(*task, kNameMax)), at("task"),
               "write classification or regression");
  }
  const auto layers = json->find("layers");
  if (layers == json->end() || !layers->is_array() || layers->empty() || layers->size() > kLayersMax) {
    return bad(fmt::format("'layers' is not a list of 1 to {} layers", kLayersMax), at(""),
               "list the layers in the order in which they are used");
  }

  Plan plan{.classification = *task == "classification", .fill = {}, .mean = {}, .scale = {}, .layers = {}};
  std::string place;
  for (std::size_t index = 0; index < layers->size(); ++index) {
    place = fmt::format("layers[{}]", index);
    Result<LayerPlan> layer = read_layer((*layers)[index], place);
    if (!layer) return std::unexpected(std::move(layer.error()));
    if (index > 0 && layer->inputs != plan.layers.back().outputs) {
      return bad(
          fmt::format("tensor '{}' has {} inputs; the layer before it has {} outputs",
                      one_line(layer->weight_name, kNameMax), layer->inputs, plan.layers.back().outputs),
          at(place + ".weight"),
          "a weight is [outputs][inputs], or [inputs][outputs] with \"transpose\": true");
    }
    plan.layers.push_back(std::move(*layer));
  }
  if (Result<void> last = check_last(plan, place); !last) return std::unexpected(last.error());

  if (const auto input = json->find("input"); input != json->end()) {
    if (Result<void> keys = check_keys(*input, {"fill", "mean", "scale"}, "input"); !keys) {
      return std::unexpected(keys.error());
    }
    for (const auto& [key, target] :
         {std::pair("fill", &plan.fill), std::pair("mean", &plan.mean), std::pair("scale", &plan.scale)}) {
      Result<InputPlan> found = read_input(*input, key, plan.layers.front().inputs);
      if (!found) return std::unexpected(std::move(found.error()));
      *target = std::move(*found);
    }
  }
  plan.in_double = in_double_;
  if (plan.classification) {
    const LayerPlan& last = plan.layers.back();
    plan.kind = last.outputs == 1 ? OutputKind::probability : OutputKind::probabilities;
    plan.one_against_rest = last.outputs > 1 && last.activation == Activation::sigmoid;
  }
  return plan;
}

}  // namespace

Result<Plan> read_plan(const Safetensors& tensors, std::string_view where) {
  return PlanReader(tensors, where).read();
}

}  // namespace tutti::dense
