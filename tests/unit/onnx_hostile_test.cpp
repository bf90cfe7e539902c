// ONNX files that are wrong: each becomes an error that says what and where, and none a crash, a hang or an
// allocation that the file's size does not bound.
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/onnx_fixture.hpp"
#include "tests/unit/onnx_writer.hpp"
#include "worker/onnx.hpp"
#include "worker/onnx/file.hpp"

namespace {

using namespace tutti;
using fixture::Attributes;
using fixture::bytes_field;
using fixture::float_bytes;
using fixture::floats;
using fixture::ints;
using fixture::node;
using fixture::number_field;
using fixture::onnx_file;
using fixture::tensor;
using fixture::texts;

const std::string kTrees = "model.onnx: node 'it' (TreeEnsembleRegressor)";
const std::string kNumbered = "model.onnx: node 'it' (TreeEnsemble)";

/// The error of a file that must not load.
Error error_of(const std::string& bytes) {
  const auto model = fixture::parse_onnx(bytes);
  REQUIRE_FALSE(model.has_value());
  INFO(describe(model.error()));
  CHECK(model.error().code == Errc::bad_model);
  CHECK_FALSE(model.error().what.empty());
  CHECK_FALSE(model.error().hint.empty());
  CHECK(model.error().where.starts_with("model.onnx"));
  return model.error();
}

struct Damage {
  std::string attribute;
  std::string value;  // what it becomes; empty: it is taken away
  std::string where;  // behind the node's name
  std::string what;   // a part of it
};

void check_damage(const Damage& damage, Attributes attributes, const std::string& place,
                  std::string (*file)(const Attributes&)) {
  if (damage.value.empty()) {
    attributes.erase(damage.attribute);
  } else {
    attributes[damage.attribute] = damage.value;
  }
  const Error error = error_of(file(attributes));
  INFO(damage.attribute << ": " << describe(error));
  CHECK(error.where == place + damage.where);
  CHECK(error.what.find(damage.what) != std::string::npos);
}

TEST_CASE("onnx: the small models of these tests are right before they are damaged", "[onnx]") {
  CHECK(fixture::parse_onnx(fixture::tree_file(fixture::small_trees())).has_value());
  CHECK(fixture::parse_onnx(fixture::numbered_tree_file(fixture::small_numbered_trees())).has_value());
}

TEST_CASE("onnx: a tree that is none is refused at the node that is wrong", "[onnx]") {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Damage& damage : {
           // cycles, two parents, two roots, nodes that do not exist or exist twice
           Damage{"nodes_truenodeids", ints({1, 1, 0, 0, 0, 0}), ": nodes_truenodeids[1]", "a second time"},
           Damage{"nodes_truenodeids", ints({0, 2, 0, 0, 0, 0}), "", "1 branches are reached from no root"},
           Damage{"nodes_falsenodeids", ints({4, 0, 0, 0, 0, 0}), "", "2 branches are reached from no root"},
           Damage{"nodes_falsenodeids", ints({4, 4, 0, 0, 0, 0}), ": nodes_falsenodeids[1]", "a second time"},
           Damage{"nodes_falsenodeids", ints({9, 3, 0, 0, 0, 0}), ": nodes_falsenodeids[0]",
                  "tree 0 has no node 9"},
           Damage{"nodes_truenodeids", ints({-1, 2, 0, 0, 0, 0}), ": nodes_truenodeids[0]", "no node -1"},
           Damage{"nodes_treeids", ints({0, 0, 1, 0, 0, 1}), ": nodes_truenodeids[1]",
                  "tree 0 has no node 2"},
           Damage{"nodes_nodeids", ints({0, 1, 2, 3, 3, 0}), ": nodes_nodeids[4]",
                  "node 3 of tree 0 occurs twice"},
           Damage{"nodes_modes", texts({"BRANCH_LEQ", "LEAF", "LEAF", "LEAF", "LEAF", "LEAF"}),
                  ": nodes_nodeids[2]", "a second root, node 2"},
           // features, numbers, modes
           Damage{"nodes_featureids", ints({0, 5, 0, 0, 0, 0}), ": nodes_featureids",
                  "feature 5 is not in [0, 5)"},
           Damage{"nodes_featureids", ints({0, -1, 0, 0, 0, 0}), ": nodes_featureids[1]", "feature -1"},
           Damage{"nodes_featureids", ints({0, std::int64_t{1} << 40, 0, 0, 0, 0}), ": nodes_featureids[1]",
                  "1099511627776"},
           Damage{"nodes_values", floats({0.5F, kNan, 0, 0, 0, 0}), ": nodes_values[1]", "NaN"},
           Damage{"target_weights", floats({1.25F, kInfinity, 3.5F, 0}), ": target_weights[1]", "inf"},
           Damage{"target_weights", floats({1.25F, kNan, 3.5F, 0}), ": target_weights[1]", "nan"},
           Damage{"base_values", floats({kNan}), ": base_values[0]", "nan"},
           Damage{"nodes_modes", texts({"BRANCH_LEQ", "BRANCH_ODD", "LEAF", "LEAF", "LEAF", "LEAF"}),
                  ": nodes_modes[1]", "BRANCH_ODD"},
           // targets
           Damage{"target_ids", ints({0, 1, 0, 0}), ": target_ids[1]", "1 is not in [0, 1)"},
           Damage{"target_ids", ints({0, -1, 0, 0}), ": target_ids[1]", "-1"},
           Damage{"target_nodeids", ints({2, 9, 4, 0}), ": target_nodeids[1]", "no node 9"},
           Damage{"target_nodeids", ints({2, 2, 4, 0}), ": target_ids", "two weights"},
           Damage{"n_targets", number_field(3, 0), ": n_targets", "0"},
           Damage{"n_targets", number_field(3, std::int64_t{1} << 40), ": n_targets", "1099511627776"},
           Damage{"base_values", floats({1.0F, 2.0F}), ": base_values", "2 elements where 1"},
           // sizes, kinds, names
           Damage{"nodes_values", floats({0.5F}), ": nodes_values", "has 1 elements where 6 belong"},
           Damage{"nodes_truenodeids", "", ": nodes_truenodeids", "has 0 elements"},
           Damage{"nodes_modes", "", ": nodes_modes", "has 0 elements"},
           Damage{"nodes_modes", ints({1, 2}), ": nodes_modes", "of another kind"},
           Damage{"nodes_treeids", floats({1.0F}), ": nodes_treeids", "of another kind"},
           Damage{"aggregate_function", bytes_field(4, "MEDIAN"), ": aggregate_function", "MEDIAN"},
           Damage{"post_transform", bytes_field(4, "CUBE"), ": post_transform", "CUBE"},
       }) {
    check_damage(damage, fixture::small_trees(), kTrees, fixture::tree_file);
  }
}

TEST_CASE("onnx: nodes that only reach each other are a cycle beside the tree", "[onnx]") {
  Attributes trees = fixture::small_trees();
  // Nodes 5 and 6 of tree 0: each the other's child, with a leaf each.
  trees["nodes_treeids"] = ints({0, 0, 0, 0, 0, 0, 0, 0, 0});
  trees["nodes_nodeids"] = ints({0, 1, 2, 3, 4, 5, 6, 7, 8});
  trees["nodes_featureids"] = ints({0, 4, 0, 0, 0, 0, 0, 0, 0});
  trees["nodes_values"] = floats({0, 0, 0, 0, 0, 0, 0, 0, 0});
  trees["nodes_modes"] =
      texts({"BRANCH_LT", "BRANCH_LT", "LEAF", "LEAF", "LEAF", "BRANCH_LT", "BRANCH_LT", "LEAF", "LEAF"});
  trees["nodes_truenodeids"] = ints({1, 2, 0, 0, 0, 6, 5, 0, 0});
  trees["nodes_falsenodeids"] = ints({4, 3, 0, 0, 0, 7, 8, 0, 0});
  trees.erase("nodes_missing_value_tracks_true");
  trees["target_treeids"] = ints({0, 0, 0, 0});
  trees["target_nodeids"] = ints({2, 3, 4, 7});
  CHECK(error_of(fixture::tree_file(trees)).what == "2 branches are reached from no root: a cycle");
}

TEST_CASE("onnx: a tree of version 5 that is none is refused at the node that is wrong", "[onnx]") {
  const std::string nan = float_bytes(std::numeric_limits<float>::quiet_NaN());
  const std::string one = float_bytes(1.0F);
  const auto list = [](std::int64_t type, std::int64_t count, const std::string& raw) {
    return bytes_field(5, tensor(type, {count}, raw));
  };
  for (const Damage& damage : {
           Damage{"nodes_truenodeids", ints({0, 0}), ": branch 0", "a second time"},
           Damage{"nodes_trueleafs", ints({0, 0}), ": branch 0", "a second time"},
           Damage{"nodes_truenodeids", ints({2, 0}), ": nodes_truenodeids[0]", "branch 2 is not in [0, 2)"},
           Damage{"nodes_falsenodeids", ints({3, 1}), ": nodes_falsenodeids[0]", "leaf 3 is not in [0, 3)"},
           Damage{"nodes_falsenodeids", ints({-1, 1}), ": nodes_falsenodeids[0]", "-1"},
           Damage{"tree_roots", ints({2}), ": tree_roots[0]", "2 is not in [0, 2)"},
           Damage{"tree_roots", ints({0, 0}), ": branch 0", "a second time"},
           Damage{"tree_roots", "", ": tree_roots", "0 trees"},
           Damage{"nodes_splits", list(1, 2, nan + nan), ": nodes_splits[0]", "NaN"},
           Damage{"nodes_modes", list(2, 2, std::string("\7\6", 2)), ": nodes_modes[0]", "7"},
           Damage{"nodes_modes", "", ": nodes_modes", "missing"},
           Damage{"membership_values", "", ": membership_values", "ends inside the set of branch 1"},
           Damage{"membership_values", list(1, 2, one + one), ": membership_values", "ends inside"},
           Damage{"membership_values", list(1, 3, one + nan + nan), ": membership_values[2]", "more sets"},
           Damage{"leaf_targetids", ints({0, 1, 0}), ": leaf_targetids[1]", "1 is not in [0, 1)"},
           Damage{"leaf_weights", list(1, 3, one + nan + one), ": leaf_weights[1]", "nan"},
           Damage{"leaf_weights", list(11, 1, std::string("\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8)),
                  ": leaf_targetids", "3 elements where 1"},
           Damage{"n_targets", "", ": n_targets", "missing"},
           Damage{"aggregate_function", number_field(3, 4), ": aggregate_function", "4 is not in [0, 3]"},
           Damage{"post_transform", number_field(3, -1), ": post_transform", "-1"},
       }) {
    check_damage(damage, fixture::small_numbered_trees(), kNumbered, fixture::numbered_tree_file);
  }
}

TEST_CASE("onnx: a tensor that claims more than it holds is refused before anything is sized by it",
          "[onnx]") {
  const auto with = [](const std::string& message) {
    return onnx_file({node("Gemm", "", {"X", "W"}, {"Y"})}, bytes_field(5, message));
  };
  const std::string name = bytes_field(8, "W");
  const std::string raw = std::string(20, '\1');
  REQUIRE(fixture::parse_onnx(with(tensor(1, {5, 1}, raw, "W"))).has_value());
  CHECK(error_of(with(tensor(1, {5, 1LL << 40}, raw, "W"))).what.find("larger than any file") !=
        std::string::npos);
  CHECK(error_of(with(tensor(1, {1 << 20, 1}, raw, "W"))).what.find("1048576 numbers") != std::string::npos);
  CHECK(error_of(with(tensor(1, {-5, -1}, raw, "W"))).what.find("size is -5") != std::string::npos);
  CHECK(error_of(with(tensor(1, {5, 1}, raw + raw, "W"))).what.find("raw data of 40 bytes for 5") !=
        std::string::npos);
  CHECK(error_of(with(tensor(16, {5, 1}, raw, "W"))).what.find("type 16") != std::string::npos);
  CHECK(error_of(
            with(number_field(1, 5) + number_field(1, 1) + number_field(2, 1) + number_field(14, 1) + name))
            .what.find("in another file") != std::string::npos);
  CHECK(error_of(with(tensor(1, std::vector<std::int64_t>(9, 1), raw, "W"))).what.find("8 dimensions") !=
        std::string::npos);
  std::string not_finite = std::string(16, '\0') + float_bytes(std::numeric_limits<float>::infinity());
  CHECK(error_of(with(tensor(1, {5, 1}, not_finite, "W"))).what.find("inf") != std::string::npos);
}

TEST_CASE("onnx: bytes that are no protobuf are refused where they stand", "[onnx]") {
  const std::string start = number_field(1, 8);
  for (const std::string& bytes :
       {std::string(), start, start + "\x3a", start + "\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        start + std::string("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"), start + "\x3b", start + "\x3c",
        start + "\x3f", start + std::string("\x02\0", 2), start + "\x3a\x02\x0a", start + number_field(7, 1),
        std::string(100'000, '\x3a'), std::string(100'000, '\xff')}) {
    error_of(bytes);
  }
  // Messages within messages, deeper than any reader descends.
  std::string deep;
  for (int level = 0; level < 2000; ++level)
    deep = bytes_field(static_cast<std::uint32_t>(level % 2 == 0 ? 5 : 6), deep);
  error_of(onnx_file({bytes_field(1, "X") + bytes_field(2, "Y") + bytes_field(4, "If") + deep}));
}

TEST_CASE("onnx: a graph that is no chain of known operators names the node that is in the way", "[onnx]") {
  const auto what = [](const std::vector<std::string>& nodes, const std::string& extra = "") {
    return error_of(onnx_file(nodes, extra)).what;
  };
  CHECK(what({}).find("nothing computes 'Y'") != std::string::npos);
  CHECK(what({node("Identity", "", {"X"}, {"Y"})}).find("no trees and no layers") != std::string::npos);
  CHECK(what({node("Conv", "", {"X"}, {"Y"})}).find("not read here") != std::string::npos);
  CHECK(what({node("Add", "", {"X", "X"}, {"Y"})}).find("combines 2 computed values") != std::string::npos);
  CHECK(what({node("Relu", "", {"Y"}, {"Y"})}).find("its own input") != std::string::npos);
  CHECK(what({node("Relu", "", {"b"}, {"Y"}), node("Relu", "", {"Y"}, {"b"})}).find("its own input") !=
        std::string::npos);
  CHECK(what({node("Relu", "", {"X"}, {"Y"}), node("Tanh", "", {"X"}, {"Y"})}).find("exists already") !=
        std::string::npos);
  CHECK(what({node("Softmax", "", {"X"}, {"Y"})}).find("cannot follow") != std::string::npos);
  CHECK(what({node("Relu", "", {"X"}, {"Y"})}, bytes_field(11, fixture::value_info("Z", 3)))
            .find("2 of them") != std::string::npos);
  CHECK(what(std::vector<std::string>(5000, node("Relu", "", {"X"}, {"Y"}))).find("more than 4096 nodes") !=
        std::string::npos);
  const std::string trees = node("TreeEnsembleRegressor", "ai.onnx.ml", {"X"}, {"t"}, fixture::small_trees());
  CHECK(what({trees, node("TreeEnsembleRegressor", "ai.onnx.ml", {"t"}, {"Y"}, fixture::small_trees())})
            .find("follows another model") != std::string::npos);
  CHECK(error_of(onnx_file({node("Identity", "", {"X"}, {"Y"})}, "", 7)).what == "is of int64");
  CHECK(error_of(onnx_file({trees, node("Cast", "", {"t"}, {"Y"}, {{"to", number_field(3, 7)}})})).where ==
        "model.onnx: node 'it' (Cast): to");
}

TEST_CASE("onnx: a chain of equalities unfolds without end, and stays in the interpreter", "[onnx]") {
  // Goal: the branch where x is not equal has two places; forty such below each other must cost forty nodes,
  // not 2^40, whoever lays the trees out.
  constexpr std::int64_t kDepth = 40;
  std::vector<std::int64_t> trees(2 * kDepth + 1, 0);
  std::vector<std::int64_t> nodes;
  std::vector<std::int64_t> if_true(trees.size(), 0);
  std::vector<std::int64_t> if_false(trees.size(), 0);
  std::vector<std::string> modes(trees.size(), "LEAF");
  std::vector<float> values(trees.size(), 0.0F);
  std::vector<std::int64_t> leaves;
  std::vector<float> weights;
  for (std::int64_t index = 0; index < 2 * kDepth + 1; ++index) {
    nodes.push_back(index);
    const auto at = static_cast<std::size_t>(index);
    if (index % 2 == 0 && index < 2 * kDepth) {
      modes[at] = "BRANCH_EQ";
      values[at] = static_cast<float>(index);
      if_true[at] = index + 1;
      if_false[at] = index + 2;
    } else {
      leaves.push_back(index);
      weights.push_back(static_cast<float>(index));
    }
  }
  const auto model = fixture::parse_onnx(
      fixture::tree_file({{"nodes_treeids", ints(trees)},
                          {"nodes_nodeids", ints(nodes)},
                          {"nodes_featureids", ints(std::vector<std::int64_t>(trees.size(), 0))},
                          {"nodes_values", floats(values)},
                          {"nodes_modes", texts(modes)},
                          {"nodes_truenodeids", ints(if_true)},
                          {"nodes_falsenodeids", ints(if_false)},
                          {"target_treeids", ints(std::vector<std::int64_t>(leaves.size(), 0))},
                          {"target_nodeids", ints(leaves)},
                          {"target_ids", ints(std::vector<std::int64_t>(leaves.size(), 0))},
                          {"target_weights", floats(weights)}}),
      {.threshold = 0});
  if (!model) FAIL(describe(model.error()));
  CHECK((*model)->tiers()->tier == 0);
  CHECK((*model)->tiers()->why_not == "its trees share nodes");
  const std::vector<float> x{4, 0, 0, 0, 0, 78, 0, 0, 0, 0, 5, 0, 0, 0, 0};
  std::vector<float> out(3);
  REQUIRE((*model)->predict({x.data(), 3, 5}, {out.data(), 3, 1}).has_value());
  CHECK(out == std::vector<float>{5, 79, 80});
}

TEST_CASE("onnx: a file cut anywhere is an error", "[onnx]") {
  for (const std::string& whole : {fixture::tree_file(fixture::small_trees()),
                                   fixture::numbered_tree_file(fixture::small_numbered_trees())}) {
    // What follows the graph is short: opset imports, without which the model is one, too.
    const std::size_t imports = whole.size() - 20;
    for (std::size_t size = 0; size < imports; ++size) error_of(whole.substr(0, size));
  }
}

TEST_CASE("onnx: a mutated file is a model or an error, never a crash", "[onnx]") {
  // Method: bytes flipped, overwritten, removed, doubled and cut, from a fixed seed. What still loads must
  // answer.
  std::mt19937_64 random(20261123);
  const fixture::Npy<float> rows = fixture::read_npy<float>(fixture::onnx_path("rows.npy"));
  std::size_t loaded = 0;
  std::size_t refused = 0;
  for (const std::string file :
       {"v5_mixed", "prepared", "pair_logistic", "aggregate_min_base", "dense_elu"}) {
    const std::string whole = fixture::read_bytes(fixture::onnx_path(file + ".onnx"));
    for (int round = 0; round < 1000; ++round) {
      const std::string bytes = fixture::mutated(whole, 3, random);
      const auto model = fixture::parse_onnx(bytes);
      if (!model) {
        ++refused;
        REQUIRE_FALSE(model.error().what.empty());
        REQUIRE(model.error().where.starts_with("model.onnx"));
        REQUIRE_FALSE(model.error().hint.empty());
        continue;
      }
      ++loaded;
      const ModelShape shape = (*model)->shape();
      if (shape.features > 1000 || shape.outputs > 1000) continue;  // allowed; the rows would only cost time
      fixture::Npy<float> x{{}, 9, shape.features};
      for (std::size_t index = 0; index < std::size_t{9} * shape.features; ++index) {
        const float number = rows.values[index % rows.values.size()];
        x.values.push_back(std::isnan(number) ? 0.0F : number);
      }
      fixture::answers(**model, x, 9);
    }
  }
  // The mutations are of both sorts, or this test shows nothing.
  CHECK(loaded > 100);
  CHECK(refused > 1000);
}

TEST_CASE("onnx: files are known by their first bytes, other formats are not taken for them", "[onnx]") {
  const auto looks = [](const std::string& bytes) {
    return onnx::looks_like_onnx(std::as_bytes(std::span(bytes)));
  };
  CHECK(looks(fixture::read_bytes(fixture::onnx_path("xgb_bc_200.onnx")).substr(0, 64)));
  CHECK(looks(fixture::read_bytes(fixture::onnx_path("prepared.onnx")).substr(0, 64)));
  CHECK_FALSE(looks("{\"learner\": {}}"));
  CHECK_FALSE(looks("tree\nversion=v4\n"));
  CHECK_FALSE(looks(std::string("\x08\x07", 2)));
  CHECK_FALSE(looks(std::string("\x08\0\0\0\0\0\0\0{\"", 10)));
  CHECK_FALSE(looks("PK\x03\x04"));
}

}  // namespace
