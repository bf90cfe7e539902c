#include "worker/trees/compact_forest.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace tutti::trees {
namespace {

constexpr std::uint32_t kGatherReach = 4;  // a rank is gathered with the three bytes behind it

std::uint32_t round_up(std::uint32_t number, std::uint32_t to) noexcept {
  return (number + to - 1) / to * to;
}

}  // namespace

CompactForest::CompactForest(Layout layout, const Kernels& kernels)
    : layout_(std::move(layout)), kernels_(kernels) {
  const std::uint32_t planes = std::max(layout_.complete.planes, layout_.missing.planes);
  stride_ = round_up(planes + kGatherReach, 64);
  bytes_.resize(std::size_t{kBlockRows} * stride_ + 64);
  words_.resize(std::size_t{kBlockRows} * kRowWords);
  for (const std::uint32_t steps : layout_.steps) walk_cost_ += kernels_.walk_cost * (steps + 3);
  if (layout_.tournament_trees.empty()) return;
  columns_.resize(std::size_t{stride_} * kBlockRows);
  sums_.resize(std::size_t{layout_.groups} * kBlockRows);
  constexpr std::uint64_t kLeavesCost = 24;
  for (const TournamentTree& tree : layout_.tournament_trees) {
    tournament_cost_ += (std::uint64_t{1} << tree.depth) + kLeavesCost;
  }
}

std::size_t CompactForest::bytes() const noexcept {
  return layout_.bytes() + bytes_.size() + columns_.size() + (words_.size() + sums_.size()) * sizeof(float);
}

void CompactForest::sum(MatrixView x, MutableMatrixView margins) noexcept {
  assert(x.columns == layout_.features && margins.rows == x.rows && margins.columns == layout_.groups);
  for (std::uint32_t row = 0; row < x.rows; row += std::min(kBlockRows, x.rows - row)) {
    sum_block(x.row(row).data(), std::min(kBlockRows, x.rows - row), margins.row(row).data());
  }
}

bool CompactForest::tournament_pays(std::uint32_t rows) const noexcept {
  if (tournament_cost_ == 0) return false;
  const std::uint64_t comparisons = (rows + kernels_.tournament_rows - 1) / kernels_.tournament_rows;
  return comparisons * tournament_cost_ < rows * walk_cost_;
}

void CompactForest::sum_block(const float* x, std::uint32_t rows, float* margins) noexcept {
  const RankView rank{.tables = layout_.tables.data(),
                      .features = layout_.plane_features.data(),
                      .planes = layout_.base_planes,
                      .stride = stride_};
  const bool missing = kernels_.rank(rank, x, layout_.features, rows, bytes_.data());
  if (missing) fill_missing(x, rows);
  const PackedTrees& trees = missing && layout_.missing.planes != 0 ? layout_.missing : layout_.complete;
  if (tournament_pays(rows)) {
    const auto shift = static_cast<std::uint32_t>(
        std::max(std::bit_width(rows - 1), std::bit_width(std::min(kernels_.tournament_rows, 32U) - 1)));
    kernels_.transpose(bytes_.data(), stride_, round_up(rows, 16), trees.planes, columns_.data(), shift);
    const TournamentView view{.nodes = trees.tournament_nodes.data(),
                              .leaves = layout_.leaves.data(),
                              .trees = layout_.tournament_trees.data(),
                              .tree_count = layout_.tree_count(),
                              .groups = layout_.groups,
                              .base_margins = layout_.base_margins.data()};
    kernels_.tournament(view, columns_.data(), shift, rows, sums_.data(), margins);
    return;
  }
  const WalkView view{.nodes = trees.nodes.data(),
                      .values = layout_.values.data(),
                      .crowns = trees.crowns.data(),
                      .bases = layout_.bases.data(),
                      .steps = layout_.steps.data(),
                      .tree_groups = layout_.tree_groups.data(),
                      .tree_count = layout_.tree_count(),
                      .plane_bits = trees.plane_bits,
                      .planes = trees.planes,
                      .stride = stride_,
                      .groups = layout_.groups,
                      .base_margins = layout_.base_margins.data()};
  kernels_.walk(view, bytes_.data(), rows, words_.data(), margins);
}

void CompactForest::fill_missing(const float* x, std::uint32_t rows) noexcept {
  for (std::uint32_t row = 0; row < rows; ++row) {
    const float* const numbers = x + std::size_t{row} * layout_.features;
    std::uint8_t* const ranks = bytes_.data() + std::size_t{row} * stride_;
    std::uint8_t* const copies = ranks + layout_.base_planes;
    for (std::size_t copy = 0; copy < layout_.copied_from.size(); ++copy) {
      const std::uint32_t plane = layout_.copied_from[copy];
      const float number = numbers[layout_.plane_features[plane]];
      copies[copy] = number != number ? std::uint8_t{255} : ranks[plane];
    }
    for (std::uint32_t plane = 0; plane < layout_.base_planes; ++plane) {
      const float number = numbers[layout_.plane_features[plane]];
      if (number != number) ranks[plane] = layout_.plane_missing[plane];
    }
  }
}

}  // namespace tutti::trees
