// Bytes to CSV records, and a record to its fields (RFC 4180; table.hpp names the liberties).
//
//   …\n1,"a\nb",3\r\n…  ──CsvRecords──▶  1,"a\nb",3  ──split_fields──▶  1 | a\nb | 3
//
// A record ends at the first line break that has an even number of quotes before it: a quoted field opens and
// closes, and a doubled quote counts twice. In a record with a quote out of place that rule may find a later
// end, but such a record is an error anyway, at the place of the first quote that is wrong.
// Each byte is looked at once however small the pieces it comes in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"
#include "shared/limits.hpp"
#include "supervisor/data/bytes.hpp"

namespace tutti::table {

/// Fields that a line may have: features, and as many columns that nobody asks for.
inline constexpr std::size_t kCsvFieldsMax = 2 * std::size_t{kFeaturesMax};

struct CsvRecord {
  std::string_view text;   // without its line break; valid until the next call of next()
  std::uint64_t line = 0;  // of its first byte, from 1
  bool has_quotes = false;
};

struct CsvField {
  std::string_view text;   // inside the quotes, doubled quotes as they stand; or trimmed
  std::size_t offset = 0;  // of its first byte in the record
  bool quoted = false;
};

/// A field's text with its doubled quotes made single.
std::string plain_text(const CsvField& field);

/// "rows.csv:7:3", from an offset in a record that may span lines.
std::string place_of(const std::string& name, const CsvRecord& record, std::size_t offset);

/// Splits a record; keeps at most `keep` fields and returns how many there are.
/// Errors: bad_data (a quote inside an unquoted field, text after a closing quote, a quote never closed).
Result<std::size_t> split_fields(const std::string& name, const CsvRecord& record, std::size_t keep,
                                 std::vector<CsvField>& fields);

class CsvRecords {
 public:
  enum class Step : std::uint8_t { record, end, waiting };

  CsvRecords(ByteBuffer buffer, std::size_t line_bytes_max);

  /// Steps to the next record that is not blank; record() is it. `waiting`, only when may_wait is false: more
  /// bytes are needed and the source has none now.
  /// Errors: bad_data (a record too long, a NUL byte, a quote never closed), or the source's.
  Result<Step> next(bool may_wait);
  [[nodiscard]] const CsvRecord& record() const noexcept { return record_; }

  /// Bytes before the first that no record has taken yet.
  [[nodiscard]] std::uint64_t consumed() const noexcept { return buffer_.consumed() + taken_; }
  /// The bytes that are here and that no record has taken yet.
  [[nodiscard]] std::string_view ahead() const noexcept { return buffer_.view().substr(taken_); }
  [[nodiscard]] const ByteSource& source() const noexcept { return buffer_.source(); }

 private:
  bool find_end(std::string_view view) noexcept;
  Result<Step> take(std::string_view text, std::size_t bytes);
  Error too_long(std::string_view view) const;
  Result<void> skip_byte_order_mark();

  ByteBuffer buffer_;
  std::size_t line_bytes_max_;
  CsvRecord record_;
  std::size_t taken_ = 0;        // bytes of the view that record_ occupies
  std::uint64_t next_line_ = 1;  // of the first byte not taken
  bool started_ = false;
  // The search for the end of the record that begins at the view's start; kept while bytes come.
  std::size_t searched_ = 0;  // bytes looked at
  std::uint64_t breaks_ = 0;  // line breaks inside quotes
  bool inside_quotes_ = false;
  bool has_quotes_ = false;
};

}  // namespace tutti::table
