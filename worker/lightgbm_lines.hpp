// The lines of a LightGBM file: "key=numbers", each of which an error can name.
//
// Keys and numbers are views of the file's bytes. A list is as long as its line's text allows, never as long
// as some number says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti {

inline constexpr std::string_view kSaveLightgbmAgain =
    "the file is damaged or was edited; save the model again with LightGBM";

/// "what" at a line of the file.
struct TextLine {
  std::string_view text;
  std::size_t number = 0;  // 1 is the first

  [[nodiscard]] std::string_view key() const noexcept { return text.substr(0, text.find('=')); }
  /// What stands behind the first '='; empty without one.
  [[nodiscard]] std::string_view value() const noexcept;
};

class TextLines {
 public:
  TextLines(std::string_view text, std::string_view name) : left_(text), name_(name) {}

  /// The next line, without its end. Nothing at the end of the file.
  std::optional<TextLine> next() noexcept;
  /// Makes next() answer with `line` once more.
  void put_back(const TextLine& line) noexcept { again_ = line; }
  [[nodiscard]] std::size_t number() const noexcept { return number_; }

  [[nodiscard]] std::unexpected<Error> bad(std::size_t line, std::string what,
                                           std::string_view hint = kSaveLightgbmAgain) const;

  /// The whole value as one whole number in [least, most].
  [[nodiscard]] Result<std::uint32_t> count(const TextLine& line, std::uint32_t least,
                                            std::uint32_t most) const;

  /// Numbers with blanks between them: `wanted` of them, finite; integers in [least, most].
  [[nodiscard]] Result<std::vector<double>> doubles(const TextLine& line, std::size_t wanted) const;
  [[nodiscard]] Result<std::vector<std::int64_t>> integers(const TextLine& line, std::size_t wanted,
                                                           std::int64_t least, std::int64_t most) const;

 private:
  template <class Number, class Accepts>
  [[nodiscard]] Result<std::vector<Number>> list(const TextLine& line, std::size_t wanted,
                                                 const Accepts& accepts,
                                                 const std::string& description) const;

  std::string_view left_;
  std::string_view name_;
  std::size_t number_ = 0;
  std::optional<TextLine> again_;
};

/// Cuts the next word off `text`: what stands between blanks. Empty when there is none left.
std::string_view next_word(std::string_view& text) noexcept;

}  // namespace tutti
