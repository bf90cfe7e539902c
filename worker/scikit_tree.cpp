#include "worker/scikit_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "shared/limits.hpp"

namespace tutti::scikit {
namespace {

constexpr std::int64_t kCategoriesEnd = 1 << 24;  // from here on float32 does not hold every integer

class TreeReader {
 public:
  TreeReader(const Place& place, ColumnPlan& columns, Forest& forest)
      : place_(place), columns_(columns), forest_(forest) {}

  Result<void> append() {
    if (Result<void> read = read_shape(); !read) return read;
    if (Result<void> read = read_splits(); !read) return read;
    if (Result<void> read = read_categories(); !read) return read;
    for (std::size_t output = 0; output < outputs_; ++output) {
      for (std::size_t node = 0; node < nodes_.size(); ++node)
        nodes_[node].value = values_[node * outputs_ + output];
      const auto group = static_cast<std::uint32_t>(group_ + output);
      if (const auto appended = append_wide_tree(nodes_, {}, group, forest_); !appended) {
        return place_.bad(fmt::format("node {}: {}", appended.error().node, appended.error().what));
      }
    }
    return {};
  }

 private:
  Result<void> read_shape() {
    const Result<Place> left = place_.need("left");
    if (!left) return std::unexpected(left.error());
    const Result<std::size_t> nodes = read_length(*left, kTreeNodesMax);
    if (!nodes) return std::unexpected(nodes.error());
    if (*nodes == 0) return left->bad("is empty: a tree has a root");
    if (const auto group = place_.find("group")) {
      const auto number = read_integer(*group, 0, std::int64_t{forest_.groups()} - 1);
      if (!number) return std::unexpected(number.error());
      group_ = static_cast<std::size_t>(*number);
    }
    const Result<Place> value = place_.need("value");
    if (!value) return std::unexpected(value.error());
    const Result<std::size_t> values = read_length(*value, kModelNodesMax);
    if (!values) return std::unexpected(values.error());
    outputs_ = *values / *nodes;
    if (outputs_ == 0 || *values % *nodes != 0 || outputs_ > forest_.groups() - group_) {
      return value->bad(fmt::format("has {} numbers for {} nodes and {} groups from group {} on", *values,
                                    *nodes, forest_.groups(), group_));
    }
    auto numbers = read_numbers(*value, *values);
    if (!numbers) return std::unexpected(std::move(numbers.error()));
    values_ = std::move(*numbers);
    nodes_.resize(*nodes);
    return {};
  }

  /// The list under `key`: one whole number for each node.
  Result<std::vector<std::int64_t>> integers(std::string_view key, std::int64_t least,
                                             std::int64_t most) const {
    const Result<Place> list = place_.need(key);
    if (!list) return std::unexpected(list.error());
    return read_integers(*list, nodes_.size(), least, most);
  }

  Result<void> read_splits() {
    const auto last = static_cast<std::int64_t>(nodes_.size()) - 1;
    const auto left = integers("left", -1, last);
    if (!left) return std::unexpected(left.error());
    const auto right = integers("right", -1, last);
    if (!right) return std::unexpected(right.error());
    const auto features = integers("feature", 0, static_cast<std::int64_t>(columns_.size()) - 1);
    if (!features) return std::unexpected(features.error());
    std::vector<std::int64_t> missing_left(nodes_.size(), 0);
    if (place_.find("missing_left")) {
      auto flags = integers("missing_left", 0, 1);
      if (!flags) return std::unexpected(std::move(flags.error()));
      missing_left = std::move(*flags);
    }
    const Result<Place> thresholds = place_.need("threshold");
    if (!thresholds) return std::unexpected(thresholds.error());
    const Result<std::size_t> count = read_length(*thresholds, nodes_.size());
    if (!count) return std::unexpected(count.error());
    if (*count != nodes_.size()) {
      return thresholds->bad(fmt::format("has {} numbers, not {}", *count, nodes_.size()));
    }
    for (std::size_t index = 0; index < nodes_.size(); ++index) {
      if ((*left)[index] < 0 && (*right)[index] < 0) continue;
      WideNode& node = nodes_[index];
      node.leaf = false;
      // A child of -1 does not exist either: its number is then above all others.
      node.children[0] = static_cast<std::uint32_t>((*left)[index]);
      node.children[1] = static_cast<std::uint32_t>((*right)[index]);
      const auto column = static_cast<std::uint32_t>((*features)[index]);
      columns_of_.resize(nodes_.size());
      columns_of_[index] = column;
      const Json& threshold = (*thresholds->json)[index];
      if (threshold.is_string() && threshold == "infinity") {
        columns_.compare_with_infinity(node, column, missing_left[index] != 0);
        continue;
      }
      if (!threshold.is_number()) return std::unexpected(read_number(thresholds->item(index)).error());
      const Result<double> t = read_number(thresholds->item(index));
      if (!t) return std::unexpected(t.error());
      columns_.compare(node, column, *t, missing_left[index] != 0);
    }
    return {};
  }

  Result<void> read_categories() {
    const auto sets = place_.find("categories");
    if (!sets) return {};
    const Result<std::size_t> count = read_length(*sets, nodes_.size());
    if (!count) return std::unexpected(count.error());
    for (std::size_t set = 0; set < *count; ++set) {
      if (Result<void> read = read_set(sets->item(set)); !read) return read;
    }
    return {};
  }

  Result<void> read_set(const Place& place) {
    const Result<Place> number = place.need("node");
    if (!number) return std::unexpected(number.error());
    const auto index = read_integer(*number, 0, static_cast<std::int64_t>(nodes_.size()) - 1);
    if (!index) return std::unexpected(index.error());
    WideNode& node = nodes_[static_cast<std::size_t>(*index)];
    if (node.leaf || node.categorical) {
      return number->bad(node.leaf ? "is a leaf" : "has categories already");
    }
    const std::optional<Place> left = place.find("left");
    const Result<Place> listed = left ? Result<Place>(*left) : place.need("right");
    if (!listed) return std::unexpected(listed.error());
    const Result<std::size_t> count = read_length(*listed, kModelNodesMax);
    if (!count) return std::unexpected(count.error());
    const auto categories = read_integers(*listed, *count, 0, kCategoriesEnd - 1);
    if (!categories) return std::unexpected(categories.error());
    if (forest_.categories.size() + *count > kModelNodesMax) {
      return listed->bad(fmt::format("more than {} categories in all", kModelNodesMax));
    }
    node.categorical = true;
    node.missing_right = false;
    node.feature = columns_.as_it_is(columns_of_[static_cast<std::size_t>(*index)]);
    node.first_category = static_cast<std::uint32_t>(forest_.categories.size());
    node.category_count = static_cast<std::uint32_t>(*count);
    for (const std::int64_t category : *categories)
      forest_.categories.push_back(static_cast<std::uint32_t>(category));
    std::ranges::sort(forest_.categories.begin() + node.first_category, forest_.categories.end());
    if (left) std::swap(node.children[0], node.children[1]);  // a Forest's listed ones go to child 1
    return {};
  }

  const Place& place_;
  ColumnPlan& columns_;
  Forest& forest_;
  std::size_t group_ = 0;
  std::size_t outputs_ = 0;
  std::vector<double> values_;  // [nodes][outputs_]
  std::vector<WideNode> nodes_;
  std::vector<std::uint32_t> columns_of_;  // [nodes]
};

}  // namespace

void ColumnPlan::compare(WideNode& node, std::uint32_t column, double t, bool missing_left) {
  const Column& from = columns_.columns[column];
  const std::span<const ColumnStep> steps = columns_.steps_of(from);
  const float threshold = strict_threshold(t);
  node.feature = from.from;
  node.threshold = threshold;
  node.missing_right = !missing_left;
  if (steps.empty()) return;
  const std::optional<float> folded = can_fold(steps) ? fold(steps, threshold) : std::nullopt;
  if (!folded) {
    node.feature = made(column, false);
    return;
  }
  node.threshold = *folded;
  const float missing = run_steps(steps, std::numeric_limits<float>::quiet_NaN());
  if (missing == missing) node.missing_right = !(missing < threshold);
}

void ColumnPlan::compare_with_infinity(WideNode& node, std::uint32_t column, bool missing_left) {
  node.feature = made(column, true);
  node.threshold = std::numeric_limits<float>::infinity();
  node.missing_right = !missing_left;
}

std::uint32_t ColumnPlan::as_it_is(std::uint32_t column) {
  const Column& from = columns_.columns[column];
  return from.step_count == 0 ? from.from : made(column, false);
}

std::uint32_t ColumnPlan::made(std::uint32_t column, bool capped) {
  const auto next = static_cast<std::uint32_t>(columns_.features + made_.size());
  const auto [place, is_new] = features_.try_emplace({column, capped}, next);
  if (is_new) made_.emplace_back(column, capped);
  return place->second;
}

Preprocess ColumnPlan::finish() && {
  Preprocess made{.features = columns_.features, .columns = {}, .steps = {}};
  if (made_.empty()) return made;
  for (std::uint32_t feature = 0; feature < columns_.features; ++feature)
    made.columns.push_back({.from = feature});
  for (const auto& [column, capped] : made_) {
    const Column& from = columns_.columns[column];
    const std::span<const ColumnStep> steps = columns_.steps_of(from);
    made.columns.push_back({.from = from.from,
                            .first_step = static_cast<std::uint32_t>(made.steps.size()),
                            .step_count = from.step_count + (capped ? 1U : 0U)});
    made.steps.insert(made.steps.end(), steps.begin(), steps.end());
    if (capped) {
      made.steps.push_back(
          {.kind = ColumnStep::Kind::at_most, .number = double{std::numeric_limits<float>::max()}});
    }
  }
  return made;
}

Result<void> append_tree(const Place& place, ColumnPlan& columns, Forest& forest) {
  return TreeReader(place, columns, forest).append();
}

}  // namespace tutti::scikit
