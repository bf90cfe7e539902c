#include "worker/onnx/wire.hpp"

#include <fmt/format.h>

#include <bit>
#include <string>

namespace tutti::onnx {
namespace {

constexpr std::uint32_t kFieldNumberMax = (1U << 29) - 1;
constexpr std::size_t kVarintBytesMax = 10;

/// Little-endian, as protobuf and ONNX have it whatever the machine.
std::uint64_t little_endian(Bytes bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t index = bytes.size(); index-- > 0;) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[index]);
  }
  return value;
}

/// A packed run of numbers of that many bytes each, or one such number.
template <class T, class Convert>
Result<void> append_fixed(const Field& field, const Message& parent, Wire single, std::size_t size,
                          std::vector<T>& numbers, Convert convert) {
  if (field.type == single) {
    numbers.push_back(convert(field.value));
    return {};
  }
  if (field.type != Wire::bytes || field.bytes.size() % size != 0) {
    return bad_bytes("a list of numbers is of another type or is cut inside one", field.offset, parent.file);
  }
  for (std::size_t at = 0; at < field.bytes.size(); at += size) {
    numbers.push_back(convert(little_endian(field.bytes.subspan(at, size))));
  }
  return {};
}

}  // namespace

std::unexpected<Error> bad_bytes(std::string_view what, std::size_t offset, std::string_view file) {
  return std::unexpected(Error{.code = Errc::bad_model,
                               .what = std::string(what),
                               .where = fmt::format("{}: byte {}", file, offset),
                               .hint = "the file is damaged, cut, or no ONNX model; export it again"});
}

std::unexpected<Error> WireReader::bad(std::string_view what, std::size_t at) const {
  return bad_bytes(what, message_.offset + at, message_.file);
}

Result<std::uint64_t> WireReader::varint() {
  const std::size_t begin = at_;
  std::uint64_t value = 0;
  for (std::size_t index = 0; index < kVarintBytesMax; ++index) {
    if (at_ == message_.bytes.size()) return bad("the message ends inside a number", begin);
    const auto byte = std::to_integer<std::uint64_t>(message_.bytes[at_++]);
    if (index == kVarintBytesMax - 1 && byte > 1) break;
    value |= (byte & 0x7f) << (7 * index);
    if ((byte & 0x80) == 0) return value;
  }
  return bad("a number has more than 64 bits", begin);
}

Result<std::uint64_t> WireReader::fixed(std::size_t bytes) {
  if (message_.bytes.size() - at_ < bytes) return bad("the message ends inside a number", at_);
  const std::uint64_t value = little_endian(message_.bytes.subspan(at_, bytes));
  at_ += bytes;
  return value;
}

Result<bool> WireReader::next(Field& field) {
  if (at_ == message_.bytes.size()) return false;
  const std::size_t begin = at_;
  const Result<std::uint64_t> key = varint();
  if (!key) return std::unexpected(key.error());
  if (*key >> 3 == 0 || *key >> 3 > kFieldNumberMax) {
    return bad(fmt::format("field number {} does not exist", *key >> 3), begin);
  }
  field = {.number = static_cast<std::uint32_t>(*key >> 3), .offset = message_.offset + begin};
  switch (*key & 7) {
    case 0:
    case 1:
    case 5: {
      field.type = static_cast<Wire>(*key & 7);
      const Result<std::uint64_t> value =
          field.type == Wire::varint ? varint() : fixed(field.type == Wire::fixed64 ? 8 : 4);
      if (!value) return std::unexpected(value.error());
      field.value = *value;
      return true;
    }
    case 2: {
      field.type = Wire::bytes;
      const Result<std::uint64_t> length = varint();
      if (!length) return std::unexpected(length.error());
      if (*length > message_.bytes.size() - at_) {
        return bad(fmt::format("field {} claims {} bytes, {} are left", field.number, *length,
                               message_.bytes.size() - at_),
                   begin);
      }
      field.bytes = message_.bytes.subspan(at_, *length);
      at_ += *length;
      return true;
    }
    default:
      return bad(fmt::format("field {} has type {}, which ONNX does not use", field.number, *key & 7), begin);
  }
}

Result<Message> submessage(const Field& field, const Message& parent) {
  if (field.type != Wire::bytes) {
    return bad_bytes(fmt::format("field {} is a number where a message or text belongs", field.number),
                     field.offset, parent.file);
  }
  const auto at = static_cast<std::size_t>(field.bytes.data() - parent.bytes.data());
  return Message{.bytes = field.bytes, .offset = parent.offset + at, .file = parent.file};
}

Result<void> append_ints(const Field& field, const Message& parent, std::vector<std::int64_t>& numbers) {
  if (field.type == Wire::varint) {
    numbers.push_back(std::bit_cast<std::int64_t>(field.value));
    return {};
  }
  const Result<Message> run = submessage(field, parent);
  if (!run) return std::unexpected(run.error());
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (std::size_t at = 0; at < run->bytes.size(); ++at) {
    const auto byte = std::to_integer<std::uint64_t>(run->bytes[at]);
    if (shift == 63 && byte > 1)
      return bad_bytes("a number has more than 64 bits", run->offset + at, run->file);
    value |= (byte & 0x7f) << shift;
    shift += 7;
    if ((byte & 0x80) != 0) continue;
    numbers.push_back(std::bit_cast<std::int64_t>(value));
    value = 0;
    shift = 0;
  }
  if (shift != 0) return bad_bytes("a list of numbers ends inside one", field.offset, parent.file);
  return {};
}

Result<void> append_floats(const Field& field, const Message& parent, std::vector<float>& numbers) {
  return append_fixed(field, parent, Wire::fixed32, sizeof(float), numbers, [](std::uint64_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  });
}

Result<void> append_doubles(const Field& field, const Message& parent, std::vector<double>& numbers) {
  return append_fixed(field, parent, Wire::fixed64, sizeof(double), numbers,
                      [](std::uint64_t bits) { return std::bit_cast<double>(bits); });
}

}  // namespace tutti::onnx
