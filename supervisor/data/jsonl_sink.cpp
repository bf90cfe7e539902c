// Answers as JSON lines: one object a row. JSON has no NaN and no infinity: both are null.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "supervisor/data/sinks.hpp"

namespace tutti::table {
namespace {

/// A JSON string. A cause may carry what a worker said: bytes that are not UTF-8 become U+FFFD.
std::string json_string(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void append_value(std::string& text, float value) {
  if (std::isfinite(value)) {
    append_float(text, value);
  } else {
    text += "null";
  }
}

class JsonlSink final : public AnswerSink {
 public:
  JsonlSink(std::unique_ptr<OutputFile> file, const std::vector<std::string>& classes)
      : file_(std::move(file)), outputs_(std::max<std::size_t>(classes.size(), 1)) {
    for (const std::string& name : classes) labels_.push_back(json_string(name));
  }

  Result<void> write(const AnswerRows& rows) override {
    check_rows(rows, written_, outputs_);
    const std::string tail = tail_of(rows);
    for (std::uint32_t row = 0; row < rows.rows; ++row) {
      std::string& line = file_->block();
      line += "{\"row\":";
      append_integer(line, rows.first_row + row);
      append_answer(line, rows.answer.subspan(row * outputs_, outputs_));
      line += ",\"spread\":";
      append_value(line, rows.spread[row]);
      line += ",\"disagreement\":";
      append_value(line, rows.disagreement[row]);
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
    const bool answered = is_answered(answer);
    if (labels_.empty()) {
      line += ",\"prediction\":";
      append_value(line, answer[0]);
      return;
    }
    if (!answered) {
      line += ",\"label\":null,\"probabilities\":null";
      return;
    }
    line += ",\"label\":" + labels_[index_of_largest(answer)] + ",\"probabilities\":[";
    for (const float value : answer) {
      append_value(line, value);
      line += ',';
    }
    line.back() = ']';
  }

  /// What all rows of a request share: who voted.
  static std::string tail_of(const AnswerRows& rows) {
    std::string tail = ",\"votes\":";
    append_integer(tail, rows.votes);
    tail += ",\"missing\":[";
    for (const auto& [member, cause] : rows.missing) {
      if (tail.back() == '}') tail += ',';
      tail += "{\"member\":" + json_string(member) + ",\"cause\":" + json_string(cause) + '}';
    }
    tail += "],\"isolation\":\"";
    tail += rows.isolation;
    return tail + "\"}\n";
  }

  std::unique_ptr<OutputFile> file_;
  std::size_t outputs_;
  std::vector<std::string> labels_;  // as JSON strings; empty for regression
  std::uint64_t written_ = 0;
};

}  // namespace

std::unique_ptr<AnswerSink> make_jsonl_sink(std::unique_ptr<OutputFile> file,
                                            const std::vector<std::string>& classes) {
  return std::make_unique<JsonlSink>(std::move(file), classes);
}

}  // namespace tutti::table
