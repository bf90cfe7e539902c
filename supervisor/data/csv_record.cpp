#include "supervisor/data/csv_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "supervisor/data/number.hpp"

namespace tutti::table {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_carriage_return(std::string_view text) noexcept {
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

/// Where the quoted text that starts at `from` ends: its closing quote, or npos.
std::size_t find_closing_quote(std::string_view text, std::size_t from) noexcept {
  for (;;) {
    const std::size_t quote = text.find('"', from);
    if (quote == std::string_view::npos) return quote;
    if (quote + 1 == text.size() || text[quote + 1] != '"') return quote;
    from = quote + 2;
  }
}

std::unexpected<Error> bad_quote(const std::string& name, const CsvRecord& record, std::size_t offset,
                                 std::string what, std::string hint) {
  return std::unexpected(Error{.code = Errc::bad_data,
                               .what = std::move(what),
                               .where = place_of(name, record, offset),
                               .hint = std::move(hint)});
}

/// Reads the field that begins at `at` and returns where it ends: a comma, or the record's end.
Result<std::size_t> read_field(const std::string& name, const CsvRecord& record, std::size_t at,
                               CsvField& field) {
  const std::string_view text = record.text;
  const std::size_t first = std::min(text.find_first_not_of(" \t", at), text.size());
  if (first == text.size() || text[first] != '"') {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::size_t quote = text.substr(0, end).find('"', at);
    if (quote != std::string_view::npos) {
      return bad_quote(name, record, quote, "a quote stands inside an unquoted field",
                       "put the whole field in quotes and double the quotes inside it");
    }
    field = {.text = trim(text.substr(at, end - at)), .offset = std::min(first, end), .quoted = false};
    return end;
  }
  const std::size_t close = find_closing_quote(text, first + 1);
  if (close == std::string_view::npos) {
    return bad_quote(name, record, first, "the quote that opens here is never closed",
                     "close it, or double it if it is part of the text");
  }
  field = {.text = text.substr(first + 1, close - first - 1), .offset = first, .quoted = true};
  const std::size_t end = std::min(text.find_first_not_of(" \t", close + 1), text.size());
  if (end != text.size() && text[end] != ',') {
    return bad_quote(name, record, end, "text follows a closing quote",
                     "double the quotes that are part of a quoted field's text");
  }
  return end;
}

}  // namespace

std::string plain_text(const CsvField& field) {
  if (!field.quoted) return std::string(field.text);
  std::string text;
  text.reserve(field.text.size());
  for (std::size_t at = 0; at < field.text.size(); ++at) {
    text += field.text[at];
    if (field.text[at] == '"') ++at;
  }
  return text;
}

std::string place_of(const std::string& name, const CsvRecord& record, std::size_t offset) {
  const std::string_view before = record.text.substr(0, offset);
  const auto breaks = static_cast<std::uint64_t>(std::ranges::count(before, '\n'));
  const std::size_t line_start = breaks == 0 ? 0 : before.rfind('\n') + 1;
  return fmt::format("{}:{}:{}", name, record.line + breaks, offset - line_start + 1);
}

Result<std::size_t> split_fields(const std::string& name, const CsvRecord& record, std::size_t keep,
                                 std::vector<CsvField>& fields) {
  fields.clear();
  CsvField field;
  std::size_t count = 0;
  for (std::size_t at = 0;; ++at) {
    const Result<std::size_t> end = read_field(name, record, at, field);
    if (!end) return std::unexpected(end.error());
    if (count++ < keep) fields.push_back(field);
    if (*end == record.text.size()) return count;
    at = *end;
  }
}

CsvRecords::CsvRecords(ByteBuffer buffer, std::size_t line_bytes_max)
    : buffer_(std::move(buffer)), line_bytes_max_(line_bytes_max) {}

Result<CsvRecords::Step> CsvRecords::next(bool may_wait) {
  buffer_.consume(std::exchange(taken_, 0));
  if (!started_) {
    const Result<void> skipped = skip_byte_order_mark();
    if (!skipped) return std::unexpected(skipped.error());
  }
  for (;;) {
    const std::string_view view = buffer_.view();
    if (find_end(view)) {
      const Result<Step> step = take(without_carriage_return(view.substr(0, searched_)), searched_ + 1);
      if (!step || *step == Step::record) return step;
      continue;
    }
    // One byte more may be the carriage return of a line that just fits.
    if (view.size() > line_bytes_max_ + 1) return std::unexpected(too_long(view));
    if (!may_wait && !buffer_.source().ready()) return Step::waiting;
    const Result<bool> more = buffer_.more();
    if (!more) return std::unexpected(more.error());
    if (!*more) {
      const std::string_view rest = buffer_.view();
      return rest.empty() ? Step::end : take(without_carriage_return(rest), rest.size());
    }
  }
}

/// Looks on for the end of the record at the view's start; when found, searched_ is the place of its line
/// break.
bool CsvRecords::find_end(std::string_view view) noexcept {
  while (searched_ < view.size()) {
    const std::size_t line_break = std::min(view.find('\n', searched_), view.size());
    const std::string_view part = view.substr(searched_, line_break - searched_);
    for (std::size_t quote = part.find('"'); quote != std::string_view::npos;
         quote = part.find('"', quote + 1)) {
      inside_quotes_ = !inside_quotes_;
      has_quotes_ = true;
    }
    searched_ = line_break;
    if (line_break == view.size()) return false;
    if (!inside_quotes_) return true;
    ++breaks_;
    ++searched_;
  }
  return false;
}

/// Makes the view's first `bytes` the record. Returns Step::end when it is blank, which is skipped.
Result<CsvRecords::Step> CsvRecords::take(std::string_view text, std::size_t bytes) {
  if (text.size() > line_bytes_max_) return std::unexpected(too_long(text));
  record_ = {.text = text, .line = next_line_, .has_quotes = has_quotes_};
  next_line_ += breaks_ + 1;
  const bool unclosed = inside_quotes_;
  searched_ = 0;
  breaks_ = 0;
  inside_quotes_ = has_quotes_ = false;
  const std::string& name = buffer_.source().name();
  const std::size_t zero = text.find('\0');
  if (zero != std::string_view::npos) {
    return std::unexpected(Error{.code = Errc::bad_data,
                                 .what = "a NUL byte stands in the text",
                                 .where = place_of(name, record_, zero),
                                 .hint = "CSV is read as UTF-8 text; is this another format, or UTF-16?"});
  }
  if (unclosed) {
    std::vector<CsvField> fields;
    const Result<std::size_t> split = split_fields(name, record_, 0, fields);
    assert(!split && "an odd number of quotes is always an error");
    return std::unexpected(split.error());
  }
  if (trim(text).empty()) {
    buffer_.consume(bytes);
    return Step::end;
  }
  taken_ = bytes;
  return Step::record;
}

Error CsvRecords::too_long(std::string_view view) const {
  // Only as much as the limit is looked at, so that the message doesn't depend on how the bytes came.
  const CsvRecord start{.text = view.substr(0, line_bytes_max_), .line = next_line_, .has_quotes = true};
  const std::string& name = buffer_.source().name();
  std::vector<CsvField> fields;
  const Result<std::size_t> split = split_fields(name, start, 0, fields);
  return {.code = Errc::bad_data,
          .what = fmt::format("a line is longer than {} bytes", line_bytes_max_),
          .where = split ? place_of(name, start, 0) : split.error().where,
          .hint = split ? "rows end with a line break; is this a CSV file?" : split.error().what};
}

Result<void> CsvRecords::skip_byte_order_mark() {
  started_ = true;
  while (buffer_.view().size() < kByteOrderMark.size() && kByteOrderMark.starts_with(buffer_.view())) {
    const Result<bool> more = buffer_.more();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
  }
  if (buffer_.view().starts_with(kByteOrderMark)) buffer_.consume(kByteOrderMark.size());
  return {};
}

}  // namespace tutti::table
