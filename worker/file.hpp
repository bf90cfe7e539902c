// A model file's bytes, read whole and once.
//
// The path may name anything: a FIFO that never speaks, a device, a file that somebody truncates while we
// read. So it is opened without blocking, must be a regular file of a bounded size, and is copied: a mapping
// would turn a later truncation into SIGBUS. Symbolic links are followed: model stores are full of them.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "shared/error.hpp"

namespace tutti {

/// Bytes of a file, owned.
struct FileBytes {
  std::unique_ptr<std::byte[]> data;
  std::size_t size = 0;
  [[nodiscard]] std::span<const std::byte> view() const noexcept { return {data.get(), size}; }
};

/// The last part of a path: how errors name a model file.
std::string file_name(std::string_view path);

/// Reads a model file whole.
/// Errors: bad_model (not a regular file, empty, larger than kModelBytesMax, no memory for it, cut while it
/// was read), system (open, fstat or read failed).
Result<FileBytes> read_model_file(const std::string& path);

/// The first bytes of a model file, at most `bytes_max`, to recognise it by. Errors as read_model_file.
Result<FileBytes> read_model_head(const std::string& path, std::size_t bytes_max);

}  // namespace tutti
