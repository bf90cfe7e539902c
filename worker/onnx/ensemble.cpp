#include "worker/onnx/ensemble.hpp"

#include <fmt/format.h>

namespace tutti::onnx {

bool is_tree_operator(const Node& node) noexcept {
  return node.domain == "ai.onnx.ml" && (node.op == "TreeEnsembleRegressor" ||
                                         node.op == "TreeEnsembleClassifier" || node.op == "TreeEnsemble");
}

Result<Ensemble> read_ensemble(const Node& node) {
  return node.op == "TreeEnsemble" ? read_numbered_nodes(node) : read_named_nodes(node);
}

/// Walks every tree. A branch that is met a second time means a cycle or two parents; with `all_branches` one
/// that is never met means a cycle apart from all trees.
Result<void> check_trees(const Ensemble& ensemble, const Node& node, bool all_branches) {
  std::vector<bool> met(ensemble.branches.size(), false);
  std::vector<Child> waiting;
  std::size_t count = 0;
  for (const Child root : ensemble.roots) {
    waiting.push_back(root);
    while (!waiting.empty()) {
      const Child child = waiting.back();
      waiting.pop_back();
      if (child.leaf) continue;
      if (met[child.index]) {
        return bad_node(node, fmt::format("branch {}", child.index),
                        "is reached a second time: a cycle, or a node of two parents",
                        "the file is damaged or was edited; export the model again");
      }
      met[child.index] = true;
      ++count;
      waiting.push_back(ensemble.branches[child.index].if_true);
      waiting.push_back(ensemble.branches[child.index].if_false);
    }
  }
  if (all_branches && count != ensemble.branches.size()) {
    return bad_node(
        node, "",
        fmt::format("{} branches are reached from no root: a cycle", ensemble.branches.size() - count),
        "the file is damaged or was edited; export the model again");
  }
  return {};
}

}  // namespace tutti::onnx
