// A file being written: whole or not at all.
//
//   block(), end_block()… ──▶ buffer ──64 KiB──▶ a file without a name (O_TMPFILE) ──close()──▶ NAME
//
// A killed run leaves nothing at all, and an older file of that name stays until the new one is complete. A
// file system without O_TMPFILE gets a named file beside NAME instead (.NAME.tutti-PID-N), which a killed run
// leaves. What is not a regular file (standard output, a FIFO, /dev/full) is written to straight.
//
// Invariant: the file holds whole blocks. When a write fails (a full disk), the file is cut back to the last
// block that is whole in it, and close() still keeps it: the rows before the failure are not lost, and the
// error says that some are missing. What is not complete never takes the place of an older file: it is kept
// as NAME.partial then.
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
#include "supervisor/data/sink.hpp"

namespace tutti::table {

class OutputFile {
 public:
  /// "-" and "/dev/stdout" are standard output. Opening a FIFO waits for its reader.
  /// With Naming::at_once a file gets a name beside its place from the start, whatever the file system.
  /// Errors: system, with the path and the reason.
  enum class Naming : std::uint8_t { at_close, at_once };
  static Result<std::unique_ptr<OutputFile>> open(const std::string& path, Naming naming = Naming::at_close);

  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// As close(Ending::cut_short), without its report.
  ~OutputFile();

  /// Where the next block is put together; append to it, then call end_block().
  [[nodiscard]] std::string& block() noexcept { return buffer_; }
  /// Ends a block: what must be in the file wholly or not at all. Writes when enough is gathered.
  Result<void> end_block();
  /// Writes what is gathered.
  Result<void> flush();
  /// Overwrites bytes that were flushed before; only for a regular file.
  Result<void> patch(std::uint64_t offset, std::string_view bytes);
  /// Flushes, closes, and puts the file in its place. Returns the first failure of all; a second call returns
  /// it again.
  Result<void> close(Ending ending);
  /// After close(): the path of what was kept; "" when nothing was.
  [[nodiscard]] const std::string& kept_in() const noexcept { return kept_in_; }

  /// A regular file of our own, which can be patched; else bytes leave as they come.
  [[nodiscard]] bool is_regular() const noexcept { return !target_.empty(); }
  /// Bytes in the file, whole blocks only.
  [[nodiscard]] std::uint64_t flushed() const noexcept { return flushed_; }

 private:
  OutputFile(int descriptor, bool owned, std::string name, std::string temporary, std::string target);
  static Result<std::unique_ptr<OutputFile>> open_regular(const std::string& path, Naming naming);
  Result<void> fail(std::string_view call, int error_number);
  void close_descriptor();
  void settle(Ending ending);
  int put(const std::string& place);

  int descriptor_;
  bool owned_;
  bool closed_ = false;
  std::string name_;       // as the user gave it, for errors
  std::string temporary_;  // the name until close(); "" without one
  std::string target_;     // the name from close() on: the path, its symbolic links resolved; "" of a stream
  std::string kept_in_;
  std::string buffer_;  // whole blocks, then the block that is being put together
  std::uint64_t blocks_ = 0;
  std::uint64_t flushed_ = 0;
  std::optional<Error> failure_;  // the first
};

}  // namespace tutti::table
