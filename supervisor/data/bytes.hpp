// Where a table's bytes come from: a file, a pipe, or memory (tests and fuzzers).
//
//   ByteSource ──read()──▶ ByteBuffer [consumed][view: not yet consumed][free] ──view()──▶ CSV or NPY
//
// The buffer grows only while a reader keeps asking for more without consuming, so it is the reader that
// bounds it: by the longest line (CSV) or by one row (NPY).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti::table {

class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource() = default;

  /// Reads at least one byte unless at the end, where it returns 0. May wait; interruptions are resumed.
  virtual Result<std::size_t> read(std::span<char> into) = 0;
  /// True when read() would not wait: there are bytes, or the end.
  [[nodiscard]] virtual bool ready() const = 0;
  /// Bytes from the start to the end, where that is known and not 0.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const = 0;
  /// A regular file: reading it never waits for another process.
  [[nodiscard]] virtual bool is_file() const = 0;
  /// What errors call it: the path as given, or "<stdin>".
  [[nodiscard]] virtual const std::string& name() const = 0;
};

/// Opens a path for reading, "-" is standard input. A FIFO waits for its writer here.
/// Errors: system, with the path and the reason; a directory is refused.
Result<std::unique_ptr<ByteSource>> open_source(const std::string& path);

/// Bytes in memory, handed out in pieces of at most `piece` bytes.
class MemorySource final : public ByteSource {
 public:
  struct Options {
    std::string name = "memory";
    std::size_t piece = SIZE_MAX;
    bool as_file = false;  // false: a pipe, of unknown size
  };
  MemorySource(std::string bytes, Options options) : bytes_(std::move(bytes)), options_(std::move(options)) {}

  Result<std::size_t> read(std::span<char> into) override;
  [[nodiscard]] bool ready() const override { return true; }
  [[nodiscard]] std::optional<std::uint64_t> size() const override;
  [[nodiscard]] bool is_file() const override { return options_.as_file; }
  [[nodiscard]] const std::string& name() const override { return options_.name; }

 private:
  std::string bytes_;
  Options options_;
  std::size_t taken_ = 0;
};

/// A source's bytes as one growing window.
class ByteBuffer {
 public:
  /// `step` is the first capacity and the most that one more() reads.
  ByteBuffer(std::unique_ptr<ByteSource> source, std::size_t step);

  /// The bytes that are here and not consumed; valid until more().
  [[nodiscard]] std::string_view view() const noexcept { return {storage_.data() + begin_, end_ - begin_}; }
  void consume(std::size_t count);
  /// Appends at least one byte to the view; false at the end of the source.
  Result<bool> more();

  [[nodiscard]] std::uint64_t consumed() const noexcept { return consumed_; }
  [[nodiscard]] const ByteSource& source() const noexcept { return *source_; }

 private:
  void make_room();

  std::unique_ptr<ByteSource> source_;
  std::size_t step_;
  std::vector<char> storage_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t consumed_ = 0;
  bool at_end_ = false;
};

}  // namespace tutti::table
