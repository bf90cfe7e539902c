// A file being written: whole or not at all.
//
//   write_block()… ──▶ buffer ──64 KiB──▶ .NAME.tutti-PID-N (beside NAME) ──close()──▶ renamed to NAME
//
// A killed run leaves no half-written file under the final name, and an older file of that name stays until
// the new one is complete. What is not a regular file (standard output, a FIFO, /dev/full) is written to
// straight.
//
// Invariant: the file holds whole blocks. When a write fails (a full disk), the file is cut back to the last
// block that is whole in it, and close() still puts it in place: the rows before the failure are not lost,
// and the error says that some are missing.
//
// A pipe whose reader is gone is an error, EPIPE, provided that SIGPIPE is ignored: main() does that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "shared/error.hpp"

namespace tutti::table {

class OutputFile {
 public:
  /// "-" and "/dev/stdout" are standard output. Opening a FIFO waits for its reader.
  /// Errors: system, with the path and the reason.
  static Result<std::unique_ptr<OutputFile>> open(const std::string& path);

  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// As close(), without its report.
  ~OutputFile();

  /// Where the next block is put together; append to it, then call end_block().
  [[nodiscard]] std::string& block() noexcept { return buffer_; }
  /// Ends a block: what must be in the file wholly or not at all. Writes when enough is gathered.
  Result<void> end_block();
  /// Writes what is gathered.
  Result<void> flush();
  /// Overwrites bytes that were flushed before; only for a regular file.
  Result<void> patch(std::uint64_t offset, std::string_view bytes);
  /// Flushes, closes, renames. Returns the first failure of all; a second call returns it again.
  Result<void> close();

  /// A regular file of our own, which can be patched; else bytes leave as they come.
  [[nodiscard]] bool is_regular() const noexcept { return !temporary_.empty(); }
  /// Bytes in the file, whole blocks only.
  [[nodiscard]] std::uint64_t flushed() const noexcept { return flushed_; }

 private:
  OutputFile(int descriptor, bool owned, std::string name, std::string temporary, std::string target);
  static Result<std::unique_ptr<OutputFile>> open_beside(const std::string& path);
  Result<void> fail(std::string_view call, int error_number);

  int descriptor_;
  bool owned_;
  bool closed_ = false;
  std::string name_;       // as the user gave it, for errors
  std::string temporary_;  // "" when written to straight
  std::string target_;     // what the temporary is renamed to: the path, its symbolic links resolved
  std::string buffer_;     // whole blocks, then the block that is being put together
  std::uint64_t flushed_ = 0;
  std::optional<Error> failure_;  // the first
};

}  // namespace tutti::table
