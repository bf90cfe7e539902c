// Which column of a CSV goes where.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shared/error.hpp"
#include "supervisor/data/table.hpp"

namespace tutti::table {

/// For each CSV column: the feature it fills, or one of the two below.
using ColumnPlan = std::vector<std::int32_t>;
inline constexpr std::int32_t kIgnoredColumn = -1;
inline constexpr std::int32_t kTargetColumn = -2;

/// Finds features and target by the header's names. Without feature names the features are all columns but
/// the target, in the file's order. `places` has each name's "rows.csv:1:7". Errors: bad_data (columns
/// missing, all of them named; a wanted name twice; a wrong number of columns).
Result<ColumnPlan> plan_by_names(const std::vector<std::string>& header,
                                 const std::vector<std::string>& places, const TableRequest& request);

/// Without a header: the target by number, the features are the other columns. `place` is the first line's.
Result<ColumnPlan> plan_by_position(std::uint64_t columns, const std::string& place,
                                    const TableRequest& request);

}  // namespace tutti::table
