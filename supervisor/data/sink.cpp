#include "supervisor/data/sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <utility>

#include "shared/suggest.hpp"
#include "supervisor/data/quote.hpp"
#include "supervisor/data/sinks.hpp"

namespace tutti {
namespace table {
namespace {

template <class T>
void append_number(std::string& text, T value) {
  std::array<char, 32> digits;  // a float32 takes at most 15, a 64-bit integer 20
  const auto [end, code] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  assert(code == std::errc{});
  text.append(digits.data(), end);
}

}  // namespace

void append_float(std::string& text, float value) { append_number(text, value); }
void append_integer(std::string& text, std::uint64_t value) { append_number(text, value); }

bool is_answered(std::span<const float> answer) noexcept {
  return std::ranges::none_of(answer, [](float value) { return std::isnan(value); });
}

std::size_t index_of_largest(std::span<const float> answer) noexcept {
  return static_cast<std::size_t>(std::ranges::max_element(answer) - answer.begin());
}

namespace {

/// The format's name: as asked for, or by the path's ending. "" when neither says one.
std::string format_of(const SinkRequest& request) {
  if (!request.format.empty()) return request.format;
  if (request.path == "-" || request.path == "/dev/stdout") return "csv";
  const std::string_view path = request.path;
  for (const std::string_view format : {"csv", "jsonl", "npy"}) {
    if (path.size() > format.size() && path.ends_with(format) &&
        path[path.size() - format.size() - 1] == '.') {
      return std::string(format);
    }
  }
  return "";
}

}  // namespace
}  // namespace table

Result<std::unique_ptr<AnswerSink>> open_sink(const SinkRequest& request) {
  const std::string format = table::format_of(request);
  const std::vector<std::string> known = {"csv", "jsonl", "npy"};
  if (std::ranges::find(known, format) == known.end()) {
    const std::string near = did_you_mean(format, known);
    return std::unexpected(
        Error{.code = Errc::bad_usage,
              .what = format.empty() ? "the path's ending names no output format"
                                     : fmt::format("{} is no output format", table::quote(format)),
              .where = request.path,
              .hint = fmt::format("{}{}formats are csv, jsonl and npy", near, near.empty() ? "" : " ")});
  }
  Result<std::unique_ptr<table::OutputFile>> file = table::OutputFile::open(request.path);
  if (!file) return std::unexpected(std::move(file.error()));
  if (format == "csv") return table::make_csv_sink(std::move(*file), request.classes);
  if (format == "jsonl") return table::make_jsonl_sink(std::move(*file), request.classes);
  const auto outputs = static_cast<std::uint32_t>(std::max<std::size_t>(request.classes.size(), 1));
  return table::make_npy_sink(std::move(*file), outputs, !request.classes.empty(), table::kNpyHeldBytesMax);
}

}  // namespace tutti
