// A forest as the kernels want it: thresholds ranked, nodes packed, trees padded for the tournament.
//
//   Forest ──collect thresholds──▶ planes ──pack──▶ leap or walk, for missing numbers and without
//                                        └──pad───▶ tournament, where all trees are shallow enough
//
// Everything here is derived from the Forest and gives the same bits as it does. Nodes exist twice where some
// feature has nodes of both default directions: once for blocks of rows in which a number is missing, once,
// with half the planes, for all others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "worker/aligned.hpp"
#include "worker/trees.hpp"
#include "worker/trees/kernels.hpp"

namespace tutti::trees {

/// Trees of which every comparison is against a plane: one of the two ways to see missing numbers.
struct PackedTrees {
  std::uint32_t planes = 0;
  AlignedVector<std::uint32_t> words;            // blocks, of leaps or of walks
  AlignedVector<std::uint32_t> crowns;           // of walks
  AlignedVector<std::uint16_t> leap_crowns;      // of leaps, [trees, padded][kLeapNodes]; empty: no leaps
  std::vector<TournamentNode> crown_nodes;       // of leaps where there is no tournament, [tree][kCrownNodes]
  std::vector<TournamentNode> tournament_nodes;  // empty: no tournament
  AlignedVector<std::uint16_t> relay_nodes;      // empty: no relay
};

/// What is added up, in one of the two precisions.
template <class Number>
struct Leaves {
  std::vector<Number> base_margins;
  AlignedVector<Number> walk;  // each tree's leaves; only in double
  AlignedVector<Number> tournament;
  AlignedVector<Number> relay;
};

struct Layout {
  std::uint32_t features = 0;
  std::uint32_t groups = 0;
  bool is_wide = false;  // which of the two is filled
  Leaves<float> narrow;
  Leaves<double> wide;

  // Planes [0, base_planes) are ranked; the others are the same for default right, needed where NaN occurs.
  std::uint32_t base_planes = 0;
  AlignedVector<float> tables;                // [base_planes][kRankTable]
  AlignedVector<float> search_trees;          // [base_planes][kRankTree]
  std::vector<std::uint32_t> plane_features;  // [base_planes]
  std::vector<std::uint8_t> plane_missing;    // [base_planes]: what stands for NaN, 0 or 255
  std::vector<std::uint32_t> copied_from;     // [further planes]: the base plane

  PackedTrees complete;  // for rows without NaN
  PackedTrees missing;   // for the others; empty where `complete` does for both

  AlignedVector<std::uint32_t> bases;  // [trees, padded]: first words
  std::vector<std::uint32_t> levels;   // [vectors of trees]: blocks on the longest way down
  std::vector<std::uint32_t> tree_groups;
  std::vector<TournamentTree> tournament_trees;
  std::vector<RelayVector> relay_vectors;

  template <class Number>
  [[nodiscard]] const Leaves<Number>& leaves() const noexcept {
    if constexpr (std::is_same_v<Number, float>) {
      return narrow;
    } else {
      return wide;
    }
  }
  [[nodiscard]] std::uint32_t tree_count() const noexcept {
    return static_cast<std::uint32_t>(tree_groups.size());
  }
  /// Bytes that it holds.
  [[nodiscard]] std::size_t bytes() const noexcept;
};

/// Builds a layout a slice at a time, so that requests need not wait for the whole of it. Keeps a reference
/// to the forest. Time and memory are bounded by a small multiple of the forest's.
class LayoutBuilder {
 public:
  explicit LayoutBuilder(const Forest& forest);
  LayoutBuilder(LayoutBuilder&& other) noexcept;
  ~LayoutBuilder();

  /// Works on about `nodes` nodes, at least a tree's or a feature's. True when there is nothing left to do.
  bool advance(std::size_t nodes);

  /// What was built, once advance() has said true.
  /// Errors: why this forest stays in tier 0, for people: "it has categorical splits".
  std::expected<Layout, std::string> take();

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

/// All at once.
std::expected<Layout, std::string> build_layout(const Forest& forest);

/// True where build_layout is so quick that a model may begin with it.
bool builds_at_once(const Forest& forest) noexcept;

}  // namespace tutti::trees
