#include "worker/lightgbm_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "shared/limits.hpp"
#include "worker/text.hpp"
#include "worker/wide_tree.hpp"

namespace tutti {
namespace {

constexpr float kTiny = LinearLeaf::kTinyMax;
constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();

/// The lines of a tree that matter; others are passed over.
enum Key : std::uint8_t {
  num_leaves,
  num_cat,
  split_feature,
  threshold,
  decision_type,
  left_child,
  right_child,
  leaf_value,
  cat_boundaries,
  cat_threshold,
  is_linear,
  leaf_const,
  num_features,
  leaf_features,
  leaf_coeff,
  kKeys
};
constexpr std::array<std::string_view, kKeys> kKeyNames{
    "num_leaves", "num_cat",     "split_feature", "threshold",      "decision_type",
    "left_child", "right_child", "leaf_value",    "cat_boundaries", "cat_threshold",
    "is_linear",  "leaf_const",  "num_features",  "leaf_features",  "leaf_coeff"};

class TreeReader {
 public:
  TreeReader(TextLines& lines, const TextLine& head, Forest& forest, ZeroIsMissing& zeros)
      : lines_(lines), head_(head), forest_(forest), zeros_(zeros) {}

  Result<void> read(std::uint32_t group) {
    if (Result<void> found = find_lines(); !found) return found;
    if (Result<void> sized = read_size(); !sized) return sized;
    if (Result<void> sets = read_categories(); !sets) return sets;
    if (Result<void> splits = read_splits(); !splits) return splits;
    if (Result<void> leaves = read_leaves(); !leaves) return leaves;
    if (const auto appended = append_wide_tree(nodes_, linear_, group, forest_); !appended) {
      const TreeProblem& problem = appended.error();
      return lines_.bad(line(left_child).number,
                        fmt::format("{}: node {}: {}", one_line(head_.text, 40), problem.node, problem.what));
    }
    return {};
  }

 private:
  [[nodiscard]] const TextLine& line(Key key) const noexcept { return found_[key]; }
  [[nodiscard]] bool has(Key key) const noexcept { return found_[key].number != 0; }

  Result<void> find_lines() {
    while (std::optional<TextLine> line = lines_.next()) {
      if (line->text.empty()) break;
      if (line->text.starts_with("Tree=") || line->text == "end of trees") {
        lines_.put_back(*line);
        break;
      }
      const auto* const key = std::ranges::find(kKeyNames, line->key());
      if (key == kKeyNames.end()) continue;
      TextLine& place = found_[static_cast<std::size_t>(key - kKeyNames.begin())];
      if (place.number != 0) {
        return lines_.bad(line->number,
                          fmt::format("a second {}; the first is in line {}", *key, place.number));
      }
      place = *line;
    }
    return {};
  }

  /// An error where a line that is needed is not there.
  Result<void> need(std::initializer_list<Key> keys) const {
    for (const Key key : keys) {
      if (!has(key)) {
        return lines_.bad(head_.number,
                          fmt::format("{} has no {}", one_line(head_.text, 40), kKeyNames[key]));
      }
    }
    return {};
  }

  Result<void> read_size() {
    if (Result<void> there = need({num_leaves, leaf_value}); !there) return there;
    const auto leaves = lines_.count(line(num_leaves), 1, kTreeNodesMax / 2);
    if (!leaves) return std::unexpected(leaves.error());
    leaf_count_ = *leaves;
    auto values = lines_.doubles(line(leaf_value), leaf_count_);
    if (!values) return std::unexpected(std::move(values.error()));
    leaf_values_ = std::move(*values);
    return {};
  }

  /// Each set once, however many nodes ask for it.
  Result<void> read_categories() {
    if (!has(num_cat)) return {};
    const auto sets = lines_.count(line(num_cat), 0, kTreeNodesMax);
    if (!sets) return std::unexpected(sets.error());
    if (*sets == 0) return {};
    if (Result<void> there = need({cat_boundaries, cat_threshold}); !there) return there;
    const auto boundaries = lines_.integers(line(cat_boundaries), std::size_t{*sets} + 1, 0, kInt32Max);
    if (!boundaries) return std::unexpected(boundaries.error());
    if (boundaries->front() != 0 || !std::ranges::is_sorted(*boundaries)) {
      return lines_.bad(line(cat_boundaries).number, "cat_boundaries do not rise from 0");
    }
    const auto words = lines_.integers(line(cat_threshold), static_cast<std::size_t>(boundaries->back()), 0,
                                       std::numeric_limits<std::uint32_t>::max());
    if (!words) return std::unexpected(words.error());
    set_ends_.push_back(forest_.categories.size());
    for (std::size_t set = 0; set < *sets; ++set) {
      const auto first = static_cast<std::size_t>((*boundaries)[set]);
      const auto end = static_cast<std::size_t>((*boundaries)[set + 1]);
      for (std::size_t word = first; word < end; ++word) {
        add_categories(static_cast<std::uint32_t>((*words)[word]), static_cast<std::uint32_t>(word - first));
      }
      if (forest_.categories.size() > kModelNodesMax) {
        return lines_.bad(line(cat_threshold).number,
                          fmt::format("more than {} categories in all", kModelNodesMax), "train fewer trees");
      }
      set_ends_.push_back(forest_.categories.size());
    }
    return {};
  }

  void add_categories(std::uint32_t bits, std::uint32_t word) {
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      if ((bits >> bit & 1U) != 0) forest_.categories.push_back(word * 32 + bit);
    }
  }

  Result<void> read_splits() {
    const std::size_t count = leaf_count_ - 1;
    nodes_.resize(count + leaf_count_);
    if (count == 0) return {};
    if (Result<void> there = need({split_feature, threshold, decision_type, left_child, right_child}); !there)
      return there;
    const auto features = lines_.integers(line(split_feature), count, 0, std::int64_t{zeros_.features} - 1);
    if (!features) return std::unexpected(features.error());
    const auto thresholds = lines_.doubles(line(threshold), count);
    if (!thresholds) return std::unexpected(thresholds.error());
    const auto types = lines_.integers(line(decision_type), count, 0, 11);
    if (!types) return std::unexpected(types.error());
    const std::int64_t least = -std::int64_t{leaf_count_};
    const std::int64_t most = static_cast<std::int64_t>(count) - 1;
    const auto left = lines_.integers(line(left_child), count, least, most);
    if (!left) return std::unexpected(left.error());
    const auto right = lines_.integers(line(right_child), count, least, most);
    if (!right) return std::unexpected(right.error());

    for (std::size_t index = 0; index < count; ++index) {
      WideNode& node = nodes_[index];
      node.leaf = false;
      node.feature = static_cast<std::uint32_t>((*features)[index]);
      node.children[0] = number_of((*left)[index]);
      node.children[1] = number_of((*right)[index]);
      const auto type = static_cast<std::uint32_t>((*types)[index]);
      const double t = (*thresholds)[index];
      if ((type & 1U) != 0) {
        if (Result<void> split = set_categories(node, t, index); !split) return split;
      } else {
        set_comparison(node, t, type);
      }
    }
    return {};
  }

  /// Leaves come behind the inner nodes.
  [[nodiscard]] std::uint32_t number_of(std::int64_t child) const noexcept {
    const std::int64_t inner = std::int64_t{leaf_count_} - 1;
    return static_cast<std::uint32_t>(child >= 0 ? child : inner + ~child);
  }

  void set_comparison(WideNode& node, double t, std::uint32_t type) {
    const bool default_left = (type & 2U) != 0;
    const std::uint32_t missing = type >> 2;
    const bool zero_left = 0.0 <= t;
    constexpr double kWideTiny = double{kTiny};
    if (t < -kWideTiny || t >= kWideTiny) {
      node.threshold = strict_threshold(t);
    } else {
      // Everything tiny is 0, so the nearest numbers that are not decide.
      node.threshold = zero_left ? strict_threshold(kWideTiny) : -kTiny;
    }
    node.missing_right = missing == 0 ? !zero_left : !default_left;
    if (missing == 1 && zero_left != default_left) node.feature = zeros_.column(node.feature);
  }

  /// Listed categories go left, everything else right: the opposite of a Forest's.
  Result<void> set_categories(WideNode& node, double t, std::size_t index) {
    const double sets = set_ends_.empty() ? 0.0 : static_cast<double>(set_ends_.size() - 1);
    if (!(t >= 0.0 && t < sets)) {
      return lines_.bad(
          line(threshold).number,
          fmt::format("threshold[{}] is {}, not the number of one of {} sets of categories", index, t, sets));
    }
    const auto set = static_cast<std::size_t>(t);
    std::swap(node.children[0], node.children[1]);
    node.categorical = true;
    node.first_category = static_cast<std::uint32_t>(set_ends_[set]);
    node.category_count = static_cast<std::uint32_t>(set_ends_[set + 1] - set_ends_[set]);
    return {};
  }

  Result<void> read_leaves() {
    for (std::size_t leaf = 0; leaf < leaf_count_; ++leaf) {
      nodes_[leaf_count_ - 1 + leaf].value = leaf_values_[leaf];
    }
    if (!has(is_linear)) return {};
    const auto linear = lines_.count(line(is_linear), 0, 1);
    if (!linear) return std::unexpected(linear.error());
    return *linear == 1 ? read_linear() : Result<void>{};
  }

  Result<void> read_linear() {
    if (Result<void> there = need({leaf_const, num_features, leaf_features, leaf_coeff}); !there)
      return there;
    const auto constants = lines_.doubles(line(leaf_const), leaf_count_);
    if (!constants) return std::unexpected(constants.error());
    const auto counts = lines_.integers(line(num_features), leaf_count_, 0, kFeaturesMax);
    if (!counts) return std::unexpected(counts.error());
    std::size_t terms = 0;
    for (const std::int64_t count : *counts) terms += static_cast<std::size_t>(count);
    const auto features = lines_.integers(line(leaf_features), terms, 0, std::int64_t{zeros_.features} - 1);
    if (!features) return std::unexpected(features.error());
    const auto coefficients = lines_.doubles(line(leaf_coeff), terms);
    if (!coefficients) return std::unexpected(coefficients.error());
    if (forest_.linear_terms.size() + terms > kModelNodesMax) {
      return lines_.bad(line(leaf_features).number,
                        fmt::format("more than {} coefficients in all", kModelNodesMax), "train fewer trees");
    }
    std::size_t term = 0;
    for (std::size_t leaf = 0; leaf < leaf_count_; ++leaf) {
      nodes_[leaf_count_ - 1 + leaf].linear = static_cast<std::int32_t>(leaf);
      linear_.push_back({.node = 0,
                         .first = static_cast<std::uint32_t>(forest_.linear_terms.size()),
                         .count = static_cast<std::uint32_t>((*counts)[leaf]),
                         .constant = (*constants)[leaf]});
      for (const std::size_t end = term + static_cast<std::size_t>((*counts)[leaf]); term < end; ++term) {
        forest_.linear_terms.push_back(
            {.feature = static_cast<std::uint32_t>((*features)[term]), .coefficient = (*coefficients)[term]});
      }
    }
    return {};
  }

  TextLines& lines_;
  const TextLine& head_;
  Forest& forest_;
  ZeroIsMissing& zeros_;
  std::array<TextLine, kKeys> found_{};
  std::uint32_t leaf_count_ = 0;
  std::vector<double> leaf_values_;
  std::vector<std::size_t> set_ends_;  // in Forest::categories: of set i, [set_ends_[i], set_ends_[i + 1])
  std::vector<WideNode> nodes_;        // inner nodes, then leaves
  std::vector<LinearLeaf> linear_;
};

}  // namespace

std::uint32_t ZeroIsMissing::column(std::uint32_t feature) {
  second.resize(features);
  if (second[feature] == 0) {
    second[feature] = features + static_cast<std::uint32_t>(of.size());
    of.push_back(feature);
  }
  return second[feature];
}

Result<void> read_lightgbm_tree(TextLines& lines, const TextLine& head, std::uint32_t group, Forest& forest,
                                ZeroIsMissing& zeros) {
  return TreeReader(lines, head, forest, zeros).read(group);
}

}  // namespace tutti
