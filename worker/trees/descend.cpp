#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

constexpr std::uint32_t kTogether = 8;

/// Rows that are at the same level of the same tree.
template <std::uint32_t kRows>
struct Group {
  const std::uint8_t* ranks[kRows];
  std::uint32_t at[kRows];
  std::uint32_t block[kRows];

  /// Three levels of the words that begin at `words + block`, `distance` words from one to the next.
  void three_levels(const std::uint32_t* words, std::uint32_t distance) noexcept {
    for (std::uint32_t row = 0; row < kRows; ++row) at[row] = 1;
    for (int step = 0; step < 3; ++step) {
      for (std::uint32_t row = 0; row < kRows; ++row) {
        const std::uint32_t node = words[block[row] + at[row] * distance];
        at[row] = 2 * at[row] + static_cast<std::uint32_t>(ranks[row][node & 0xffffffU] > node >> 24);
      }
    }
  }
};

float leaf_of(const WalkView<float>& /*view*/, std::uint32_t exit) noexcept {
  float value = 0.0F;
  __builtin_memcpy(&value, &exit, sizeof value);
  return value;
}
double leaf_of(const WalkView<double>& view, std::uint32_t exit) noexcept { return view.leaves[exit]; }

template <std::uint32_t kRows, class Number>
void descend_tree(const WalkView<Number>& view, std::uint32_t tree, const std::uint8_t* bytes,
                  Number* margins) noexcept {
  const std::uint32_t* const crown = view.crowns + std::size_t{tree / kVectorTrees} * kCrown * kVectorTrees +
                                     tree % kVectorTrees - kVectorTrees;
  const std::uint32_t base = view.bases[tree];
  const std::uint32_t levels = view.levels[tree / kVectorTrees];
  Group<kRows> group;
  for (std::uint32_t row = 0; row < kRows; ++row) {
    group.ranks[row] = bytes + std::size_t{row} * view.stride;
    group.block[row] = 0;
  }
  group.three_levels(crown, kVectorTrees);
  for (std::uint32_t row = 0; row < kRows; ++row) group.block[row] = base + (group.at[row] - 8) * kBlockWords;
  std::uint32_t exits[kRows];
  for (std::uint32_t level = 1;; ++level) {
    group.three_levels(view.words, 1);
    for (std::uint32_t row = 0; row < kRows; ++row) exits[row] = view.words[group.block[row] + group.at[row]];
    if (level == levels) break;
    // A row that has arrived goes through its last block again.
    for (std::uint32_t row = 0; row < kRows; ++row) {
      const bool further = static_cast<std::int32_t>(exits[row]) >= static_cast<std::int32_t>(kBlockExit);
      const std::uint32_t below = base + (exits[row] - kBlockExit) * kBlockWords;
      group.block[row] = further ? below : group.block[row];
    }
  }
  for (std::uint32_t row = 0; row < kRows; ++row) {
    margins[std::size_t{row} * view.groups + view.tree_groups[tree]] += leaf_of(view, exits[row]);
  }
}

}  // namespace

template <class Number>
void descend(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows, Number* margins) {
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (std::uint32_t group = 0; group < view.groups; ++group) {
      margins[std::size_t{row} * view.groups + group] = view.base_margins[group];
    }
  }
  for (std::uint32_t tree = 0; tree < view.tree_count; ++tree) {
    std::uint32_t row = 0;
    for (; rows - row >= kTogether; row += kTogether) {
      descend_tree<kTogether>(view, tree, bytes + std::size_t{row} * view.stride,
                              margins + std::size_t{row} * view.groups);
    }
    for (; row < rows; ++row) {
      descend_tree<1>(view, tree, bytes + std::size_t{row} * view.stride,
                      margins + std::size_t{row} * view.groups);
    }
  }
}

template void descend(const WalkView<float>&, const std::uint8_t*, std::uint32_t, float*);
template void descend(const WalkView<double>&, const std::uint8_t*, std::uint32_t, double*);

}  // namespace tutti::trees
