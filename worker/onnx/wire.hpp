// Protobuf's wire format, as far as ONNX files use it.
//
//   message = fields, one after the other
//   field   = varint (number << 3 | type), then by type:
//             0 a varint │ 1 eight bytes │ 2 a varint length and so many bytes │ 5 four bytes
//
// The bytes are hostile. Every field handed out lies inside its message; nothing is copied or allocated.
// Messages nest, but a reader reads one message only: who descends is who decides how deep. A field of a type
// that protobuf has given up (groups) is an error, a field nobody asked for is the caller's to skip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti::onnx {

using Bytes = std::span<const std::byte>;

/// Bytes of a file that are one message, and where they stand in it.
struct Message {
  Bytes bytes;
  std::size_t offset = 0;  // of the first byte in the file
  std::string_view file;   // how errors name the file
};

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  Wire type = Wire::varint;
  std::uint64_t value = 0;  // varint, fixed64, fixed32
  Bytes bytes;              // of type bytes
  std::size_t offset = 0;   // of the field in the file

  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

class WireReader {
 public:
  explicit WireReader(const Message& message) : message_(message) {}

  /// The next field, or false at the end of the message.
  /// Errors: bad_model with the byte's position.
  Result<bool> next(Field& field);

 private:
  Result<std::uint64_t> varint();
  Result<std::uint64_t> fixed(std::size_t bytes);
  [[nodiscard]] std::unexpected<Error> bad(std::string_view what, std::size_t at) const;

  Message message_;
  std::size_t at_ = 0;
};

/// The message inside a field, which must be of type bytes.
Result<Message> submessage(const Field& field, const Message& parent);

/// Appends the numbers of a repeated field, one of them or a packed run: at most one for each byte of it.
Result<void> append_ints(const Field& field, const Message& parent, std::vector<std::int64_t>& numbers);
Result<void> append_floats(const Field& field, const Message& parent, std::vector<float>& numbers);
Result<void> append_doubles(const Field& field, const Message& parent, std::vector<double>& numbers);

/// "model.onnx: byte 17": an error about the bytes themselves.
std::unexpected<Error> bad_bytes(std::string_view what, std::size_t offset, std::string_view file);

}  // namespace tutti::onnx
