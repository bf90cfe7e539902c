// Rows from a file: CSV or NPY in, a stream of float32 chunks out.
//
//   open_table(path, columns wanted) ──▶ TableReader ──read(chunk)──▶ features [rows][features], targets
//   [rows]
//
// Memory is bounded by the chunk and one line, however large the file. Every error names file, line and
// column
// ("rows.csv:7:3: error: ..."), where column is the byte column within the line, 1-based; in an array they
// name row and column as NumPy does, zero-based ("rows.npy[6, 2]"). Standard input is called "<stdin>".
//
// An infinite value, or one beyond float32, is an error: models refuse infinity, and missing values have a
// spelling of their own. A value too small for float32 is 0.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "shared/error.hpp"

namespace tutti {

/// What to read.
struct TableRequest {
  std::string path;            // "-" is standard input; ".npy" (or the NPY magic) is NPY, else CSV
  std::uint32_t features = 0;  // of the ensemble
  std::vector<std::string> feature_names;  // when given, CSV columns are found by header name, in any order
  std::string target;                      // "" for none: a CSV header name, or for NPY and headerless CSV a
                                           // zero-based column number ("-1" is the last)
  std::vector<std::string> classes;  // target texts that are class names become class indices; numbers are
                                     // taken as the index, unless some class name is a number: then they
                                     // are names only (1.0 is "1"); anything else is an error
};

/// A chunk's storage, owned by the caller and reused.
struct TableChunk {
  std::vector<float> features;  // f32 [rows][features]; an empty CSV field, "nan", "NaN", "NA" or "?" is NaN
  std::vector<double> targets;  // [rows] when a target was asked for; NaN where the field was empty
  std::uint32_t rows = 0;
};

class TableReader {
 public:
  TableReader() = default;
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;
  virtual ~TableReader() = default;

  /// Reads up to rows_max rows. chunk.rows == 0 at the end of the data.
  /// A pipe's rows are not held back: fewer than rows_max come when more would need waiting.
  /// After an error the reader is finished; rows before the error were delivered by earlier calls or are in
  /// `chunk` (chunk.rows says how many of this call are good).
  virtual Result<void> read(std::uint32_t rows_max, TableChunk& chunk) = 0;

  /// Rows in all where the format says so (NPY) or an estimate from the file's size (a CSV file); for
  /// progress.
  [[nodiscard]] virtual std::optional<std::uint64_t> rows_estimated() const = 0;

  /// True when the next read needs no waiting for a pipe: always for files.
  [[nodiscard]] virtual bool is_file() const = 0;
};

/// Opens a table. Errors: bad_data (missing columns with did-you-mean, wrong magic, Fortran order, big
/// endian, other dtypes than f4 f8 i4 i8 u1 b1, wrong number of columns), system (cannot be opened; says
/// why). A CSV has a header when feature names are given, or when any field of its first line is not a
/// number. RFC 4180 with these liberties: CRLF or LF, a UTF-8 BOM, quoted fields (also with line breaks
/// inside), spaces round numbers, a missing last line break, blank lines skipped. A NUL byte is an error.
Result<std::unique_ptr<TableReader>> open_table(const TableRequest& request);

}  // namespace tutti
