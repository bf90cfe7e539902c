// What an ONNX file says: its graph's nodes, constants, inputs and outputs. Checked as bytes, not yet
// understood.
//
//   ModelProto ─┬─ opset_import            which version of which operators
//               └─ graph ─┬─ node          operator, inputs, outputs, attributes: names and numbers
//                         ├─ initializer   constant tensors
//                         └─ input, output
//
// Everything points into the file's bytes, which must outlive it. Numbers of attributes and tensors stay
// there until they are asked for: a file's size bounds what they take, eight bytes for one at most.
// Not read: data outside of the file, sparse tensors, subgraphs (If, Loop), functions, training information.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"
#include "worker/onnx/wire.hpp"

namespace tutti::onnx {

inline constexpr std::size_t kGraphNodesMax = 4096;
inline constexpr std::size_t kGraphOutputsMax = 16;
inline constexpr std::size_t kConstantsMax = 16'384;
inline constexpr std::size_t kNodeValuesMax = 64;  // inputs, outputs or attributes of one node
inline constexpr std::size_t kRankMax = 8;

/// TensorProto.DataType, as far as there is use for it.
enum class Type : std::uint32_t { none = 0, f32 = 1, u8 = 2, i32 = 6, i64 = 7, f64 = 11 };
/// "float", "double"; "type 16" for what has no name here.
std::string type_name(Type type);

struct TensorProto {
  std::string_view name;
  Type type = Type::none;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;  // the product of the shape
  Message message;
};

struct Attribute {
  std::string_view name;
  Message message;
};

struct Node {
  std::string_view op;
  std::string_view domain;  // "" for ONNX's own operators
  std::string_view name;
  std::vector<std::string_view> inputs;
  std::vector<std::string_view> outputs;
  std::vector<Attribute> attributes;
  Message message;

  /// "node 'scaler' (Scaler)"; without a name "node at byte 17 (Scaler)".
  [[nodiscard]] std::string shown() const;
  [[nodiscard]] const Attribute* find(std::string_view attribute) const noexcept;
};

/// A graph's input or output.
struct ValueInfo {
  std::string_view name;
  Type type = Type::none;                           // none: no tensor
  std::vector<std::optional<std::uint64_t>> shape;  // nothing where a dimension has a name or no size
};

struct File {
  std::string_view name;  // for errors
  std::map<std::string_view, std::int64_t> opsets;
  std::vector<Node> nodes;
  std::map<std::string_view, TensorProto> constants;  // initializers, and what Constant nodes hold
  std::vector<ValueInfo> inputs;                      // without those that are constants
  std::vector<ValueInfo> outputs;
};

/// True for bytes that an ONNX file may start with.
bool looks_like_onnx(Bytes head) noexcept;

/// Reads a file. `name` is what errors call it and must outlive the result.
/// Errors: bad_model with a byte's position or a node's name.
Result<File> read_file(Bytes bytes, std::string_view name);

/// A tensor from its message. Errors: bad_model.
Result<TensorProto> read_tensor(const Message& message);

/// A tensor's numbers, as many as its shape says. Errors: bad_model (another type, more or fewer numbers).
Result<std::vector<double>> floats_of(const TensorProto& tensor);      // f32 and f64
Result<std::vector<std::int64_t>> ints_of(const TensorProto& tensor);  // u8, i32 and i64

/// An error about a node: "model.onnx: node 'trees' (TreeEnsembleRegressor): nodes_modes[3]".
std::unexpected<Error> bad_node(const Node& node, std::string_view place, std::string what,
                                std::string_view hint);

/// A node's attributes. Absent: nothing, or an empty list. Errors: bad_model (of another type than asked
/// for).
Result<std::optional<std::int64_t>> int_attribute(const Node& node, std::string_view name);
Result<std::optional<float>> float_attribute(const Node& node, std::string_view name);
Result<std::optional<std::string_view>> text_attribute(const Node& node, std::string_view name);
Result<std::vector<std::int64_t>> ints_attribute(const Node& node, std::string_view name);
Result<std::vector<float>> floats_attribute(const Node& node, std::string_view name);
Result<std::vector<std::string_view>> texts_attribute(const Node& node, std::string_view name);
Result<std::optional<TensorProto>> tensor_attribute(const Node& node, std::string_view name);

}  // namespace tutti::onnx
