#include "worker/onnx/file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "shared/limits.hpp"
#include "worker/onnx/fields.hpp"
#include "worker/text.hpp"

namespace tutti::onnx {
namespace {

constexpr std::int64_t kElementwiseOpset = 7;  // before it Gemm, Add and their like broadcast in another way
constexpr std::int64_t kTreesOpsetMax = 5;     // of ai.onnx.ml

/// Appends to a list that must not grow beyond `most`.
template <class T>
Result<void> append(std::vector<T>& list, T item, std::size_t most, const Message& message,
                    std::string_view items) {
  if (list.size() == most) {
    return bad_message(message, fmt::format("more than {} {}", most, items), "only small graphs are read");
  }
  list.push_back(std::move(item));
  return {};
}

Result<Node> read_node(const Message& message) {
  Node node{.message = message};
  const Result<void> read = for_each_field(message, [&](const Field& field) -> Result<void> {
    std::string_view text;
    switch (field.number) {
      case 1:
      case 2: {
        if (Result<void> taken = take_text(field, message, text); !taken) return taken;
        return append(field.number == 1 ? node.inputs : node.outputs, text, kNodeValuesMax, message,
                      "inputs or outputs of one node");
      }
      case 3:
        return take_text(field, message, node.name);
      case 4:
        return take_text(field, message, node.op);
      case 5: {
        const Result<Message> inner = submessage(field, message);
        if (!inner) return std::unexpected(inner.error());
        return append(node.attributes, Attribute{.name = {}, .message = *inner}, kNodeValuesMax, message,
                      "attributes of one node");
      }
      case 7:
        return take_text(field, message, node.domain);
      default:
        return {};
    }
  });
  if (!read) return std::unexpected(read.error());
  if (node.domain == "ai.onnx") node.domain = "";
  for (Attribute& attribute : node.attributes) {
    const Result<void> named = for_each_field(attribute.message, [&](const Field& field) -> Result<void> {
      return field.number == 1 ? take_text(field, attribute.message, attribute.name) : Result<void>{};
    });
    if (!named) return std::unexpected(named.error());
    if (node.find(attribute.name) != &attribute) {
      return bad_node(node, one_line(attribute.name, kNameMax), "occurs twice", kExportAgain);
    }
  }
  return node;
}

/// The sizes of a TensorShapeProto.
Result<void> read_shape(const Message& message, ValueInfo& value) {
  return for_each_field(message, [&](const Field& field) -> Result<void> {
    if (field.number != 1) return {};
    const Result<Message> dimension = submessage(field, message);
    if (!dimension) return std::unexpected(dimension.error());
    std::optional<std::uint64_t> size;
    const Result<void> read = for_each_field(*dimension, [&](const Field& inner) -> Result<void> {
      if (inner.number == 1 && inner.type == Wire::varint && std::bit_cast<std::int64_t>(inner.value) > 0) {
        size = inner.value;
      }
      return {};
    });
    if (!read) return read;
    return append(value.shape, size, kRankMax, message, "dimensions");
  });
}

/// ValueInfoProto ▸ TypeProto ▸ Tensor. Sequences and maps (ZipMap's) leave the type at none.
Result<ValueInfo> read_value(const Message& message) {
  ValueInfo value;
  const auto tensor = [&](const Message& inner) {
    return for_each_field(inner, [&](const Field& field) -> Result<void> {
      if (field.number == 1 && field.type == Wire::varint && field.value <= 0xffff) {
        value.type = static_cast<Type>(field.value);
      }
      if (field.number != 2) return {};
      const Result<Message> shape = submessage(field, inner);
      if (!shape) return std::unexpected(shape.error());
      value.shape.clear();
      return read_shape(*shape, value);
    });
  };
  const auto type = [&](const Message& inner) {
    return for_each_field(inner, [&](const Field& field) -> Result<void> {
      if (field.number != 1) return {};
      const Result<Message> found = submessage(field, inner);
      if (!found) return std::unexpected(found.error());
      return tensor(*found);
    });
  };
  const Result<void> read = for_each_field(message, [&](const Field& field) -> Result<void> {
    if (field.number == 1) return take_text(field, message, value.name);
    if (field.number != 2) return {};
    const Result<Message> found = submessage(field, message);
    if (!found) return std::unexpected(found.error());
    return type(*found);
  });
  if (!read) return std::unexpected(read.error());
  return value;
}

/// Reads ModelProto and its GraphProto.
class FileReader {
 public:
  FileReader(Bytes bytes, std::string_view name) : whole_{.bytes = bytes, .offset = 0, .file = name} {
    file_.name = name;
  }

  Result<File> read() {
    const Result<void> read = for_each_field(whole_, [&](const Field& field) { return take_model(field); });
    if (!read) return std::unexpected(read.error());
    if (!graph_) return bad_message(whole_, "it has no graph", "this is no ONNX model");
    const Result<void> graph = for_each_field(*graph_, [&](const Field& field) { return take_graph(field); });
    if (!graph) return std::unexpected(graph.error());
    if (Result<void> checked = check_opsets(); !checked) return std::unexpected(checked.error());
    if (Result<void> taken = take_constants(); !taken) return std::unexpected(taken.error());
    // Before version 4 of the format constants are listed among the inputs.
    std::erase_if(file_.inputs, [&](const ValueInfo& input) { return file_.constants.contains(input.name); });
    return std::move(file_);
  }

 private:
  Result<void> take_model(const Field& field) {
    if (field.number != 7 && field.number != 8) return {};
    const Result<Message> inner = submessage(field, whole_);
    if (!inner) return std::unexpected(inner.error());
    if (field.number == 7) {
      if (graph_) return bad_message(*inner, "a second graph");
      graph_ = *inner;
      return {};
    }
    std::string_view domain;
    std::int64_t version = 0;
    const Result<void> read = for_each_field(*inner, [&](const Field& part) -> Result<void> {
      if (part.number == 1) return take_text(part, *inner, domain);
      if (part.number == 2 && part.type == Wire::varint) version = std::bit_cast<std::int64_t>(part.value);
      return {};
    });
    if (!read) return read;
    if (file_.opsets.size() == kNodeValuesMax) return bad_message(*inner, "too many operator sets");
    file_.opsets[domain == "ai.onnx" ? "" : domain] = version;
    return {};
  }

  Result<void> take_graph(const Field& field) {
    if (field.number != 1 && field.number != 5 && field.number != 11 && field.number != 12) return {};
    const Result<Message> inner = submessage(field, *graph_);
    if (!inner) return std::unexpected(inner.error());
    if (field.number == 1) {
      Result<Node> node = read_node(*inner);
      if (!node) return std::unexpected(std::move(node.error()));
      return append(file_.nodes, std::move(*node), kGraphNodesMax, *graph_, "nodes");
    }
    if (field.number == 5) {
      Result<TensorProto> tensor = read_tensor(*inner);
      if (!tensor) return std::unexpected(std::move(tensor.error()));
      return add_constant(tensor->name, std::move(*tensor));
    }
    Result<ValueInfo> value = read_value(*inner);
    if (!value) return std::unexpected(std::move(value.error()));
    if (field.number == 11) return append(file_.inputs, std::move(*value), kConstantsMax, *graph_, "inputs");
    return append(file_.outputs, std::move(*value), kGraphOutputsMax, *graph_, "outputs");
  }

  Result<void> add_constant(std::string_view name, TensorProto tensor) {
    if (file_.constants.size() == kConstantsMax) {
      return bad_message(tensor.message, fmt::format("more than {} constants", kConstantsMax));
    }
    const Message message = tensor.message;
    if (!file_.constants.emplace(name, std::move(tensor)).second) {
      return bad_message(message, fmt::format("constant '{}' occurs twice", one_line(name, kNameMax)));
    }
    return {};
  }

  Result<void> check_opsets() const {
    if (const auto trees = file_.opsets.find("ai.onnx.ml");
        trees != file_.opsets.end() && (trees->second < 1 || trees->second > kTreesOpsetMax)) {
      return bad_message(whole_, fmt::format("operator set ai.onnx.ml {} is not known", trees->second),
                         fmt::format("versions 1 to {} are; export for one of them", kTreesOpsetMax));
    }
    if (const auto own = file_.opsets.find("");
        own != file_.opsets.end() && own->second < kElementwiseOpset) {
      return bad_message(whole_,
                         fmt::format("operator set {} is older than {}", own->second, kElementwiseOpset),
                         "export the model with a newer opset");
    }
    return {};
  }

  /// Constant nodes that hold a tensor are constants like the graph's own.
  Result<void> take_constants() {
    for (const Node& node : file_.nodes) {
      if (node.op != "Constant" || !node.domain.empty() || node.outputs.size() != 1) continue;
      Result<std::optional<TensorProto>> tensor = tensor_attribute(node, "value");
      if (!tensor) return std::unexpected(std::move(tensor.error()));
      if (!*tensor) continue;
      if (Result<void> added = add_constant(node.outputs[0], std::move(**tensor)); !added) return added;
    }
    return {};
  }

  Message whole_;
  std::optional<Message> graph_;
  File file_;
};

}  // namespace

std::string Node::shown() const {
  const std::string operation = one_line(op, kNameMax);
  return name.empty() ? fmt::format("node at byte {} ({})", message.offset, operation)
                      : fmt::format("node '{}' ({})", one_line(name, kNameMax), operation);
}

const Attribute* Node::find(std::string_view attribute) const noexcept {
  const auto found = std::ranges::find(attributes, attribute, &Attribute::name);
  return found == attributes.end() ? nullptr : &*found;
}

bool looks_like_onnx(Bytes head) noexcept {
  // The first field is the version of the format, a small number; then comes another of ModelProto's.
  if (head.size() < 3 || head[0] != std::byte{0x08}) return false;
  const auto version = std::to_integer<unsigned>(head[1]);
  constexpr std::string_view kNextFields = "\x12\x1a\x22\x28\x32\x3a\x42\x72";
  return version >= 1 && version <= 64 && kNextFields.contains(static_cast<char>(head[2]));
}

Result<File> read_file(Bytes bytes, std::string_view name) { return FileReader(bytes, name).read(); }

std::unexpected<Error> bad_node(const Node& node, std::string_view place, std::string what,
                                std::string_view hint) {
  return std::unexpected(Error{
      .code = Errc::bad_model,
      .what = std::move(what),
      .where = fmt::format("{}: {}{}{}", node.message.file, node.shown(), place.empty() ? "" : ": ", place),
      .hint = std::string(hint)});
}

}  // namespace tutti::onnx
