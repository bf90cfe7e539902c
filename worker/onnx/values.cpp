// Numbers of tensors and attributes, read when they are asked for.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <span>
#include <utility>

#include "shared/limits.hpp"
#include "worker/onnx/fields.hpp"
#include "worker/onnx/file.hpp"
#include "worker/text.hpp"

namespace tutti::onnx {
namespace {

Result<void> take_dimension(const Field& field, const Message& message, TensorProto& tensor) {
  std::vector<std::int64_t> sizes;
  if (Result<void> taken = append_ints(field, message, sizes); !taken) return taken;
  for (const std::int64_t size : sizes) {
    if (tensor.shape.size() == kRankMax) {
      return bad_message(message, fmt::format("a tensor has more than {} dimensions", kRankMax));
    }
    if (size < 0) return bad_message(message, fmt::format("a tensor's size is {}", size));
    tensor.shape.push_back(static_cast<std::uint64_t>(size));
  }
  return {};
}

/// How many numbers a shape holds. More than the file has bytes is an error: nothing may be sized by it.
Result<void> count_numbers(TensorProto& tensor) {
  tensor.count = 1;
  for (const std::uint64_t size : tensor.shape) {
    if (size != 0 && tensor.count > kModelBytesMax / size) {
      return bad_message(tensor.message, "a tensor's sizes are larger than any file's");
    }
    tensor.count *= size;
  }
  if (tensor.count > tensor.message.bytes.size()) {
    return bad_message(tensor.message, fmt::format("a tensor claims {} numbers, its message has {} bytes",
                                                   tensor.count, tensor.message.bytes.size()));
  }
  return {};
}

/// Fields of TensorProto that hold numbers of each type when they are not raw.
struct Store {
  Type type;
  std::uint32_t field;
  std::size_t raw_bytes;
};
constexpr std::array<Store, 5> kStores{{
    {Type::f32, 4, 4},
    {Type::f64, 10, 8},
    {Type::u8, 5, 1},
    {Type::i32, 5, 4},
    {Type::i64, 7, 8},
}};
constexpr std::uint32_t kRawField = 9;

/// The bytes of raw_data as numbers.
template <class Stored, class T>
void append_raw(Bytes bytes, std::vector<T>& numbers) {
  numbers.reserve(bytes.size() / sizeof(Stored));
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(Stored)) {
    std::array<std::byte, sizeof(Stored)> one;
    std::ranges::copy(bytes.subspan(at, sizeof(Stored)), one.begin());
    if constexpr (std::endian::native == std::endian::big) std::ranges::reverse(one);
    numbers.push_back(static_cast<T>(std::bit_cast<Stored>(one)));
  }
}

template <class T, class Append>
Result<std::vector<T>> numbers_of(const TensorProto& tensor, std::span<const Type> types, Append append_one) {
  const auto* const store = std::ranges::find(kStores, tensor.type, &Store::type);
  if (store == kStores.end() || std::ranges::find(types, tensor.type) == types.end()) {
    return bad_message(
        tensor.message,
        fmt::format("tensor '{}' is of {}", one_line(tensor.name, kNameMax), type_name(tensor.type)),
        "float, double and whole numbers of 32 and 64 bits are read, each where it belongs");
  }
  std::vector<T> numbers;
  const Result<void> read = for_each_field(tensor.message, [&](const Field& field) -> Result<void> {
    if (field.number != store->field && field.number != kRawField) return {};
    return append_one(field, *store, numbers);
  });
  if (!read) return std::unexpected(read.error());
  if (numbers.size() != tensor.count) {
    return bad_message(tensor.message, fmt::format("tensor '{}' holds {} numbers, its shape [{}] says {}",
                                                   one_line(tensor.name, kNameMax), numbers.size(),
                                                   comma_list(tensor.shape), tensor.count));
  }
  return numbers;
}

/// Raw data in whole numbers, into an empty list.
Result<Bytes> raw_of(const Field& field, const TensorProto& tensor, std::size_t size, bool first) {
  if (field.type != Wire::bytes || field.bytes.size() != tensor.count * size || !first) {
    return bad_bytes(fmt::format("raw data of {} bytes for {} numbers of {} bytes", field.bytes.size(),
                                 tensor.count, size),
                     field.offset, tensor.message.file);
  }
  return field.bytes;
}

/// What an attribute holds, by the number of its field.
template <class Take>
Result<void> for_attribute(const Node& node, std::string_view name, std::uint32_t number, Take take) {
  const Attribute* const attribute = node.find(name);
  if (attribute == nullptr) return {};
  constexpr std::uint32_t kName = 1;
  constexpr std::uint32_t kDoc = 13;
  constexpr std::uint32_t kType = 20;
  return for_each_field(attribute->message, [&](const Field& field) -> Result<void> {
    if (field.number == kName || field.number == kType || field.number == kDoc) return {};
    if (field.number == number) return take(field, attribute->message);
    return bad_node(node, name,
                    fmt::format("is of another kind: field {} instead of {}", field.number, number),
                    kExportAgain);
  });
}

}  // namespace

std::string type_name(Type type) {
  switch (type) {
    case Type::none:
      return "no tensor type";
    case Type::f32:
      return "float";
    case Type::u8:
      return "uint8";
    case Type::i32:
      return "int32";
    case Type::i64:
      return "int64";
    case Type::f64:
      return "double";
  }
  return fmt::format("type {}", static_cast<std::uint32_t>(type));
}

Result<TensorProto> read_tensor(const Message& message) {
  TensorProto tensor{.message = message};
  bool outside = false;
  const Result<void> read = for_each_field(message, [&](const Field& field) -> Result<void> {
    switch (field.number) {
      case 1:
        return take_dimension(field, message, tensor);
      case 2:
        if (field.type == Wire::varint && field.value <= 0xffff) tensor.type = static_cast<Type>(field.value);
        return {};
      case 8:
        return take_text(field, message, tensor.name);
      case 13:
      case 14:
        outside = outside || field.number == 13 || field.value != 0;
        return {};
      default:
        return {};
    }
  });
  if (!read) return std::unexpected(read.error());
  if (outside) {
    return bad_message(
        message,
        fmt::format("tensor '{}' keeps its numbers in another file", one_line(tensor.name, kNameMax)),
        "save the model with its data inside: onnx.save(model, path)");
  }
  if (Result<void> counted = count_numbers(tensor); !counted) return std::unexpected(counted.error());
  return tensor;
}

Result<std::vector<double>> floats_of(const TensorProto& tensor) {
  static constexpr std::array kTypes{Type::f32, Type::f64};
  return numbers_of<double>(
      tensor, kTypes,
      [&](const Field& field, const Store& store, std::vector<double>& numbers) -> Result<void> {
        if (field.number == kRawField) {
          const Result<Bytes> raw = raw_of(field, tensor, store.raw_bytes, numbers.empty());
          if (!raw) return std::unexpected(raw.error());
          store.type == Type::f32 ? append_raw<float>(*raw, numbers) : append_raw<double>(*raw, numbers);
          return {};
        }
        if (store.type == Type::f64) return append_doubles(field, tensor.message, numbers);
        std::vector<float> narrow;
        if (Result<void> taken = append_floats(field, tensor.message, narrow); !taken) return taken;
        numbers.insert(numbers.end(), narrow.begin(), narrow.end());
        return {};
      });
}

Result<std::vector<std::int64_t>> ints_of(const TensorProto& tensor) {
  static constexpr std::array kTypes{Type::u8, Type::i32, Type::i64};
  return numbers_of<std::int64_t>(
      tensor, kTypes,
      [&](const Field& field, const Store& store, std::vector<std::int64_t>& numbers) -> Result<void> {
        if (field.number != kRawField) return append_ints(field, tensor.message, numbers);
        const Result<Bytes> raw = raw_of(field, tensor, store.raw_bytes, numbers.empty());
        if (!raw) return std::unexpected(raw.error());
        if (store.type == Type::u8) append_raw<std::uint8_t>(*raw, numbers);
        if (store.type == Type::i32) append_raw<std::int32_t>(*raw, numbers);
        if (store.type == Type::i64) append_raw<std::int64_t>(*raw, numbers);
        return {};
      });
}

Result<std::optional<std::int64_t>> int_attribute(const Node& node, std::string_view name) {
  std::optional<std::int64_t> number;
  const Result<void> read =
      for_attribute(node, name, 3, [&](const Field& field, const Message&) -> Result<void> {
        number = std::bit_cast<std::int64_t>(field.value);
        return {};
      });
  if (!read) return std::unexpected(read.error());
  return number;
}

Result<std::optional<float>> float_attribute(const Node& node, std::string_view name) {
  std::optional<float> number;
  const Result<void> read =
      for_attribute(node, name, 2, [&](const Field& field, const Message&) -> Result<void> {
        number = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
        return {};
      });
  if (!read) return std::unexpected(read.error());
  return number;
}

Result<std::optional<std::string_view>> text_attribute(const Node& node, std::string_view name) {
  std::optional<std::string_view> text;
  const Result<void> read =
      for_attribute(node, name, 4, [&](const Field& field, const Message&) -> Result<void> {
        text = field.text();
        return {};
      });
  if (!read) return std::unexpected(read.error());
  return text;
}

Result<std::vector<std::int64_t>> ints_attribute(const Node& node, std::string_view name) {
  std::vector<std::int64_t> numbers;
  const Result<void> read = for_attribute(
      node, name, 8, [&](const Field& field, const Message& in) { return append_ints(field, in, numbers); });
  if (!read) return std::unexpected(read.error());
  return numbers;
}

Result<std::vector<float>> floats_attribute(const Node& node, std::string_view name) {
  std::vector<float> numbers;
  const Result<void> read = for_attribute(node, name, 7, [&](const Field& field, const Message& in) {
    return append_floats(field, in, numbers);
  });
  if (!read) return std::unexpected(read.error());
  return numbers;
}

Result<std::vector<std::string_view>> texts_attribute(const Node& node, std::string_view name) {
  std::vector<std::string_view> texts;
  const Result<void> read =
      for_attribute(node, name, 9, [&](const Field& field, const Message&) -> Result<void> {
        texts.push_back(field.text());
        return {};
      });
  if (!read) return std::unexpected(read.error());
  return texts;
}

Result<std::optional<TensorProto>> tensor_attribute(const Node& node, std::string_view name) {
  std::optional<TensorProto> tensor;
  const Result<void> read =
      for_attribute(node, name, 5, [&](const Field& field, const Message& in) -> Result<void> {
        const Result<Message> message = submessage(field, in);
        if (!message) return std::unexpected(message.error());
        Result<TensorProto> found = read_tensor(*message);
        if (!found) return std::unexpected(std::move(found.error()));
        tensor = std::move(*found);
        return {};
      });
  if (!read) return std::unexpected(read.error());
  return tensor;
}

}  // namespace tutti::onnx
