// Writes small ONNX files for tests: protobuf by hand, so that any part of it can be wrong.
#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::fixture {

inline std::string varint(std::uint64_t number) {
  std::string bytes;
  for (; number > 127; number >>= 7) bytes += static_cast<char>(static_cast<unsigned char>(number | 128));
  return bytes + static_cast<char>(number);
}
inline std::string number_field(std::uint32_t number, std::int64_t value) {
  return varint(number << 3) + varint(static_cast<std::uint64_t>(value));
}
inline std::string bytes_field(std::uint32_t number, std::string_view bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}
inline std::string float_bytes(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8)
    bytes += static_cast<char>(static_cast<unsigned char>(bits >> shift));
  return bytes;
}

inline std::string ints(const std::vector<std::int64_t>& numbers) {
  std::string bytes;
  for (const std::int64_t number : numbers) bytes += number_field(8, number);
  return bytes;
}
inline std::string floats(const std::vector<float>& numbers) {
  std::string run;
  for (const float number : numbers) run += float_bytes(number);
  return bytes_field(7, run);
}
inline std::string texts(const std::vector<std::string>& values) {
  std::string bytes;
  for (const std::string& value : values) bytes += bytes_field(9, value);
  return bytes;
}
inline std::string tensor(std::int64_t type, const std::vector<std::int64_t>& shape, std::string_view raw,
                          std::string_view name = "") {
  std::string bytes;
  for (const std::int64_t size : shape) bytes += number_field(1, size);
  return bytes + number_field(2, type) + bytes_field(9, raw) + bytes_field(8, name);
}

/// Attributes by name, each the rest of its message: ints(), floats(), texts(), number_field(3, …), …
using Attributes = std::map<std::string, std::string>;

inline std::string node(std::string_view op, std::string_view domain, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const Attributes& attributes = {}) {
  std::string bytes;
  for (const std::string& input : inputs) bytes += bytes_field(1, input);
  for (const std::string& output : outputs) bytes += bytes_field(2, output);
  bytes += bytes_field(3, "it") + bytes_field(4, op) + bytes_field(7, domain);
  for (const auto& [name, value] : attributes) bytes += bytes_field(5, bytes_field(1, name) + value);
  return bytes;
}

inline std::string value_info(std::string_view name, std::int64_t width, std::int64_t type = 1) {
  const std::string shape = bytes_field(1, bytes_field(2, "N")) + bytes_field(1, number_field(1, width));
  return bytes_field(1, name) + bytes_field(2, bytes_field(1, number_field(1, type) + bytes_field(2, shape)));
}

/// A model from "X", five wide, to "Y". `extra` is appended to the graph.
inline std::string onnx_file(const std::vector<std::string>& nodes, std::string_view extra = "",
                             std::int64_t input_type = 1) {
  std::string graph;
  for (const std::string& one : nodes) graph += bytes_field(1, one);
  graph += bytes_field(11, value_info("X", 5, input_type)) + bytes_field(12, value_info("Y", 1));
  return number_field(1, 8) + bytes_field(7, graph + std::string(extra)) +
         bytes_field(8, bytes_field(1, "ai.onnx.ml") + number_field(2, 3)) +
         bytes_field(8, number_field(2, 17));
}

/// Two trees: a root, an inner node, three leaves; and a lone leaf.
inline Attributes small_trees() {
  return {{"nodes_treeids", ints({0, 0, 0, 0, 0, 1})},
          {"nodes_nodeids", ints({0, 1, 2, 3, 4, 0})},
          {"nodes_featureids", ints({0, 4, 0, 0, 0, 0})},
          {"nodes_values", floats({0.5F, -1.5F, 0, 0, 0, 0})},
          {"nodes_modes", texts({"BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "LEAF"})},
          {"nodes_truenodeids", ints({1, 2, 0, 0, 0, 0})},
          {"nodes_falsenodeids", ints({4, 3, 0, 0, 0, 0})},
          {"nodes_missing_value_tracks_true", ints({1, 0, 0, 0, 0, 0})},
          {"target_treeids", ints({0, 0, 0, 1})},
          {"target_nodeids", ints({2, 3, 4, 0})},
          {"target_ids", ints({0, 0, 0, 0})},
          {"target_weights", floats({1.25F, -2.5F, 3.5F, 0.125F})},
          {"n_targets", number_field(3, 1)}};
}

inline std::string tree_file(const Attributes& attributes) {
  return onnx_file({node("TreeEnsembleRegressor", "ai.onnx.ml", {"X"}, {"Y"}, attributes)});
}

/// The same first tree as version 5 has it: branches 0 and 1, leaves 0 to 2.
inline Attributes small_numbered_trees() {
  return {{"nodes_featureids", ints({0, 4})},
          {"nodes_modes", bytes_field(5, tensor(2, {2}, std::string("\0\6", 2)))},
          {"nodes_splits", bytes_field(5, tensor(1, {2}, float_bytes(0.5F) + float_bytes(0.0F)))},
          {"nodes_truenodeids", ints({1, 0})},
          {"nodes_trueleafs", ints({0, 1})},
          {"nodes_falsenodeids", ints({2, 1})},
          {"nodes_falseleafs", ints({1, 1})},
          {"leaf_targetids", ints({0, 0, 0})},
          {"leaf_weights",
           bytes_field(5, tensor(1, {3}, float_bytes(1.0F) + float_bytes(2.0F) + float_bytes(3.0F)))},
          {"membership_values", bytes_field(5, tensor(1, {3},
                                                      float_bytes(1.0F) + float_bytes(2.0F) +
                                                          float_bytes(std::bit_cast<float>(0x7fc00000U))))},
          {"tree_roots", ints({0})},
          {"n_targets", number_field(3, 1)}};
}

inline std::string numbered_tree_file(const Attributes& attributes) {
  return onnx_file({node("TreeEnsemble", "ai.onnx.ml", {"X"}, {"Y"}, attributes)});
}

}  // namespace tutti::fixture
