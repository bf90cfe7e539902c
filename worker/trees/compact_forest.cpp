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
  row_words_ = planes <= 64 ? kRowWords : planes <= 128 ? 2 * kRowWords : 4 * kRowWords;
  words_.resize(std::size_t{kBlockRows} * row_words_);
  std::uint64_t relay_cost = 0;
  for (const RelayVector& vector : layout_.relay_vectors) {
    relay_cost += (std::uint64_t{kernels_.relay_cost} << vector.depth) + kernels_.relay_leaves_cost;
    relay_depths_ |= 1U << vector.depth;
  }
  const std::uint64_t step_cost =
      layout_.complete.leap_crowns.empty() ? kernels_.walk_cost : kernels_.leap_cost;
  for (const std::uint32_t levels : layout_.levels) row_cost_ += step_cost * (levels + 1);
  relays_ =
      kernels_.relay_cost != 0 && !layout_.complete.relay_nodes.empty() && relay_cost / 100 <= row_cost_;
  if (relays_) row_cost_ = relay_cost / 100;
  columns_.resize(std::size_t{stride_} * kBlockRows + 64);
  if (layout_.tournament_trees.empty()) return;
  if (layout_.is_wide) {
    wide_sums_.resize(std::size_t{layout_.groups} * kBlockRows);
  } else {
    sums_.resize(std::size_t{layout_.groups} * kBlockRows);
  }
  constexpr std::uint64_t kLeavesCost = 24;
  for (const TournamentTree& tree : layout_.tournament_trees) {
    tournament_cost_ += (std::uint64_t{1} << tree.depth) + kLeavesCost;
  }
}

std::size_t CompactForest::bytes() const noexcept {
  return layout_.bytes() + bytes_.size() + columns_.size() + (words_.size() + sums_.size()) * sizeof(float) +
         wide_sums_.size() * sizeof(double);
}

void CompactForest::sum(MatrixView x, MutableMatrixView margins) noexcept { sum_blocks(x, margins, sums_); }

void CompactForest::sum(MatrixView x, WideMatrixView margins) noexcept { sum_blocks(x, margins, wide_sums_); }

template <class Number>
void CompactForest::sum_blocks(MatrixView x, BasicMatrixView<Number> margins,
                               AlignedVector<Number>& sums) noexcept {
  assert(layout_.is_wide == (sizeof(Number) == sizeof(double)));
  assert(x.columns == layout_.features && margins.rows == x.rows && margins.columns == layout_.groups);
  for (std::uint32_t row = 0; row < x.rows; row += std::min(kBlockRows, x.rows - row)) {
    const std::uint32_t rows = std::min(kBlockRows, x.rows - row);
    sum_block(kernels_for(rows), x.row(row).data(), rows, margins.row(row).data(), sums.data());
  }
}

bool CompactForest::tournament_pays(std::uint32_t rows) const noexcept {
  if (tournament_cost_ == 0) return false;
  const std::uint64_t comparisons = (rows + kernels_.tournament_rows - 1) / kernels_.tournament_rows;
  const std::uint64_t percent = comparisons > 1 ? kernels_.wide_percent : 100;
  return comparisons * tournament_cost_ * percent < rows * row_cost_ * 100;
}

template <class Number>
void CompactForest::sum_block(const Kernels& kernels, const float* x, std::uint32_t rows, Number* margins,
                              Number* sums) noexcept {
  const RankView rank{.tables = layout_.tables.data(),
                      .trees = layout_.search_trees.data(),
                      .features = layout_.plane_features.data(),
                      .planes = layout_.base_planes,
                      .stride = stride_};
  if (tournament_pays(rows)) {
    const auto shift = static_cast<std::uint32_t>(
        std::max(std::bit_width(rows - 1), std::bit_width(std::min(kernels.tournament_rows, 32U) - 1)));
    const bool missing = kernels.rank_columns(rank, x, layout_.features, rows, columns_.data(), shift);
    if (missing) fill_missing(x, rows, columns_.data(), 1, std::size_t{1} << shift);
    const TournamentView<Number> view{.nodes = trees_for(missing).tournament_nodes.data(),
                                      .leaves = layout_.leaves<Number>().tournament.data(),
                                      .trees = layout_.tournament_trees.data(),
                                      .tree_count = layout_.tree_count(),
                                      .groups = layout_.groups,
                                      .base_margins = layout_.leaves<Number>().base_margins.data()};
    kernels.sums<Number>().tournament(view, columns_.data(), shift, rows, sums, margins);
    return;
  }
  if (rows >= 16) {
    // Ranked by columns, in a fraction of the time, and turned.
    const auto shift = std::max(static_cast<std::uint32_t>(std::bit_width(rows - 1)), 6U);
    const bool missing = kernels.rank_columns(rank, x, layout_.features, rows, columns_.data(), shift);
    if (missing) fill_missing(x, rows, columns_.data(), 1, std::size_t{1} << shift);
    turn(trees_for(missing).planes, rows, shift);
    walk_or_relay(kernels, trees_for(missing), rows, shift, margins);
    return;
  }
  const bool missing = kernels.rank_rows(rank, x, layout_.features, rows, bytes_.data());
  if (missing) fill_missing(x, rows, bytes_.data(), stride_, 1);
  walk_or_relay(kernels, trees_for(missing), rows, 0, margins);
}

template void CompactForest::sum_block(const Kernels&, const float*, std::uint32_t, float*, float*) noexcept;
template void CompactForest::sum_block(const Kernels&, const float*, std::uint32_t, double*,
                                       double*) noexcept;

/// From ranks by columns to ranks by rows.
void CompactForest::turn(std::uint32_t planes, std::uint32_t rows, std::uint32_t shift) noexcept {
  constexpr std::uint32_t kTile = 16;
  for (std::uint32_t first = 0; first < rows; first += kTile) {
    const std::uint32_t end = std::min(rows, first + kTile);
    for (std::uint32_t plane = 0; plane < planes; ++plane) {
      const std::uint8_t* const column = columns_.data() + (std::size_t{plane} << shift);
      std::uint8_t* const into = bytes_.data() + plane;
      for (std::uint32_t row = first; row < end; ++row) into[std::size_t{row} * stride_] = column[row];
    }
  }
}

/// Few rows of shallow trees, or any of deep ones. `shift`: of the columns, where they are ranked too; else
/// 0.
template <class Number>
void CompactForest::walk_or_relay(const Kernels& kernels, const PackedTrees& trees, std::uint32_t rows,
                                  std::uint32_t shift, Number* margins) noexcept {
  const Sums<Number>& ways = kernels.sums<Number>();
  const Leaves<Number>& leaves = layout_.leaves<Number>();
  if (relays_ && !trees.relay_nodes.empty()) {
    const RelayView<Number> view{.nodes = trees.relay_nodes.data(),
                                 .leaves = leaves.relay.data(),
                                 .vectors = layout_.relay_vectors.data(),
                                 .vector_count = static_cast<std::uint32_t>(layout_.relay_vectors.size()),
                                 .tree_groups = layout_.tree_groups.data(),
                                 .stride = stride_,
                                 .groups = layout_.groups,
                                 .depths = relay_depths_,
                                 .base_margins = leaves.base_margins.data()};
    ways.relay(view, bytes_.data(), rows, margins);
    return;
  }
  if (!trees.leap_crowns.empty()) {
    const bool many = shift != 0 && rows >= kernels.crown_rows && !trees.crown_nodes.empty();
    const LeapView<Number> view{.words = trees.words.data(),
                                .leaves = leaves.walk.data(),
                                .crowns = trees.leap_crowns.data(),
                                .crown_nodes = trees.crown_nodes.data(),
                                .columns = many ? columns_.data() : nullptr,
                                .shift = shift,
                                .bases = layout_.bases.data(),
                                .levels = layout_.levels.data(),
                                .tree_groups = layout_.tree_groups.data(),
                                .tree_count = layout_.tree_count(),
                                .planes = trees.planes,
                                .stride = stride_,
                                .row_words = row_words_,
                                .groups = layout_.groups,
                                .base_margins = leaves.base_margins.data()};
    ways.leap(view, bytes_.data(), rows, words_.data(), margins);
    return;
  }
  const WalkView<Number> view{.words = trees.words.data(),
                              .leaves = leaves.walk.data(),
                              .crowns = trees.crowns.data(),
                              .bases = layout_.bases.data(),
                              .levels = layout_.levels.data(),
                              .tree_groups = layout_.tree_groups.data(),
                              .tree_count = layout_.tree_count(),
                              .stride = stride_,
                              .groups = layout_.groups,
                              .base_margins = leaves.base_margins.data()};
  if (kernels.descend_rows != 0 && rows >= kernels.descend_rows) {
    descend(view, bytes_.data(), rows, margins);
  } else {
    ways.walk(view, bytes_.data(), rows, words_.data(), margins);
  }
}

const PackedTrees& CompactForest::trees_for(bool missing) const noexcept {
  return missing && layout_.missing.planes != 0 ? layout_.missing : layout_.complete;
}

void CompactForest::fill_missing(const float* x, std::uint32_t rows, std::uint8_t* ranks,
                                 std::size_t next_row, std::size_t next_plane) noexcept {
  // Copies first: they take the ranks of numbers that are there.
  for (std::size_t copy = 0; copy < layout_.copied_from.size(); ++copy) {
    const std::uint32_t plane = layout_.copied_from[copy];
    const std::uint8_t* from = ranks + plane * next_plane;
    std::uint8_t* into = ranks + (layout_.base_planes + copy) * next_plane;
    const float* number = x + layout_.plane_features[plane];
    for (std::uint32_t row = 0; row < rows; ++row) {
      *into = *number != *number ? std::uint8_t{255} : *from;
      number += layout_.features;
      from += next_row;
      into += next_row;
    }
  }
  for (std::uint32_t plane = 0; plane < layout_.base_planes; ++plane) {
    if (layout_.plane_missing[plane] == 0) continue;  // as ranked
    std::uint8_t* into = ranks + plane * next_plane;
    const float* number = x + layout_.plane_features[plane];
    for (std::uint32_t row = 0; row < rows; ++row) {
      if (*number != *number) *into = layout_.plane_missing[plane];
      number += layout_.features;
      into += next_row;
    }
  }
}

}  // namespace tutti::trees
