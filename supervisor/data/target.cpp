#include "supervisor/data/target.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <system_error>
#include <utility>

#include "shared/suggest.hpp"
#include "supervisor/data/number.hpp"
#include "supervisor/data/quote.hpp"

namespace tutti::table {

std::optional<std::uint32_t> read_column_number(std::string_view text, std::uint64_t columns) noexcept {
  std::int64_t number = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  if (number < 0 ? number < -static_cast<std::int64_t>(columns)
                 : number >= static_cast<std::int64_t>(columns)) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(number < 0 ? number + static_cast<std::int64_t>(columns) : number);
}

TargetRule::TargetRule(std::vector<std::string> classes) : classes_(std::move(classes)) {
  for (std::uint32_t index = 0; index < classes_.size(); ++index) {
    names_.try_emplace(classes_[index], index);
    const Number<double> number = read_number<double>(classes_[index]);
    if (number.kind == NumberKind::number) numbers_.try_emplace(number.value, index);
  }
}

bool TargetRule::is_name(std::string_view text) const { return names_.contains(text); }

std::optional<double> TargetRule::of_text(std::string_view text) const {
  if (const auto name = names_.find(text); name != names_.end()) return name->second;
  const Number<double> number = read_number<double>(text);
  if (number.kind == NumberKind::missing) return number.value;
  if (number.kind != NumberKind::number) return std::nullopt;
  return of_number(number.value);
}

std::optional<double> TargetRule::of_number(double number) const {
  if (number - number != 0) return std::nullopt;  // infinite
  if (classes_.empty()) return number;
  if (!numbers_.empty()) {
    const auto name = numbers_.find(number);
    return name == numbers_.end() ? std::nullopt : std::optional<double>(name->second);
  }
  const bool whole = number >= 0 && number < static_cast<double>(classes_.size()) &&
                     static_cast<double>(static_cast<std::uint32_t>(number)) == number;
  return whole ? std::optional(number + 0.0) : std::nullopt;  // + 0.0 makes -0 plain 0
}

Error TargetRule::refuse(std::string_view text, std::string where) const {
  Error error{.code = Errc::bad_data, .what = {}, .where = std::move(where), .hint = {}};
  if (classes_.empty()) {
    error.what = fmt::format("the target {} is not a finite number", quote(text));
    error.hint = "leave the field empty where the target is unknown";
    return error;
  }
  if (read_number<double>(text).kind == NumberKind::number && numbers_.empty()) {
    error.what =
        fmt::format("the target {} is not a class index in [0, {}]", quote(text), classes_.size() - 1);
  } else {
    error.what = fmt::format("the target {} is not a class", quote(text));
    if (text.size() <= kQuotedMax) error.hint = did_you_mean(text, classes_);
  }
  if (error.hint.empty()) error.hint = "the classes are " + quote_list(classes_);
  return error;
}

}  // namespace tutti::table
