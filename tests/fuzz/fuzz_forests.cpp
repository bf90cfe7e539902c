// A forest made of the bytes, and rows that it finds hard: every tier and every instruction set that this CPU
// runs gives the bits of the interpreter, in batches of every kind.
//
// The bytes choose first what kind of forest it is, then its trees, its numbers and its rows; where they end,
// a generator that they have seeded goes on, so that a few bytes make a large forest, too.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <random>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"
#include "worker/trees/layout.hpp"

namespace {

using namespace tutti;

constexpr std::uint32_t kRows = 257;
constexpr std::uint32_t kBatches[] = {kRows, 1, 3, 16, 31, 64};
constexpr std::uint32_t kNodesMax = 2000;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Chance {
 public:
  Chance(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {
    std::uint32_t seed = 2166136261;
    for (const std::uint8_t byte : bytes_) seed = (seed ^ byte) * 16777619;
    generator_.seed(seed);
  }

  std::uint32_t below(std::uint32_t end) {
    std::uint32_t number = 0;
    if (bytes_.empty()) {
      number = static_cast<std::uint32_t>(generator_());
    } else {
      for (std::uint32_t left = end; left > 1 && !bytes_.empty(); left >>= 8) {
        number = number << 8 | bytes_.front();
        bytes_ = bytes_.subspan(1);
      }
    }
    return number % end;
  }

  bool percent(std::uint32_t of) { return below(100) < of; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::minstd_rand generator_;
};

/// Forests of every shape that a reader may build: the invariants of worker/trees.hpp hold.
class Maker {
 public:
  explicit Maker(Chance& chance)
      : chance_(chance),
        thresholds_(1 + chance.below(chance.percent(10) ? 2000 : 40)),
        depth_(chance.below(16)),
        leaf_percent_(chance.below(60)),
        right_percent_(chance.below(4) * 33),
        category_percent_(chance.percent(15) ? chance.below(60) : 0) {
    forest_.features = 1 + chance.below(chance.percent(10) ? 300 : 20);
    forest_.wide = chance.percent(40);
    const std::uint32_t groups = chance.percent(30) ? 1 + chance.below(chance.percent(5) ? 1100 : 9) : 1;
    for (std::uint32_t group = 0; group < groups; ++group) {
      if (forest_.wide) {
        forest_.wide_base_margins.push_back(wide_leaf());
      } else {
        forest_.base_margins.push_back(leaf());
      }
    }
    if (!forest_.wide) {
      forest_.weighted = chance.percent(20);
      if (!forest_.weighted && chance.percent(15)) {
        forest_.reduction = chance.percent(50) ? Forest::Reduction::least : Forest::Reduction::greatest;
      }
    }
    if (chance.percent(20)) forest_.category_above = -1.0F;
    for (std::uint32_t trees = 1 + chance.below(chance.percent(30) ? 130 : 20); trees > 0; --trees) {
      add_tree(groups);
      if (forest_.nodes.size() > kNodesMax) break;
    }
    if (forest_.wide) add_wide_leaves();
  }

  Forest take() { return std::move(forest_); }

  std::vector<float> rows(std::uint32_t count) {
    const std::uint32_t missing_percent = chance_.percent(50) ? 0 : chance_.below(60);
    std::vector<float> x(std::size_t{count} * forest_.features);
    for (float& number : x) {
      number = threshold();
      switch (chance_.below(6)) {
        case 0:
          number = std::nextafter(number, -kInfinity);
          break;
        case 1:
          number = std::nextafter(number, kInfinity);
          break;
        case 2:
          number = static_cast<float>(chance_.below(90)) - 4.0F;  // categories, and what is none
          break;
        case 3:
          number = chance_.percent(50) ? kInfinity : -kInfinity;
          break;
        default:
          break;
      }
      if (chance_.percent(missing_percent)) number = std::numeric_limits<float>::quiet_NaN();
    }
    return x;
  }

 private:
  /// Numbers whose sums depend on their order, and some at the ends of their range; always finite.
  float leaf() {
    constexpr float kSpecial[] = {0.0F,
                                  -0.0F,
                                  std::numeric_limits<float>::denorm_min(),
                                  -std::numeric_limits<float>::min() / 4,
                                  std::numeric_limits<float>::max(),
                                  -std::numeric_limits<float>::max()};
    if (chance_.percent(8)) return kSpecial[chance_.below(std::size(kSpecial))];
    return std::ldexp(static_cast<float>(chance_.below(1U << 24)) / 16777216.0F - 0.5F,
                      static_cast<int>(chance_.below(12)) - 6);
  }

  double wide_leaf() { return static_cast<double>(leaf()) + std::ldexp(static_cast<double>(leaf()), -26); }

  float threshold() {
    constexpr float kSpecial[] = {0.0F,
                                  -0.0F,
                                  std::numeric_limits<float>::denorm_min(),
                                  -std::numeric_limits<float>::denorm_min(),
                                  std::numeric_limits<float>::min(),
                                  std::numeric_limits<float>::max(),
                                  -std::numeric_limits<float>::max(),
                                  kInfinity,
                                  -kInfinity};
    if (chance_.percent(10)) return kSpecial[chance_.below(std::size(kSpecial))];
    return static_cast<float>(chance_.below(thresholds_)) * 0.37F - 5.0F;
  }

  void add_tree(std::uint32_t groups) {
    const auto root = static_cast<std::uint32_t>(forest_.nodes.size());
    forest_.trees.push_back({.root = root, .group = chance_.below(groups), .weight = leaf()});
    std::vector<std::uint32_t> levels{0};
    forest_.nodes.push_back({});
    for (std::size_t at = 0; at < levels.size(); ++at) {
      const auto slot = root + static_cast<std::uint32_t>(at);
      if (levels[at] == depth_ || slot > kNodesMax || chance_.percent(leaf_percent_)) {
        forest_.nodes[slot] = {.value = leaf(), .left = slot, .bits = 0};
        continue;
      }
      const std::uint32_t missing = chance_.percent(right_percent_) ? TreeNode::kMissingRight : 0;
      forest_.nodes[slot] = {.value = threshold(),
                             .left = root + static_cast<std::uint32_t>(levels.size()),
                             .bits = chance_.below(forest_.features) | TreeNode::kInner | missing};
      if (chance_.percent(category_percent_)) add_split(forest_.nodes[slot]);
      levels.insert(levels.end(), 2, levels[at] + 1);
      forest_.nodes.resize(forest_.nodes.size() + 2);
    }
  }

  void add_split(TreeNode& node) {
    const auto first = static_cast<std::uint32_t>(forest_.categories.size());
    const std::uint32_t step = 1 + chance_.below(chance_.percent(10) ? 100'000 : 5);
    std::uint32_t category = chance_.below(4);
    const std::uint32_t count = chance_.below(40);
    for (std::uint32_t left = count; left > 0; --left, category += 1 + chance_.below(step)) {
      forest_.categories.push_back(category);
    }
    split_by_category(forest_, node, first, count);
  }

  void add_wide_leaves() {
    for (std::size_t node = 0; node < forest_.nodes.size(); ++node) {
      forest_.wide_leaves.push_back(wide_leaf());
    }
    if (!chance_.percent(15)) return;
    for (std::uint32_t node = 0; node < forest_.nodes.size(); ++node) {
      if ((forest_.nodes[node].bits & TreeNode::kInner) != 0 || !chance_.percent(70)) continue;
      LinearLeaf linear{.node = node,
                        .first = static_cast<std::uint32_t>(forest_.linear_terms.size()),
                        .count = chance_.below(4),
                        .constant = wide_leaf()};
      for (std::uint32_t term = 0; term < linear.count; ++term) {
        forest_.linear_terms.push_back(
            {.feature = chance_.below(forest_.features), .coefficient = wide_leaf()});
      }
      forest_.linear_leaves.push_back(linear);
    }
  }

  Chance& chance_;
  std::uint32_t thresholds_;
  std::uint32_t depth_;
  std::uint32_t leaf_percent_;
  std::uint32_t right_percent_;
  std::uint32_t category_percent_;
  Forest forest_;
};

template <class Number>
bool same(Number left, Number right) {
  using Bits = std::conditional_t<sizeof(Number) == 8, std::uint64_t, std::uint32_t>;
  // NaN apart, whose sign and payload may differ: sums of finite leaves may overflow.
  return std::bit_cast<Bits>(left) == std::bit_cast<Bits>(right) || (std::isnan(left) && std::isnan(right));
}

/// Asks in batches of each size, the small ones for some rows only, and compares with `wanted`.
template <class Number, class Ask>
void check_batches(const Forest& forest, const std::vector<float>& x, const std::vector<Number>& wanted,
                   const Ask& ask) {
  for (const std::uint32_t batch : kBatches) {
    const std::uint32_t rows = std::min(kRows, batch * 3);
    std::vector<Number> margins(std::size_t{rows} * forest.groups(), Number{-1e30F});
    for (std::uint32_t first = 0; first < rows; first += batch) {
      const std::uint32_t count = std::min(batch, rows - first);
      ask(MatrixView{&x[std::size_t{first} * forest.features], count, forest.features},
          BasicMatrixView<Number>{&margins[std::size_t{first} * forest.groups()], count, forest.groups()});
    }
    assert(std::equal(margins.begin(), margins.end(), wanted.begin(), same<Number>));
  }
}

template <class Number>
void check_forest(const Forest& forest, const std::vector<float>& x, Chance& chance) {
  std::vector<Number> wanted(std::size_t{kRows} * forest.groups());
  sum_trees(forest, {x.data(), kRows, forest.features},
            BasicMatrixView<Number>{wanted.data(), kRows, forest.groups()});
  check_batches(forest, x, wanted,
                [&](MatrixView rows, BasicMatrixView<Number> margins) { sum_trees(forest, rows, margins); });
  trees::LayoutBuilder builder(forest);
  for (const std::size_t slice = 1 + chance.below(5000); !builder.advance(slice);) {
  }
  const auto layout = builder.take();
  if (!layout) {
    assert(!layout.error().empty());
    return;
  }
  for (const trees::Kernels* const kernels : trees::runnable_kernels()) {
    trees::CompactForest compact(*layout, *kernels);
    check_batches(forest, x, wanted,
                  [&](MatrixView rows, BasicMatrixView<Number> margins) { compact.sum(rows, margins); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Chance chance(data, size);
  Maker maker(chance);
  const std::vector<float> x = maker.rows(kRows);
  const Forest forest = maker.take();
  if (forest.wide) {
    check_forest<double>(forest, x, chance);
  } else {
    check_forest<float>(forest, x, chance);
  }
  return 0;
}
