#include "worker/scikit_json.hpp"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "worker/text.hpp"

namespace tutti::scikit {
namespace {

constexpr std::size_t kShownMax = 40;
constexpr std::string_view kWriteAgain =
    "the file is damaged or was edited; write it again with examples/export_sklearn.py";

/// A value as an error shows it: short, and without looking into what may be large.
std::string shown(const Json& json) {
  if (json.is_string()) return fmt::format("\"{}\"", one_line(json.get_ref<const std::string&>(), kShownMax));
  if (json.is_structured()) return fmt::format("{} of {}", json.type_name(), json.size());
  return one_line(json.dump(), kShownMax);
}

/// A list of `count` values, each taken by `read`.
template <class Number, class Read>
Result<std::vector<Number>> read_list(const Place& place, std::size_t count, const Read& read) {
  const Result<std::size_t> length = read_length(place, count);
  if (!length) return std::unexpected(length.error());
  if (*length != count) return place.bad(fmt::format("has {} numbers, not {}", *length, count));
  std::vector<Number> numbers;
  numbers.reserve(count);
  for (std::size_t index = 0; index < count; ++index) {
    const std::optional<Number> number = read((*place.json)[index]);
    if (!number) return place.item(index).bad(fmt::format("is {}", shown((*place.json)[index])));
    numbers.push_back(*number);
  }
  return numbers;
}

std::optional<std::int64_t> integer_in(const Json& json, std::int64_t least, std::int64_t most) {
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))
    return std::nullopt;
  const auto number = json.get<std::int64_t>();
  if (number < least || number > most) return std::nullopt;
  return number;
}

std::optional<double> finite(const Json& json) {
  if (!json.is_number() || !std::isfinite(json.get<double>())) return std::nullopt;
  return json.get<double>();
}

}  // namespace

std::unexpected<Error> Place::bad(std::string what) const {
  return std::unexpected(Error{.code = Errc::bad_model,
                               .what = std::move(what),
                               .where = where.ends_with(": ") ? where.substr(0, where.size() - 2) : where,
                               .hint = std::string(kWriteAgain)});
}

Place Place::item(std::size_t index) const { return {&(*json)[index], fmt::format("{}[{}]", where, index)}; }

std::optional<Place> Place::find(std::string_view key) const {
  if (!json->is_object()) return std::nullopt;
  const auto found = json->find(key);
  if (found == json->end()) return std::nullopt;
  return Place{&*found, fmt::format("{}{}{}", where, where.ends_with(' ') ? "" : ".", key)};
}

Result<Place> Place::need(std::string_view key) const {
  if (std::optional<Place> found = find(key)) return *std::move(found);
  return bad(fmt::format("has no \"{}\"", key));
}

Result<std::int64_t> read_integer(const Place& place, std::int64_t least, std::int64_t most) {
  if (const auto number = integer_in(*place.json, least, most)) return *number;
  return place.bad(fmt::format("is {}, not a whole number in [{}, {}]", shown(*place.json), least, most));
}

Result<double> read_number(const Place& place) {
  if (const auto number = finite(*place.json)) return *number;
  return place.bad(fmt::format("is {}, not a finite number", shown(*place.json)));
}

Result<std::string> read_word(const Place& place) {
  if (place.json->is_string()) return place.json->get<std::string>();
  return place.bad(fmt::format("is {}, not a word", shown(*place.json)));
}

Result<std::size_t> read_length(const Place& place, std::size_t most) {
  if (!place.json->is_array()) return place.bad(fmt::format("is {}, not a list", shown(*place.json)));
  if (place.json->size() > most) {
    return place.bad(fmt::format("has {} items, more than {}", place.json->size(), most));
  }
  return place.json->size();
}

Result<std::vector<std::int64_t>> read_integers(const Place& place, std::size_t count, std::int64_t least,
                                                std::int64_t most) {
  auto numbers =
      read_list<std::int64_t>(place, count, [=](const Json& json) { return integer_in(json, least, most); });
  if (!numbers) numbers.error().what += fmt::format(", in a list of whole numbers in [{}, {}]", least, most);
  return numbers;
}

Result<std::vector<double>> read_numbers(const Place& place, std::size_t count) {
  return read_list<double>(place, count, finite);
}

}  // namespace tutti::scikit
