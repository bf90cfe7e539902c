// An NPY table: one C-order array, read through the buffer row by row.
//
// The header's row count is a promise that is never allocated for. Where the source knows its size the
// promise is held against it before the first row; on a pipe, when the bytes end.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "supervisor/data/npy_header.hpp"
#include "supervisor/data/quote.hpp"
#include "supervisor/data/readers.hpp"
#include "supervisor/data/target.hpp"

namespace tutti::table {
namespace {

static_assert(std::endian::native == std::endian::little, "array elements are copied as they stand");

constexpr std::uint32_t kNoColumn = UINT32_MAX;

/// What the header and the request agree on.
struct Layout {
  NpyType type = NpyType::f4;
  std::uint64_t rows = 0;
  std::uint32_t columns = 0;
  std::uint32_t target = kNoColumn;

  [[nodiscard]] std::size_t row_bytes() const noexcept { return columns * bytes_of(type); }
};

class NpyTable final : public TableReader {
 public:
  NpyTable(ByteBuffer buffer, Layout layout, const TableRequest& request)
      : buffer_(std::move(buffer)),
        layout_(layout),
        features_(request.features),
        target_rule_(request.classes) {}

  Result<void> read(std::uint32_t rows_max, TableChunk& chunk) override;
  [[nodiscard]] std::optional<std::uint64_t> rows_estimated() const override { return layout_.rows; }
  [[nodiscard]] bool is_file() const override { return buffer_.source().is_file(); }

 private:
  Result<std::uint64_t> wait_for_rows();
  Result<void> read_row(const char* bytes, float* row, double* target) const;
  template <class T>
  Result<void> convert(const char* bytes, float* row, double* target) const;
  Result<void> expect_end();
  [[nodiscard]] std::string place_of(std::uint32_t column) const {
    return fmt::format("{}[{}, {}]", buffer_.source().name(), rows_, column);
  }

  ByteBuffer buffer_;
  Layout layout_;
  std::uint32_t features_;
  TargetRule target_rule_;
  std::uint64_t rows_ = 0;  // read so far
  bool finished_ = false;
};

std::unexpected<Error> bad_npy(std::string what, std::string where, std::string hint) {
  return std::unexpected(Error{
      .code = Errc::bad_data, .what = std::move(what), .where = std::move(where), .hint = std::move(hint)});
}

std::unexpected<Error> truncated(const Layout& layout, std::uint64_t found, const std::string& name) {
  return bad_npy(fmt::format("the header promises {} rows, the file has {}", layout.rows, found), name,
                 "the file is cut off; write it again");
}

Result<void> NpyTable::read(std::uint32_t rows_max, TableChunk& chunk) {
  chunk.rows = 0;
  Result<void> result;
  while (result && !finished_ && chunk.rows < rows_max) {
    // On a pipe, rows that are here are not held back for rows that may come.
    const bool here = buffer_.view().size() >= layout_.row_bytes();
    if (!here && chunk.rows > 0 && !buffer_.source().ready()) break;
    const Result<std::uint64_t> available = wait_for_rows();
    if (!available) {
      result = std::unexpected(available.error());
      break;
    }
    const auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(*available, rows_max - chunk.rows));
    chunk.features.resize(std::max(chunk.features.size(), (std::size_t{chunk.rows} + count) * features_));
    if (layout_.target != kNoColumn) {
      chunk.targets.resize(std::max(chunk.targets.size(), std::size_t{chunk.rows} + count));
    }
    for (std::uint32_t index = 0; result && index < count; ++index) {
      float* const row = chunk.features.data() + std::size_t{chunk.rows} * features_;
      double* const target = layout_.target == kNoColumn ? nullptr : chunk.targets.data() + chunk.rows;
      result = read_row(buffer_.view().data(), row, target);
      if (!result) break;
      buffer_.consume(layout_.row_bytes());
      ++chunk.rows;
      ++rows_;
    }
    if (result && rows_ == layout_.rows) {
      finished_ = true;
      result = expect_end();
    }
  }
  finished_ = finished_ || !result;
  chunk.features.resize(std::size_t{chunk.rows} * features_);
  chunk.targets.resize(layout_.target == kNoColumn ? 0 : chunk.rows);
  return result;
}

/// Rows that stand whole in the buffer, at least one and none beyond the promised.
Result<std::uint64_t> NpyTable::wait_for_rows() {
  while (buffer_.view().size() < layout_.row_bytes()) {
    const Result<bool> more = buffer_.more();
    if (!more) return std::unexpected(more.error());
    if (!*more) return truncated(layout_, rows_, buffer_.source().name());
  }
  return std::min<std::uint64_t>(buffer_.view().size() / layout_.row_bytes(), layout_.rows - rows_);
}

Result<void> NpyTable::expect_end() {
  if (buffer_.view().empty()) {
    const Result<bool> more = buffer_.more();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
  }
  return bad_npy(fmt::format("bytes follow the array's {} rows", layout_.rows), buffer_.source().name(),
                 "save one array to one file");
}

Result<void> NpyTable::read_row(const char* bytes, float* row, double* target) const {
  switch (layout_.type) {
    case NpyType::f4:
      return convert<float>(bytes, row, target);
    case NpyType::f8:
      return convert<double>(bytes, row, target);
    case NpyType::i4:
      return convert<std::int32_t>(bytes, row, target);
    case NpyType::i8:
      return convert<std::int64_t>(bytes, row, target);
    case NpyType::u1:
    case NpyType::b1:
      return convert<std::uint8_t>(bytes, row, target);
  }
  return {};
}

template <class T>
Result<void> NpyTable::convert(const char* bytes, float* row, double* target) const {
  for (std::uint32_t column = 0; column < layout_.columns; ++column) {
    T value;
    std::memcpy(&value, bytes + column * sizeof(T), sizeof(T));
    if (layout_.type == NpyType::b1) value = value != T{};
    if (column == layout_.target) {
      const auto number = static_cast<double>(value);
      const std::optional<double> known = std::isnan(number) ? number : target_rule_.of_number(number);
      if (!known) return std::unexpected(target_rule_.refuse(fmt::format("{}", number), place_of(column)));
      *target = *known;
      continue;
    }
    const auto number = static_cast<float>(value);
    if (std::isinf(number)) {
      return bad_npy(fmt::format("{} is not a finite float32", static_cast<double>(value)), place_of(column),
                     "use NaN for a missing value, or scale the column");
    }
    *row++ = number;
  }
  return {};
}

/// Reads up to and with the header. The length that the file gives is checked before it is waited for.
Result<NpyHeader> read_header(ByteBuffer& buffer) {
  const std::string& name = buffer.source().name();
  const auto need = [&](std::size_t bytes) -> Result<void> {
    while (buffer.view().size() < bytes) {
      const Result<bool> more = buffer.more();
      if (!more) return std::unexpected(more.error());
      if (!*more)
        return bad_npy("the file ends within its header", name, "the file is cut off; write it again");
    }
    return {};
  };
  constexpr std::size_t kVersionEnd = kNpyMagic.size() + 2;
  if (const Result<void> here = need(kVersionEnd); !here) return std::unexpected(here.error());
  const unsigned major = static_cast<unsigned char>(buffer.view()[kVersionEnd - 2]);
  const unsigned minor = static_cast<unsigned char>(buffer.view()[kVersionEnd - 1]);
  if (major < 1 || major > 3 || minor != 0) {
    return bad_npy(fmt::format("NPY version {}.{} is unknown", major, minor), name,
                   "versions 1.0, 2.0 and 3.0 are read");
  }
  const std::size_t start = kVersionEnd + (major == 1 ? 2 : 4);
  if (const Result<void> here = need(start); !here) return std::unexpected(here.error());
  std::size_t length = 0;
  for (std::size_t at = start; at > kVersionEnd; --at) {
    length = length << 8 | static_cast<unsigned char>(buffer.view()[at - 1]);
  }
  if (length > kNpyHeaderBytesMax) {
    return bad_npy(fmt::format("the header is {} bytes long, {} is the limit", length, kNpyHeaderBytesMax),
                   name, "write the file with numpy.save");
  }
  if (const Result<void> here = need(start + length); !here) return std::unexpected(here.error());
  Result<NpyHeader> header = parse_npy_header(buffer.view().substr(start, length), name);
  buffer.consume(start + length);
  return header;
}

std::string shape_text(const std::vector<std::uint64_t>& shape) {
  return shape.size() == 2 ? fmt::format("{}, {}", shape[0], shape[1]) : fmt::format("{}", shape[0]);
}

Result<Layout> lay_out(const NpyHeader& header, const TableRequest& request, const std::string& name) {
  const bool has_target = !request.target.empty();
  const std::uint64_t columns = header.shape.size() == 2 ? header.shape[1] : 1;
  const std::uint64_t wanted = std::uint64_t{request.features} + (has_target ? 1 : 0);
  if (columns != wanted) {
    return bad_npy(fmt::format("the array has shape [{}], expected {} column{}: {} feature{}{}",
                               shape_text(header.shape), wanted, wanted == 1 ? "" : "s", request.features,
                               request.features == 1 ? "" : "s", has_target ? " and the target" : ""),
                   name, "rows are the first dimension, columns the second");
  }
  if (header.shape[0] == 0) return bad_npy("the array has no rows", name, "give it at least one row");
  Layout layout{.type = header.type, .rows = header.shape[0], .columns = static_cast<std::uint32_t>(columns)};
  if (has_target) {
    const std::optional<std::uint32_t> target = read_column_number(request.target, columns);
    if (!target) {
      return bad_npy(
          fmt::format("the target {} is not one of the array's {} columns", quote(request.target), columns),
          name, "an array has no column names: give a column number (0 is the first, -1 the last)");
    }
    layout.target = *target;
  }
  return layout;
}

/// Holds the promised rows against a file's size.
Result<void> check_size(const Layout& layout, const ByteBuffer& buffer) {
  const std::optional<std::uint64_t> size = buffer.source().size();
  if (!size) return {};
  const std::string& name = buffer.source().name();
  const std::uint64_t bytes = *size - std::min(buffer.consumed(), *size);
  const std::uint64_t found = bytes / layout.row_bytes();
  if (found < layout.rows) return truncated(layout, found, name);
  if (bytes == layout.rows * layout.row_bytes()) return {};
  return bad_npy(fmt::format("{} bytes follow the array's {} rows", bytes - layout.rows * layout.row_bytes(),
                             layout.rows),
                 name, "save one array to one file");
}

}  // namespace

Result<std::unique_ptr<TableReader>> open_npy(ByteBuffer buffer, const TableRequest& request) {
  const Result<NpyHeader> header = read_header(buffer);
  if (!header) return std::unexpected(header.error());
  const Result<Layout> layout = lay_out(*header, request, buffer.source().name());
  if (!layout) return std::unexpected(layout.error());
  const Result<void> size = check_size(*layout, buffer);
  if (!size) return std::unexpected(size.error());
  return std::make_unique<NpyTable>(std::move(buffer), *layout, request);
}

}  // namespace tutti::table
