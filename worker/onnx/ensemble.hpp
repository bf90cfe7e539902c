// Trees as an ONNX operator describes them, read and checked, in one form for both of its generations:
//
//   TreeEnsembleRegressor, TreeEnsembleClassifier   ai.onnx.ml 1 to 4: parallel lists, nodes named by (tree,
//   node) TreeEnsemble                                    ai.onnx.ml 5: parallel lists, nodes named by their
//   place
//
// What holds in an Ensemble: every child's index lies inside its array, every branch has one parent at most
// and every root none, so that the walk from each root ends; features are below kFeaturesMax, targets below
// `targets`; thresholds, members and weights are no NaN, weights are finite.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/error.hpp"
#include "worker/onnx/file.hpp"

namespace tutti::onnx {

enum class Comparison : std::uint8_t { leq, lt, gte, gt, eq, neq, member };
enum class Aggregate : std::uint8_t { average, sum, min, max };
enum class PostTransform : std::uint8_t { none, softmax, logistic, softmax_zero, probit };

struct Child {
  std::uint32_t index = 0;
  bool leaf = false;
};

/// A node with two children: the row goes to `if_true` where its number compares so with `value`.
struct Branch {
  double value = 0.0;  // unused by `member`
  std::uint32_t first_member = 0;
  std::uint32_t member_count = 0;
  std::uint32_t feature = 0;
  Comparison comparison = Comparison::leq;
  bool missing_is_true = false;  // where NaN goes
  Child if_true;
  Child if_false;
};

/// A range of Ensemble::weights, in the order of their targets, each target once.
struct Leaf {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

struct Weight {
  std::uint32_t target = 0;
  float value = 0.0F;
};

struct Ensemble {
  std::vector<Branch> branches;
  std::vector<Leaf> leaves;
  std::vector<Weight> weights;
  std::vector<double> members;
  std::vector<Child> roots;  // of the trees, in the order in which they are summed
  std::uint32_t targets = 1;
  std::vector<float> base_values;  // empty, or one for each target
  Aggregate aggregate = Aggregate::sum;
  PostTransform post_transform = PostTransform::none;
  bool classifier = false;
  bool one_of_two = false;  // a classifier of two classes with the weights of one: targets is 1
};

bool is_tree_operator(const Node& node) noexcept;

/// Reads a node that is_tree_operator(). Errors: bad_model, naming the list and the place in it.
Result<Ensemble> read_ensemble(const Node& node);

/// The two generations; read_ensemble() chooses.
Result<Ensemble> read_named_nodes(const Node& node);     // TreeEnsembleRegressor, TreeEnsembleClassifier
Result<Ensemble> read_numbered_nodes(const Node& node);  // TreeEnsemble

/// Marks that no node is the child of two, and none of itself by any way; see ensemble.cpp.
Result<void> check_trees(const Ensemble& ensemble, const Node& node, bool all_branches);

}  // namespace tutti::onnx
