#include "worker/lightgbm_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "worker/text.hpp"

namespace tutti {
namespace {

constexpr std::size_t kTextShownMax = 40;

template <class Number>
bool read_whole(std::string_view word, Number& number) noexcept {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc{} && end == word.data() + word.size();
}

}  // namespace

std::string_view TextLine::value() const noexcept {
  const std::size_t equals = text.find('=');
  return equals == std::string_view::npos ? std::string_view{} : text.substr(equals + 1);
}

std::string_view next_word(std::string_view& text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  const std::string_view word = text.substr(0, text.find_first_of(" \t"));
  text.remove_prefix(word.size());
  return word;
}

std::optional<TextLine> TextLines::next() noexcept {
  if (again_) return std::exchange(again_, std::nullopt);
  if (left_.empty()) return std::nullopt;
  const std::size_t end = left_.find('\n');
  std::string_view text = left_.substr(0, end);
  left_.remove_prefix(end == std::string_view::npos ? left_.size() : end + 1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return TextLine{.text = text, .number = ++number_};
}

std::unexpected<Error> TextLines::bad(std::size_t line, std::string what, std::string_view hint) const {
  return std::unexpected(Error{.code = Errc::bad_model,
                               .what = std::move(what),
                               .where = fmt::format("{}:{}", name_, line),
                               .hint = std::string(hint)});
}

Result<std::uint32_t> TextLines::count(const TextLine& line, std::uint32_t least, std::uint32_t most) const {
  std::uint32_t number = 0;
  if (read_whole(line.value(), number) && number >= least && number <= most) return number;
  return bad(line.number,
             fmt::format("{} is \"{}\", not a whole number in [{}, {}]", one_line(line.key(), kTextShownMax),
                         one_line(line.value(), kTextShownMax), least, most));
}

template <class Number, class Accepts>
Result<std::vector<Number>> TextLines::list(const TextLine& line, std::size_t wanted, const Accepts& accepts,
                                            const std::string& description) const {
  std::vector<Number> numbers;
  std::string_view text = line.value();
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    Number number{};
    if (!read_whole(word, number) || !accepts(number)) {
      return bad(line.number, fmt::format("{}[{}] is \"{}\", not {}", line.key(), numbers.size(),
                                          one_line(word, kTextShownMax), description));
    }
    numbers.push_back(number);
    if (numbers.size() > wanted) break;
  }
  if (numbers.size() != wanted) {
    return bad(line.number, fmt::format("{} has {}{} numbers, not {}", line.key(),
                                        numbers.size() > wanted ? "more than " : "",
                                        std::min(numbers.size(), wanted), wanted));
  }
  return numbers;
}

Result<std::vector<double>> TextLines::doubles(const TextLine& line, std::size_t wanted) const {
  return list<double>(line, wanted, [](double number) { return std::isfinite(number); }, "a finite number");
}

Result<std::vector<std::int64_t>> TextLines::integers(const TextLine& line, std::size_t wanted,
                                                      std::int64_t least, std::int64_t most) const {
  return list<std::int64_t>(
      line, wanted, [=](std::int64_t number) { return number >= least && number <= most; },
      fmt::format("a whole number in [{}, {}]", least, most));
}

}  // namespace tutti
