// A CSV table: records to rows of float32.
//
//   record ──plain way──▶ row     unquoted fields, every wanted one a number, missing or a known target
//      └─────slow way───▶ row     anything else: quotes, and every error with its place
//
// The plain way reads a number where it stands, without looking for the field's end first, and never reports:
// what it cannot read it leaves to the slow way, which reads the record again from the start. Both read
// numbers by the same functions, so a row doesn't depend on the way it took.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "supervisor/data/columns.hpp"
#include "supervisor/data/csv_record.hpp"
#include "supervisor/data/number.hpp"
#include "supervisor/data/quote.hpp"
#include "supervisor/data/readers.hpp"
#include "supervisor/data/target.hpp"

namespace tutti::table {
namespace {

class CsvTable final : public TableReader {
 public:
  CsvTable(CsvRecords records, const TableRequest& request)
      : records_(std::move(records)),
        features_(request.features),
        has_target_(!request.target.empty()),
        target_rule_(request.classes) {}

  /// Reads the first line and decides which column goes where.
  Result<void> start(const TableRequest& request);

  Result<void> read(std::uint32_t rows_max, TableChunk& chunk) override;
  [[nodiscard]] std::optional<std::uint64_t> rows_estimated() const override;
  [[nodiscard]] bool is_file() const override { return records_.source().is_file(); }

 private:
  [[nodiscard]] const std::string& name() const { return records_.source().name(); }
  [[nodiscard]] bool is_data(const CsvField& field) const;
  bool read_plain(std::string_view text, float* row, double* target) const;
  Result<void> read_slow(const CsvRecord& record, float* row, double* target);
  Result<void> read_field(const CsvRecord& record, const CsvField& field, std::int32_t destination,
                          float* row, double* target) const;
  [[nodiscard]] Error wrong_count(const CsvRecord& record, std::size_t count) const;

  CsvRecords records_;
  std::uint32_t features_;
  bool has_target_;
  TargetRule target_rule_;
  ColumnPlan plan_;
  std::vector<CsvField> fields_;
  bool record_held_ = false;  // a headerless file's first line, not read as a row yet
  bool finished_ = false;
  std::uint64_t rows_ = 0;
  std::uint64_t data_start_ = 0;  // bytes before the first row
};

Error too_many_fields(std::string where) {
  return {.code = Errc::bad_data,
          .what = fmt::format("the line has more than {} fields", kCsvFieldsMax),
          .where = std::move(where),
          .hint = "is this a CSV file?"};
}

Error no_rows(std::string where) {
  return {.code = Errc::bad_data,
          .what = "no rows follow the header",
          .where = std::move(where),
          .hint = "give the file at least one row"};
}

Result<void> CsvTable::start(const TableRequest& request) {
  const Result<CsvRecords::Step> step = records_.next(true);
  if (!step) return std::unexpected(step.error());
  if (*step == CsvRecords::Step::end) {
    return std::unexpected(Error{.code = Errc::bad_data,
                                 .what = "the file is empty",
                                 .where = name(),
                                 .hint = "give it a header line and at least one row"});
  }
  const CsvRecord& record = records_.record();
  const Result<std::size_t> count = split_fields(name(), record, kCsvFieldsMax, fields_);
  if (!count) return std::unexpected(count.error());
  if (*count > kCsvFieldsMax) return std::unexpected(too_many_fields(place_of(name(), record, 0)));

  const bool has_header =
      !request.feature_names.empty() ||
      !std::ranges::all_of(fields_, [&](const CsvField& field) { return is_data(field); });
  std::vector<std::string> header;
  std::vector<std::string> places;
  for (const CsvField& field : fields_) {
    if (has_header) header.push_back(plain_text(field));
    if (has_header) places.push_back(place_of(name(), record, field.offset));
  }
  Result<ColumnPlan> plan = has_header
                                ? plan_by_names(header, places, request)
                                : plan_by_position(fields_.size(), place_of(name(), record, 0), request);
  if (!plan) return std::unexpected(std::move(plan.error()));
  plan_ = std::move(*plan);
  record_held_ = !has_header;
  data_start_ = has_header ? records_.consumed() : 0;
  return {};
}

/// Whether a first line's field can be a row's: a number of any kind, missing, or the target's class.
bool CsvTable::is_data(const CsvField& field) const {
  return read_number<double>(field.text).kind != NumberKind::not_a_number ||
         (has_target_ && target_rule_.is_name(plain_text(field)));
}

Result<void> CsvTable::read(std::uint32_t rows_max, TableChunk& chunk) {
  chunk.rows = 0;
  Result<void> result;
  while (!finished_ && chunk.rows < rows_max) {
    if (!std::exchange(record_held_, false)) {
      // On a pipe, rows that are here are not held back for rows that may come.
      const Result<CsvRecords::Step> step = records_.next(chunk.rows == 0);
      if (step && *step == CsvRecords::Step::waiting) break;
      if (!step || *step == CsvRecords::Step::end) {
        finished_ = true;
        if (!step)
          result = std::unexpected(step.error());
        else if (rows_ == 0)
          result = std::unexpected(no_rows(name()));
        break;
      }
    }
    // Storage grows with the rows that came, not with rows_max.
    const std::size_t needed = (std::size_t{chunk.rows} + 1) * features_;
    if (chunk.features.size() < needed) chunk.features.resize(std::max(needed, chunk.features.size() * 2));
    if (has_target_ && chunk.targets.size() <= chunk.rows)
      chunk.targets.resize(std::size_t{chunk.rows} * 2 + 1);
    float* const row = chunk.features.data() + std::size_t{chunk.rows} * features_;
    double* const target = has_target_ ? chunk.targets.data() + chunk.rows : nullptr;
    const CsvRecord& record = records_.record();
    if (record.has_quotes || !read_plain(record.text, row, target)) {
      result = read_slow(record, row, target);
      if (!result) {
        finished_ = true;
        break;
      }
    }
    ++chunk.rows;
    ++rows_;
  }
  chunk.features.resize(std::size_t{chunk.rows} * features_);
  chunk.targets.resize(has_target_ ? chunk.rows : 0);
  return result;
}

/// False when the record needs the slow way; the row may then be half written.
bool CsvTable::read_plain(std::string_view text, float* row, double* target) const {
  const char* at = text.data();
  const char* const end = at + text.size();
  const std::size_t columns = plan_.size();
  for (std::size_t column = 0; column < columns; ++column) {
    const std::int32_t destination = plan_[column];
    const char* stop = nullptr;
    if (destination >= 0) {
      stop = read_short_decimal(at, end, row[destination]);
      if (stop != nullptr && stop != end && *stop != ',') stop = nullptr;
    }
    if (stop == nullptr) {
      stop = at == end ? nullptr
                       : static_cast<const char*>(std::memchr(at, ',', static_cast<std::size_t>(end - at)));
      if (stop == nullptr) stop = end;
      const std::string_view field(at, static_cast<std::size_t>(stop - at));
      if (destination >= 0) {
        const Number<float> number = read_number<float>(field);
        if (number.kind != NumberKind::number && number.kind != NumberKind::missing) return false;
        row[destination] = number.value;
      } else if (destination == kTargetColumn) {
        const std::optional<double> value = target_rule_.of_text(trim(field));
        if (!value) return false;
        *target = *value;
      }
    }
    if (stop == end) return column + 1 == columns;
    at = stop + 1;
  }
  return false;
}

Result<void> CsvTable::read_slow(const CsvRecord& record, float* row, double* target) {
  const Result<std::size_t> count = split_fields(name(), record, plan_.size() + 1, fields_);
  if (!count) return std::unexpected(count.error());
  if (*count != plan_.size()) return std::unexpected(wrong_count(record, *count));
  for (std::size_t column = 0; column < plan_.size(); ++column) {
    const Result<void> read = read_field(record, fields_[column], plan_[column], row, target);
    if (!read) return std::unexpected(read.error());
  }
  return {};
}

Result<void> CsvTable::read_field(const CsvRecord& record, const CsvField& field, std::int32_t destination,
                                  float* row, double* target) const {
  if (destination == kIgnoredColumn) return {};
  const std::string text = plain_text(field);
  if (destination == kTargetColumn) {
    const std::optional<double> value = target_rule_.of_text(text);
    if (!value) return std::unexpected(target_rule_.refuse(text, place_of(name(), record, field.offset)));
    *target = *value;
    return {};
  }
  const Number<float> number = read_number<float>(text);
  row[destination] = number.value;
  Error error{.code = Errc::bad_data, .what = {}, .where = {}, .hint = {}};
  switch (number.kind) {
    case NumberKind::number:
    case NumberKind::missing:
      return {};
    case NumberKind::infinite:
      error.what = fmt::format("{} is not a finite number", quote(text));
      error.hint = "use an empty field for a missing value";
      break;
    case NumberKind::too_large:
      error.what = fmt::format("{} is beyond float32, whose largest value is 3.4e38", quote(text));
      error.hint = "use an empty field for a missing value, or scale the column";
      break;
    case NumberKind::not_a_number:
      error.what = fmt::format("{} is not a number", quote(text));
      error.hint = "a missing value is an empty field, 'nan', 'NaN', 'NA' or '?'";
      break;
  }
  error.where = place_of(name(), record, field.offset);
  return std::unexpected(std::move(error));
}

/// A ragged row: the place is the first field too many, or the row's end.
Error CsvTable::wrong_count(const CsvRecord& record, std::size_t count) const {
  const std::size_t offset = count > plan_.size() ? fields_.back().offset : record.text.size();
  return {
      .code = Errc::bad_data,
      .what = fmt::format("the row has {} field{}, expected {}", count, count == 1 ? "" : "s", plan_.size()),
      .where = place_of(name(), record, offset),
      .hint = count > plan_.size() ? "a text with a comma in it needs quotes"
                                   : "a missing value still needs its comma"};
}

/// From the share of the bytes that the rows so far took; before the first, from the lines that are here.
std::optional<std::uint64_t> CsvTable::rows_estimated() const {
  const std::optional<std::uint64_t> size = records_.source().size();
  if (!size || *size < data_start_) return std::nullopt;
  const double all = static_cast<double>(*size - data_start_);
  if (rows_ > 0) {
    const double taken = static_cast<double>(std::max<std::uint64_t>(records_.consumed() - data_start_, 1));
    return std::max(rows_,
                    static_cast<std::uint64_t>(std::llround(all / taken * static_cast<double>(rows_))));
  }
  const std::string_view ahead = records_.ahead();
  const auto lines = static_cast<double>(std::ranges::count(ahead, '\n'));
  const double held = record_held_ ? 1 : 0;
  if (lines == 0) return static_cast<std::uint64_t>(held + 1);
  const double line_bytes = static_cast<double>(ahead.rfind('\n') + 1) / lines;
  return static_cast<std::uint64_t>(std::llround(all / line_bytes));
}

}  // namespace

Result<std::unique_ptr<TableReader>> open_csv(ByteBuffer buffer, const TableRequest& request,
                                              const ReadOptions& options) {
  auto table = std::make_unique<CsvTable>(CsvRecords(std::move(buffer), options.line_bytes_max), request);
  const Result<void> started = table->start(request);
  if (!started) return std::unexpected(started.error());
  return table;
}

}  // namespace tutti::table
