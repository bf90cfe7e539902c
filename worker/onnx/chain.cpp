#include "worker/onnx/chain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "worker/text.hpp"

namespace tutti::onnx {
namespace {

/// Which output of which node makes a value.
struct Producer {
  const Node* node = nullptr;
  std::size_t output = 0;
};
using Producers = std::map<std::string_view, Producer>;

std::unexpected<Error> bad(const File& file, std::string place, std::string what, std::string_view hint) {
  return std::unexpected(Error{.code = Errc::bad_model,
                               .what = std::move(what),
                               .where = fmt::format("{}: {}", file.name, place),
                               .hint = std::string(hint)});
}

/// True where an output says which class won, not how likely each is.
bool is_label(const Producer& producer) noexcept {
  const std::string_view op = producer.node->op;
  if (op == "TreeEnsembleClassifier" || op == "LinearClassifier") return producer.output == 0;
  return op == "ArgMax" || op == "ArgMin" || op == "LabelEncoder" || op == "ArrayFeatureExtractor";
}

bool is_computed(const File& file, std::string_view value) {
  return !value.empty() && !file.constants.contains(value);
}

Result<Producers> producers_of(const File& file) {
  Producers producers;
  for (const Node& node : file.nodes) {
    for (std::size_t output = 0; output < node.outputs.size(); ++output) {
      const std::string_view value = node.outputs[output];
      if (value.empty() || (node.op == "Constant" && file.constants.contains(value))) continue;
      if (file.constants.contains(value) ||
          !producers.emplace(value, Producer{.node = &node, .output = output}).second) {
        return bad_node(node, "",
                        fmt::format("its output '{}' exists already", one_line(value, kRankMax * 8)),
                        "the file is damaged or was edited; export the model again");
      }
    }
  }
  return producers;
}

/// The chain that ends at `output`; no nodes where it is a label's.
Result<Chain> trace(const File& file, const Producers& producers, const ValueInfo& output) {
  Chain chain;
  std::string_view value = output.name;
  while (true) {
    if (value == file.inputs.front().name) {
      chain.input = &file.inputs.front();
      std::ranges::reverse(chain.nodes);
      return chain;
    }
    const auto producer = producers.find(value);
    if (producer == producers.end()) {
      return bad(file, fmt::format("output '{}'", one_line(output.name, 64)),
                 fmt::format("nothing computes '{}'", one_line(value, 64)),
                 "the file is damaged or was edited; export the model again");
    }
    if (is_label(producer->second)) return Chain{};
    const Node& node = *producer->second.node;
    // A chain has no node twice: longer than the graph means a cycle.
    if (chain.nodes.size() == file.nodes.size()) {
      return bad_node(node, "", "its output is its own input, by way of others", "export the model again");
    }
    const auto computed = [&](std::string_view name) { return is_computed(file, name); };
    if (std::ranges::count_if(node.inputs, computed) != 1) {
      return bad_node(
          node, "", fmt::format("combines {} computed values", std::ranges::count_if(node.inputs, computed)),
          "operators that follow one another are read; other graphs need ONNX Runtime, in a Python "
          "or plug-in member");
    }
    chain.nodes.push_back(&node);
    value = node.inputs[computed_input(file, node)];
  }
}

}  // namespace

std::size_t computed_input(const File& file, const Node& node) {
  const auto found =
      std::ranges::find_if(node.inputs, [&](std::string_view name) { return is_computed(file, name); });
  return static_cast<std::size_t>(found - node.inputs.begin());
}

Result<Chain> find_chain(const File& file) {
  if (file.inputs.size() != 1) {
    return bad(file, "inputs", fmt::format("{} of them", file.inputs.size()),
               "export the model with one input, [rows][features]");
  }
  const Result<Producers> producers = producers_of(file);
  if (!producers) return std::unexpected(producers.error());
  std::optional<Chain> found;
  std::optional<Error> first_error;
  for (const ValueInfo& output : file.outputs) {
    Result<Chain> chain = trace(file, *producers, output);
    if (!chain) {
      if (!first_error) first_error = std::move(chain.error());
      continue;
    }
    if (chain->nodes.empty()) continue;
    if (found) {
      return bad(file, fmt::format("output '{}'", one_line(output.name, 64)), "is a second answer",
                 "export the model with one output beside the label");
    }
    found = std::move(*chain);
  }
  if (found) return std::move(*found);
  if (first_error) return std::unexpected(std::move(*first_error));
  return bad(file, "outputs", "none of them is computed from the input, a label apart",
             "export the model with its probabilities or its value as an output");
}

}  // namespace tutti::onnx
