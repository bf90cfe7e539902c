// Between open_sink() and the formats.
#pragma once

#include <cassert>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "supervisor/data/output_file.hpp"
#include "supervisor/data/sink.hpp"

namespace tutti::table {

/// Rows that an NPY sink keeps when it can't patch the header later.
inline constexpr std::uint64_t kNpyHeldBytesMax = 1ULL << 30;

std::unique_ptr<AnswerSink> make_csv_sink(std::unique_ptr<OutputFile> file,
                                          const std::vector<std::string>& classes);
std::unique_ptr<AnswerSink> make_jsonl_sink(std::unique_ptr<OutputFile> file,
                                            const std::vector<std::string>& classes);
std::unique_ptr<AnswerSink> make_npy_sink(std::unique_ptr<OutputFile> file, std::uint32_t outputs,
                                          bool matrix, std::uint64_t held_bytes_max);

/// Appends the shortest decimal that reads back to the same float32.
void append_float(std::string& text, float value);
void append_integer(std::string& text, std::uint64_t value);

/// A row was answered when none of its values is NaN.
bool is_answered(std::span<const float> answer) noexcept;
/// The largest value's index; the first of equals.
std::size_t index_of_largest(std::span<const float> answer) noexcept;

/// Asserts that the spans have the sizes that sink.hpp states and that rows come in order.
inline void check_rows(const AnswerRows& rows, std::uint64_t written, std::size_t outputs) {
  assert(rows.first_row == written);
  assert(rows.answer.size() == rows.rows * outputs);
  assert(rows.spread.size() == rows.rows && rows.disagreement.size() == rows.rows);
}

}  // namespace tutti::table
