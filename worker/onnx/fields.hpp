// What every reader of a message does: go through its fields, take texts, say what is wrong.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "worker/onnx/wire.hpp"

namespace tutti::onnx {

inline constexpr std::string_view kExportAgain = "the file is damaged or was edited; export the model again";

inline std::unexpected<Error> bad_message(const Message& message, std::string what,
                                          std::string_view hint = kExportAgain) {
  return std::unexpected(Error{.code = Errc::bad_model,
                               .what = std::move(what),
                               .where = fmt::format("{}: byte {}", message.file, message.offset),
                               .hint = std::string(hint)});
}

/// Calls `take(field)` for every field of a message.
template <class Take>
Result<void> for_each_field(const Message& message, Take take) {
  WireReader reader(message);
  Field field;
  while (true) {
    const Result<bool> more = reader.next(field);
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    if (Result<void> taken = take(field); !taken) return taken;
  }
}

inline Result<void> take_text(const Field& field, const Message& message, std::string_view& text) {
  if (const Result<Message> inner = submessage(field, message); !inner) return std::unexpected(inner.error());
  text = field.text();
  return {};
}

}  // namespace tutti::onnx
