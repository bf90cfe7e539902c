// Trees of scikit.hpp, and the columns they look at.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "shared/error.hpp"
#include "worker/preprocess.hpp"
#include "worker/scikit_json.hpp"
#include "worker/trees.hpp"
#include "worker/wide_tree.hpp"

namespace tutti::scikit {

/// Where a comparison with a column is made: in the row itself where the column's steps can be folded into
/// the threshold, else in a column that is made for it.
class ColumnPlan {
 public:
  /// `columns` are those of the file.
  explicit ColumnPlan(Preprocess columns) : columns_(std::move(columns)) {}

  [[nodiscard]] std::size_t size() const noexcept { return columns_.columns.size(); }

  /// Sets a node's feature, threshold and missing_right, for `column` <= t.
  void compare(WideNode& node, std::uint32_t column, double t, bool missing_left);
  /// The same for every number: all of them go left.
  void compare_with_infinity(WideNode& node, std::uint32_t column, bool missing_left);
  /// The feature in which a column stands as it is.
  std::uint32_t as_it_is(std::uint32_t column);

  /// The row's numbers, then the columns that had to be made. No columns at all: the row does.
  [[nodiscard]] Preprocess finish() &&;

 private:
  std::uint32_t made(std::uint32_t column, bool capped);

  Preprocess columns_;
  std::map<std::pair<std::uint32_t, bool>, std::uint32_t> features_;  // of made columns
  std::vector<std::pair<std::uint32_t, bool>> made_;                  // in order
};

/// Appends the tree at `place`. Errors: bad_model.
Result<void> append_tree(const Place& place, ColumnPlan& columns, Forest& forest);

}  // namespace tutti::scikit
