// The interpreter against an oracle that shares no code with it.
#include "worker/trees.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <vector>

#include "tests/catch.hpp"
#include "worker/tree_model.hpp"

namespace {

using namespace tutti;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A tree as a textbook has it, walked by recursion.
struct OracleNode {
  bool leaf = true;
  float value = 0.0F;
  std::uint32_t feature = 0;
  bool default_left = true;
  bool categorical = false;
  std::set<std::uint32_t> right_categories;
  std::vector<OracleNode> children;  // left, right
};

float oracle_leaf(const OracleNode& node, const float* row) {
  if (node.leaf) return node.value;
  const float x = row[node.feature];
  bool left = node.default_left;
  if (!std::isnan(x)) {
    if (node.categorical) {
      left = x < 0.0F || x >= 16777216.0F || !node.right_categories.contains(static_cast<std::uint32_t>(x));
    } else {
      left = x < node.value;
    }
  }
  return oracle_leaf(node.children[left ? 0 : 1], row);
}

struct Chance {
  std::mt19937 generator;
  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(generator()) % end; }
  float number() { return static_cast<float>(below(2001)) / 10.0F - 62.5F; }
};

OracleNode random_tree(Chance& chance, std::uint32_t features, std::uint32_t depth, bool categories) {
  OracleNode node;
  node.value = chance.number() * 0.37F;
  if (depth == 0 || chance.below(5) == 0) return node;
  node.leaf = false;
  node.feature = chance.below(features);
  node.default_left = chance.below(2) == 0;
  node.categorical = categories && chance.below(2) == 0;
  if (node.categorical) {
    for (std::uint32_t index = chance.below(30); index > 0; --index)
      node.right_categories.insert(chance.below(140));
  } else {
    node.value = chance.below(10) == 0 ? 0.0F : chance.number();
  }
  node.children.push_back(random_tree(chance, features, depth - 1, categories));
  node.children.push_back(random_tree(chance, features, depth - 1, categories));
  return node;
}

/// Appends a tree in the layout of trees.hpp.
void append(const OracleNode& root, Forest& forest) {
  std::vector<const OracleNode*> order{&root};
  const auto base = static_cast<std::uint32_t>(forest.nodes.size());
  for (std::size_t position = 0; position < order.size(); ++position) {
    const OracleNode& from = *order[position];
    const auto slot = base + static_cast<std::uint32_t>(position);
    TreeNode node{.value = from.value, .left = slot, .bits = 0};
    if (!from.leaf) {
      node.left = base + static_cast<std::uint32_t>(order.size());
      node.bits = from.feature | TreeNode::kInner | (from.default_left ? 0 : TreeNode::kMissingRight);
      if (from.categorical) {
        const auto first = static_cast<std::uint32_t>(forest.categories.size());
        forest.categories.insert(forest.categories.end(), from.right_categories.begin(),
                                 from.right_categories.end());
        split_by_category(forest, node, first, static_cast<std::uint32_t>(from.right_categories.size()));
      }
      order.push_back(&from.children[0]);
      order.push_back(&from.children[1]);
    }
    forest.nodes.push_back(node);
  }
  forest.trees.push_back({.root = base});
}

/// Rows of numbers that trees find hard: missing, both zeros, infinite, categories, exactly a threshold.
std::vector<float> random_rows(Chance& chance, std::uint32_t rows, std::uint32_t features) {
  const float special[] = {kNan, 0.0F, -0.0F, kInfinity, -kInfinity, 16777216.0F, 0.5F, -0.5F};
  std::vector<float> x(std::size_t{rows} * features);
  for (float& number : x) {
    const std::uint32_t kind = chance.below(6);
    number = kind == 0   ? special[chance.below(8)]
             : kind == 1 ? static_cast<float>(chance.below(72))
                         : chance.number();
  }
  return x;
}

TEST_CASE("trees: sums equal a recursive walk bit for bit, whatever the batch", "[trees]") {
  // Method: random forests of every sort (categories, weights, groups, numbers of trees round the eight
  // lanes) and every number of rows round the lanes and the block.
  Chance chance{std::mt19937(20261122)};
  for (std::uint32_t round = 0; round < 60; ++round) {
    const bool categories = round % 3 == 0;
    const std::uint32_t features = 1 + chance.below(9);
    const std::uint32_t groups = 1 + chance.below(3);
    Forest forest;
    forest.features = features;
    forest.weighted = round % 4 == 1;
    for (std::uint32_t group = 0; group < groups; ++group) forest.base_margins.push_back(chance.number());
    std::vector<OracleNode> trees;
    for (std::uint32_t tree = chance.below(20); tree > 0; --tree) {
      trees.push_back(random_tree(chance, features, chance.below(7), categories));
      append(trees.back(), forest);
      forest.trees.back().group = chance.below(groups);
      forest.trees.back().weight = chance.number() * 0.13F;
    }
    const std::uint32_t rows = round % 10 == 9 ? 521 : 1 + chance.below(40);
    const std::vector<float> x = random_rows(chance, rows, features);

    std::vector<float> wanted;
    for (std::uint32_t row = 0; row < rows; ++row) {
      std::vector<float> margins = forest.base_margins;
      for (std::size_t tree = 0; tree < trees.size(); ++tree) {
        const float leaf = oracle_leaf(trees[tree], &x[std::size_t{row} * features]);
        // volatile: the product is rounded before it is added, whatever the compiler would like.
        const volatile float term = forest.weighted ? forest.trees[tree].weight * leaf : leaf;
        margins[forest.trees[tree].group] += term;
      }
      wanted.insert(wanted.end(), margins.begin(), margins.end());
    }

    INFO("round " << round << ", " << rows << " rows, " << trees.size() << " trees");
    for (const std::uint32_t batch : {rows, 1U, 8U, 13U}) {
      std::vector<float> margins(wanted.size(), kNan);
      for (std::uint32_t row = 0; row < rows; row += batch) {
        const std::uint32_t count = std::min(batch, rows - row);
        sum_trees(forest, {&x[std::size_t{row} * features], count, features},
                  {&margins[std::size_t{row} * groups], count, groups});
      }
      const bool equal = std::ranges::equal(margins, wanted, [](float left, float right) {
        return std::bit_cast<std::uint32_t>(left) == std::bit_cast<std::uint32_t>(right);
      });
      CHECK(equal);
    }
  }
}

/// The same forest with a third of each value, in double.
Forest widened(Forest forest) {
  forest.wide = true;
  forest.weighted = false;
  for (const float margin : forest.base_margins) forest.wide_base_margins.push_back(double{margin} / 3.0);
  for (const TreeNode& node : forest.nodes) forest.wide_leaves.push_back(double{node.value} / 3.0);
  return forest;
}

TEST_CASE("trees: sums in double equal a recursive walk bit for bit, whatever the batch", "[trees]") {
  Chance chance{std::mt19937(20261123)};
  for (std::uint32_t round = 0; round < 40; ++round) {
    const std::uint32_t features = 1 + chance.below(9);
    const std::uint32_t groups = 1 + chance.below(3);
    Forest narrow;
    narrow.features = features;
    for (std::uint32_t group = 0; group < groups; ++group) narrow.base_margins.push_back(chance.number());
    std::vector<OracleNode> trees;
    for (std::uint32_t tree = chance.below(20); tree > 0; --tree) {
      trees.push_back(random_tree(chance, features, chance.below(7), round % 2 == 0));
      append(trees.back(), narrow);
      narrow.trees.back().group = chance.below(groups);
    }
    const Forest forest = widened(narrow);
    const std::uint32_t rows = 1 + chance.below(40);
    const std::vector<float> x = random_rows(chance, rows, features);
    std::vector<double> wanted;
    for (std::uint32_t row = 0; row < rows; ++row) {
      std::vector<double> margins = forest.wide_base_margins;
      for (std::size_t tree = 0; tree < trees.size(); ++tree) {
        margins[forest.trees[tree].group] +=
            double{oracle_leaf(trees[tree], &x[std::size_t{row} * features])} / 3.0;
      }
      wanted.insert(wanted.end(), margins.begin(), margins.end());
    }
    for (const std::uint32_t batch : {rows, 1U, 8U, 13U}) {
      INFO("round " << round << ", " << rows << " rows, batches of " << batch);
      std::vector<double> margins(wanted.size(), std::numeric_limits<double>::quiet_NaN());
      for (std::uint32_t row = 0; row < rows; row += batch) {
        const std::uint32_t count = std::min(batch, rows - row);
        sum_trees(forest, {&x[std::size_t{row} * features], count, features},
                  WideMatrixView{&margins[std::size_t{row} * groups], count, groups});
      }
      CHECK(margins == wanted);
    }
  }
}

TEST_CASE("trees: a linear leaf adds its terms in order, and its own value where one is missing", "[trees]") {
  Forest forest;
  forest.features = 2;
  forest.wide = true;
  forest.wide_base_margins = {0.0};
  forest.nodes = {{.value = 0.0F, .left = 0, .bits = 0}};
  forest.trees = {{.root = 0}};
  forest.wide_leaves = {7.0};
  forest.linear_leaves = {{.node = 0, .first = 0, .count = 2, .constant = 0.1}};
  forest.linear_terms = {{.feature = 1, .coefficient = 0.3}, {.feature = 0, .coefficient = 1e35}};
  const std::vector<float> x{1.0F, 2.0F, kNan, 2.0F, 1e-35F, 2.0F, 2e-35F, 0.0F};
  std::vector<double> margins(4);
  sum_trees(forest, {x.data(), 4, 2}, WideMatrixView{margins.data(), 4, 1});
  CHECK(margins ==
        std::vector<double>{0.1 + 0.3 * 2.0 + 1e35, 7.0, 0.1 + 0.3 * 2.0, 0.1 + 0.0 + 1e35 * double{2e-35F}});
}

TEST_CASE("trees: the wide links compute in double and round once", "[trees]") {
  using enum WideLink::Function;
  const auto answer = [](WideLink link, std::vector<double> margins) {
    Forest forest;
    forest.features = 1;
    forest.wide = true;
    forest.wide_base_margins = std::move(margins);
    forest.wide_link = link;
    const auto model = make_tree_model(std::move(forest));
    const std::vector<float> x(300);
    const std::uint32_t outputs = model->shape().outputs;
    std::vector<float> out(std::size_t{300} * outputs, kNan);
    REQUIRE(model->predict({x.data(), 300, 1}, {out.data(), 300, outputs}).has_value());
    return std::vector<float>(out.end() - static_cast<std::ptrdiff_t>(outputs), out.end());
  };
  CHECK(answer({.function = identity, .divisor = 3.0}, {1.0}) == std::vector<float>{1.0F / 3.0F});
  CHECK(answer({.function = signed_square}, {-3.0, 2.0, 0.0}) == std::vector<float>{-9.0F, 4.0F, 0.0F});
  CHECK(answer({.function = exponential}, {0.0, -1e4}) == std::vector<float>{1.0F, 0.0F});
  CHECK(answer({.function = logistic, .scale = 2.0}, {0.5}) == answer({.function = logistic}, {1.0}));
  CHECK(answer({.function = logistic}, {-1e4, 1e4}) == std::vector<float>{0.0F, 1.0F});
  CHECK(answer({.function = log_one_plus}, {0.0})[0] == static_cast<float>(std::log(2.0)));
  CHECK(answer({.function = softmax}, {1e308, -1e308}) == std::vector<float>{1.0F, 0.0F});
  CHECK(answer({.function = negative_power}, {2.0}) == std::vector<float>{-0.25F});
  // The first class keeps its small probability, which 1 - p in float32 would lose.
  CHECK(answer({.function = two_classes}, {20.0})[0] > 0.0F);
}

TEST_CASE("trees: a row that equals the threshold goes right, and both zeros are one number", "[trees]") {
  OracleNode root{.leaf = false, .value = 0.0F};
  root.children = {{.value = 1.0F}, {.value = 2.0F}};
  Forest forest;
  forest.features = 1;
  forest.base_margins = {0.0F};
  append(root, forest);
  const std::vector<float> x{0.0F, -0.0F, -std::numeric_limits<float>::denorm_min(), kNan};
  std::vector<float> margins(4);
  sum_trees(forest, {x.data(), 4, 1}, {margins.data(), 4, 1});
  CHECK(margins == std::vector<float>{2.0F, 2.0F, 1.0F, 1.0F});
}

/// A forest without trees, whose margins are therefore `margins`.
std::unique_ptr<Model> constant_model(Link link, std::vector<float> margins) {
  Forest forest;
  forest.features = 1;
  forest.base_margins = std::move(margins);
  forest.link = link;
  return make_tree_model(std::move(forest));
}

std::vector<float> answer_of(Link link, std::vector<float> margins, std::uint32_t rows = 1) {
  const auto model = constant_model(link, std::move(margins));
  const std::vector<float> x(rows);
  std::vector<float> out(std::size_t{rows} * model->shape().outputs, kNan);
  REQUIRE(model->predict({x.data(), rows, 1}, {out.data(), rows, model->shape().outputs}).has_value());
  return out;
}

TEST_CASE("trees: the links keep their promises at the ends of float32", "[trees]") {
  CHECK(answer_of(Link::logistic, {0.0F}) == std::vector<float>{0.5F});
  CHECK(answer_of(Link::logistic, {1000.0F}) == std::vector<float>{1.0F});
  CHECK(answer_of(Link::logistic, {-1000.0F})[0] > 0.0F);  // clamped: small, never 0 and never NaN
  CHECK(answer_of(Link::hinge, {0.0F}) == std::vector<float>{0.0F});
  CHECK(answer_of(Link::hinge, {1e-30F}) == std::vector<float>{1.0F});
  CHECK(answer_of(Link::exponential, {0.0F}) == std::vector<float>{1.0F});
  CHECK(answer_of(Link::softmax, {3e38F, -3e38F}) == std::vector<float>{1.0F, 0.0F});
  CHECK(answer_of(Link::softmax, {-90.0F, -90.0F}) == std::vector<float>{0.5F, 0.5F});
  CHECK(answer_of(Link::first_max, {1.0F, 2.0F, 2.0F}) == std::vector<float>{1.0F});
}

TEST_CASE("trees: the first of the largest margins wins for any number of rows", "[trees]") {
  // More rows than the scratch memory holds at once.
  CHECK(answer_of(Link::first_max, {5.0F, 1.0F, 5.0F, 7.0F}, 200) == std::vector<float>(200, 3.0F));
}

}  // namespace
