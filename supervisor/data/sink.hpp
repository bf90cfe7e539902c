// Answers to a file: CSV, JSON lines or NPY, written as they come.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "shared/error.hpp"

namespace tutti {

/// One answered request's rows, as views; `first_row` is the number of its first row, from 0.
struct AnswerRows {
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  std::span<const float> answer;        // f32 [rows][outputs]; NaN where the row could not be answered
  std::span<const float> spread;        // f32 [rows]
  std::span<const float> disagreement;  // f32 [rows]
  std::uint32_t votes = 0;              // members that voted on these rows
  /// Who is missing and why, "boosted" and "crashed: SIGKILL"; empty when all voted.
  std::span<const std::pair<std::string, std::string>> missing;
  std::string_view isolation = "none";  // of the workers that were asked, the lowest level
};

/// How the rows of a file end: all came, or more should have come and will not.
enum class Ending : std::uint8_t { whole, cut_short };

class AnswerSink {
 public:
  AnswerSink() = default;
  AnswerSink(const AnswerSink&) = delete;
  AnswerSink& operator=(const AnswerSink&) = delete;
  virtual ~AnswerSink() = default;

  /// Appends rows, in order: first_row is the count of rows written so far (asserted).
  virtual Result<void> write(const AnswerRows& rows) = 0;
  /// Completes the file (NPY's header gets its row count, a file gets its name) and reports what could not be
  /// written. Rows that were cut short never replace an older file: they go to NAME.partial then, and to NAME
  /// where there is none; without a single row nothing is left. A sink destroyed without close() was cut
  /// short.
  Result<void> close(Ending ending = Ending::whole) { return end(ending); }
  /// Where the rows stand after close(): the path that was asked for, or another; "" when nothing was kept.
  [[nodiscard]] virtual std::string kept_in() const = 0;

 private:
  virtual Result<void> end(Ending ending) = 0;
};

struct SinkRequest {
  std::string path;                  // "-" is standard output
  std::string format;                // "csv", "jsonl", "npy"; "" goes by the path's ending, csv for "-"
  std::vector<std::string> classes;  // empty: regression
};

/// Opens a sink.
///   csv    header: row, then prediction (regression) or label and one column per class p_<class>, then
///   spread,
///          disagreement, votes, missing ("boosted: crashed: SIGKILL; linear: late"). RFC 4180 quoting.
///          A row that could not be answered has empty prediction fields.
///   jsonl  one object a row: {"row":0,"label":"benign","probabilities":[...]} or {"row":0,"prediction":1.5},
///          then "spread", "disagreement", "votes", "missing":[{"member":..,"cause":..}], "isolation". A row
///          that could not be answered has null there. Numbers are the shortest that read back to the same
///          float32.
///   npy    f32 [rows][classes], or [rows] for regression, version 1.0, little endian. Written to a file: the
///          header is patched at the end. On a pipe or standard output the rows are kept in memory up to 1
///          GiB, then an error.
/// A file has no name until close() puts it in its place; standard output, a FIFO or a device is written to
/// straight, each request's rows at once. When writing fails, the rows were cut short: close() keeps the
/// whole ones that a file holds and says so again. Errors: bad_usage (an unknown ending; hint lists the
/// formats), system (cannot be written: path and reason). EPIPE, ENOSPC and short writes are errors of
/// write() or close(), never a signal.
Result<std::unique_ptr<AnswerSink>> open_sink(const SinkRequest& request);

}  // namespace tutti
