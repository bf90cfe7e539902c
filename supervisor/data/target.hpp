// The target column: where it is, and what its texts and numbers mean.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "shared/error.hpp"

namespace tutti::table {

/// "3" or "-1" as one of `columns` columns, negative from the end; nothing for any other text or out of
/// range.
std::optional<std::uint32_t> read_column_number(std::string_view text, std::uint64_t columns) noexcept;

/// Turns a target into a class index, or into itself where there are no classes.
///
/// A text that is a class name is that class, and names win over numbers: with classes "1" and "0" the text
/// "1" is class 0. With any class name that is a number, numbers are only ever names (1.0 is the class "1"):
/// an index beside such names would be guessing. Else a number is the index, a whole one in [0, classes).
class TargetRule {
 public:
  explicit TargetRule(std::vector<std::string> classes);

  /// A field's text; NaN for a missing one; nothing when it is no target.
  [[nodiscard]] std::optional<double> of_text(std::string_view text) const;
  /// A number that is not NaN; nothing when it is no target.
  [[nodiscard]] std::optional<double> of_number(double number) const;
  /// True for a class name.
  [[nodiscard]] bool is_name(std::string_view text) const;
  /// Why a text (as the file has it, or a number made text) is no target.
  [[nodiscard]] Error refuse(std::string_view text, std::string where) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::vector<std::string> classes_;
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> names_;
  std::unordered_map<double, std::uint32_t> numbers_;  // class names that are numbers
};

}  // namespace tutti::table
