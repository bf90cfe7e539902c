// Numbers out of the JSON of scikit.hpp, with the place that an error names.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "shared/error.hpp"

namespace tutti::scikit {

using Json = nlohmann::json;

/// A value and where it stands: "model.json: trees[3].left".
struct Place {
  const Json* json = nullptr;
  std::string where;

  [[nodiscard]] std::unexpected<Error> bad(std::string what) const;
  [[nodiscard]] Place item(std::size_t index) const;
  /// The value under `key` of an object, or an error that says it is missing; or nothing.
  [[nodiscard]] Result<Place> need(std::string_view key) const;
  [[nodiscard]] std::optional<Place> find(std::string_view key) const;
};

/// A whole number in [least, most].
Result<std::int64_t> read_integer(const Place& place, std::int64_t least, std::int64_t most);
/// A finite number.
Result<double> read_number(const Place& place);
Result<std::string> read_word(const Place& place);
/// The length of a list of at most `most`.
Result<std::size_t> read_length(const Place& place, std::size_t most);

/// A list of `count` such numbers.
Result<std::vector<std::int64_t>> read_integers(const Place& place, std::size_t count, std::int64_t least,
                                                std::int64_t most);
Result<std::vector<double>> read_numbers(const Place& place, std::size_t count);

}  // namespace tutti::scikit
