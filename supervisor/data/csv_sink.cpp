// Answers as CSV: row, label and p_<class>… (or prediction), spread, disagreement, votes, missing.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "supervisor/data/number.hpp"
#include "supervisor/data/sinks.hpp"

namespace tutti::table {
namespace {

/// RFC 4180: quotes round a text that has a separator, a quote or a line break, or spaces that trimming would
/// take.
std::string quoted_field(std::string_view text) {
  const bool plain = text.find_first_of(",\"\r\n") == std::string_view::npos &&
                     (text.empty() || trim(text).size() == text.size());
  if (plain) return std::string(text);
  std::string field = "\"";
  for (const char byte : text) field.append(byte == '"' ? 2 : 1, byte);
  return field + '"';
}

void append_field(std::string& text, float value) {
  text += ',';
  if (!std::isnan(value)) append_float(text, value);
}

class CsvSink final : public AnswerSink {
 public:
  CsvSink(std::unique_ptr<OutputFile> file, const std::vector<std::string>& classes)
      : file_(std::move(file)), outputs_(std::max<std::size_t>(classes.size(), 1)) {
    std::string& header = file_->block();
    header += classes.empty() ? "row,prediction" : "row,label";
    for (const std::string& name : classes) {
      header += ',' + quoted_field("p_" + name);
      labels_.push_back(quoted_field(name));
    }
    header += ",spread,disagreement,votes,missing\n";
  }

  Result<void> write(const AnswerRows& rows) override {
    check_rows(rows, written_, outputs_);
    const std::string tail = tail_of(rows);
    for (std::uint32_t row = 0; row < rows.rows; ++row) {
      std::string& line = file_->block();
      append_integer(line, rows.first_row + row);
      append_answer(line, rows.answer.subspan(row * outputs_, outputs_));
      append_field(line, rows.spread[row]);
      append_field(line, rows.disagreement[row]);
      line += tail;
      if (Result<void> ended = file_->end_block(); !ended) return ended;
      ++written_;
    }
    return file_->is_regular() ? Result<void>() : file_->flush();
  }

  [[nodiscard]] std::string kept_in() const override { return file_->kept_in(); }

 private:
  Result<void> end(Ending ending) override { return file_->close(ending); }

  void append_answer(std::string& line, std::span<const float> answer) const {
    if (!is_answered(answer)) {
      line.append(labels_.size() + 1, ',');
      return;
    }
    if (!labels_.empty()) line += ',' + labels_[index_of_largest(answer)];
    for (const float value : answer) append_field(line, value);
  }

  /// What all rows of a request share: who voted.
  static std::string tail_of(const AnswerRows& rows) {
    std::string missing;
    for (const auto& [member, cause] : rows.missing) {
      if (!missing.empty()) missing += "; ";
      missing.append(member).append(": ").append(cause);
    }
    std::string tail = ",";
    append_integer(tail, rows.votes);
    return tail + ',' + quoted_field(missing) + '\n';
  }

  std::unique_ptr<OutputFile> file_;
  std::size_t outputs_;
  std::vector<std::string> labels_;  // empty for regression
  std::uint64_t written_ = 0;
};

}  // namespace

std::unique_ptr<AnswerSink> make_csv_sink(std::unique_ptr<OutputFile> file,
                                          const std::vector<std::string>& classes) {
  return std::make_unique<CsvSink>(std::move(file), classes);
}

}  // namespace tutti::table
