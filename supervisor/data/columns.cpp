#include "supervisor/data/columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "shared/suggest.hpp"
#include "supervisor/data/number.hpp"
#include "supervisor/data/quote.hpp"
#include "supervisor/data/target.hpp"

namespace tutti::table {
namespace {

using ColumnsByName = std::unordered_map<std::string_view, std::uint32_t>;

std::unexpected<Error> bad_columns(std::string what, std::string where, std::string hint) {
  return std::unexpected(Error{
      .code = Errc::bad_data, .what = std::move(what), .where = std::move(where), .hint = std::move(hint)});
}

/// What may be behind missing columns: a near name for each, or a file that is no CSV with a header.
std::string hint_missing(std::span<const std::string> missing, std::span<const std::string> header,
                         const std::string& target) {
  constexpr std::size_t kCompared = 4096;  // names on each side; comparing every pair costs their product
  constexpr std::size_t kSuggested = 10;
  if (header.size() == 1 && header[0].find_first_of(";\t|") != std::string::npos) {
    return "fields are separated by commas, and this header has none";
  }
  if (std::ranges::all_of(header, [](const std::string& name) {
        return read_number<double>(name).kind != NumberKind::not_a_number;
      })) {
    return "the first line holds numbers; add a header line that names the columns";
  }
  const std::optional<std::uint32_t> number = read_column_number(target, header.size());
  if (number && missing.size() == 1 && missing[0] == target) {
    return fmt::format("the file has a header, so the target goes by its name; column {} is called {}",
                       target, quote(header[*number]));
  }
  std::string hint;
  for (const std::string& name : missing.first(std::min(missing.size(), kSuggested))) {
    const std::string near = nearest_word(name, header.first(std::min(header.size(), kCompared)));
    if (near.empty()) continue;
    hint += fmt::format("{}{} may be {}", hint.empty() ? "" : ", ", quote(name), quote(near));
  }
  if (hint.empty()) return "the header has " + quote_list(header);
  return hint + "; the header's names must match exactly";
}

Result<ColumnPlan> features_by_position(ColumnPlan plan, const std::string& place,
                                        const TableRequest& request) {
  const std::uint64_t wanted = std::uint64_t{request.features} + (request.target.empty() ? 0 : 1);
  if (plan.size() != wanted) {
    return bad_columns(
        fmt::format("the file has {} column{}, expected {}: {} feature{}{}", plan.size(),
                    plan.size() == 1 ? "" : "s", wanted, request.features, request.features == 1 ? "" : "s",
                    request.target.empty() ? "" : " and the target"),
        place,
        request.target.empty()
            ? "if one column is the target, say which; else give the file the ensemble's features"
            : "give the file the ensemble's features and the target, no other column");
  }
  std::int32_t feature = 0;
  for (std::int32_t& column : plan) {
    if (column != kTargetColumn) column = feature++;
  }
  return plan;
}

}  // namespace

Result<ColumnPlan> plan_by_names(const std::vector<std::string>& header,
                                 const std::vector<std::string>& places, const TableRequest& request) {
  ColumnsByName columns;
  std::unordered_map<std::string_view, std::uint32_t> twice;  // name → its second column
  for (std::uint32_t index = 0; index < header.size(); ++index) {
    if (!columns.try_emplace(header[index], index).second) twice.try_emplace(header[index], index);
  }
  std::vector<std::string> wanted = request.feature_names;
  if (!request.target.empty()) wanted.push_back(request.target);

  ColumnPlan plan(header.size(), kIgnoredColumn);
  std::vector<std::string> missing;
  for (std::uint32_t index = 0; index < wanted.size(); ++index) {
    const std::string& name = wanted[index];
    const auto column = columns.find(name);
    if (column == columns.end()) {
      missing.push_back(name);
      continue;
    }
    if (const auto second = twice.find(name); second != twice.end()) {
      return bad_columns(fmt::format("column {} stands twice in the header", quote(name)),
                         places[second->second], "rename or remove one of them");
    }
    std::int32_t& destination = plan[column->second];
    if (destination != kIgnoredColumn) {
      return bad_columns(fmt::format("column {} is wanted twice", quote(name)), places[column->second],
                         "the target can't be a feature too, and a feature has one name");
    }
    destination = index < request.feature_names.size() ? static_cast<std::int32_t>(index) : kTargetColumn;
  }
  if (!missing.empty()) {
    return bad_columns(
        fmt::format("{}: {}",
                    missing.size() == 1 ? "a column is missing"
                                        : fmt::format("{} columns are missing", missing.size()),
                    quote_list(missing)),
        places.front(), hint_missing(missing, header, request.target));
  }
  if (!request.feature_names.empty()) return plan;
  return features_by_position(std::move(plan), places.front(), request);
}

Result<ColumnPlan> plan_by_position(std::uint64_t columns, const std::string& place,
                                    const TableRequest& request) {
  ColumnPlan plan(columns, kIgnoredColumn);
  if (!request.target.empty()) {
    const std::optional<std::uint32_t> target = read_column_number(request.target, columns);
    if (!target) {
      return bad_columns(
          fmt::format("the target {} is not one of the file's {} columns", quote(request.target), columns),
          place,
          "the first line holds numbers, no names: give the target as a column number (0 is the "
          "first, -1 the last) or add a header line");
    }
    plan[*target] = kTargetColumn;
  }
  return features_by_position(std::move(plan), place, request);
}

}  // namespace tutti::table
