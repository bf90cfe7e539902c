// The product of kernels.hpp, written once for all instruction sets.
//
//               input k ─▶
//   row 0   x0[k] ──broadcast──▶ sum(row 0, panel) = fma(weight[panel][k], x0[k], sum)   registers of lanes
//   row 1   x1[k] ──broadcast──▶ sum(row 1, panel) = …
//
// A tile is some rows times some panels, as many as there are registers for their sums. A sum is a chain in
// which each step waits for the one before it, so a tile of few sums leaves the units idle: a few rows take
// many panels at once, many rows few panels, whose weights then stay in the nearest cache. Rows are shared
// out evenly: thirteen of them are tiles of seven and six, not of twelve and one.
//
// An instruction set says what its vectors are (struct Set, for one type of number):
//
//   Number, Lanes                        a number; the compilers' vector of kLanes of them
//   kSums                                registers that hold sums
//   kManyRowsPanels                      panels of a tile when there are many rows
//   load(from)                           aligned
//   store(into, lanes), store_first(into, lanes, count)
//   broadcast(from)                      one number in all lanes
//   multiply_add(weight, x, sum)
//   at_least_zero(lanes)                 0 where a lane is below 0; NaN stays NaN
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/dense/kernels.hpp"

namespace tutti::dense {
namespace {

inline constexpr int kTileRows = 12;

template <class Set>
inline constexpr int kPanelVectors = static_cast<int>(kPanel<typename Set::Number>) / Set::kLanes;

/// Rows of the largest tile that takes so many panels; 0: none does.
template <class Set, int kPanels>
inline constexpr int kRowsWith =
    Set::kSums / (kPanels * kPanelVectors<Set>) < kTileRows ? Set::kSums / (kPanels * kPanelVectors<Set>)
                                                            : kTileRows;

/// One register's numbers of a row, from number `first` on: all its lanes, or those that the row has.
template <class Set, class T = typename Set::Number>
[[gnu::always_inline]] inline void give(std::uint32_t first, std::uint32_t numbers, typename Set::Lanes lanes,
                                        T* into) {
  if (first + Set::kLanes <= numbers) {
    Set::store(into, lanes);
  } else if (first < numbers) {
    Set::store_first(into, lanes, numbers - first);
  }
}

template <int kIndex>
struct Index {
  static constexpr int kValue = kIndex;
};

/// body(0), body(1), …, each with a number that is known when compiling: compilers keep an array in registers
/// only where no loop is left to choose among its elements.
template <int kCount, class Body>
[[gnu::always_inline]] inline void unroll(Body body) {
  if constexpr (kCount > 0) {
    unroll<kCount - 1>(body);
    body(Index<kCount - 1>{});
  }
}

template <class Set, int kRows, int kPanels, class T = typename Set::Number>
void tile(const LayerView<T>& view, std::uint32_t panel, std::uint32_t row) {
  using Lanes = typename Set::Lanes;
  constexpr int kVectors = kPanels * kPanelVectors<Set>;
  // One pointer for three rows, which are reached from it without further arithmetic.
  constexpr int kPointers = (kRows + 2) / 3;
  const std::size_t stride = view.x_stride;
  const T* x[kPointers];
  unroll<kPointers>([&](auto at) __attribute__((always_inline)) {
    x[at.kValue] = view.x + (row + std::size_t{3 * at.kValue}) * stride;
  });
  const T* weights = view.weights + std::size_t{panel} * view.panel_stride;
  Lanes sums[kRows][kVectors];
  unroll<kRows * kVectors>([&](auto at) __attribute__((always_inline)) {
    sums[at.kValue / kVectors][at.kValue % kVectors] = Lanes{};
  });
  for (std::uint32_t input = 0; input < view.inputs; ++input, weights += kPanel<T>) {
    Lanes weight[kVectors];
    unroll<kVectors>([&](auto vector) __attribute__((always_inline)) {
      constexpr int kPart = vector.kValue / kPanelVectors<Set>;
      constexpr int kLane = vector.kValue % kPanelVectors<Set> * Set::kLanes;
      weight[vector.kValue] = Set::load(weights + std::size_t{kPart} * view.panel_stride + kLane);
    });
    unroll<kRows>([&](auto one) __attribute__((always_inline)) {
      const Lanes number = Set::broadcast(x[one.kValue / 3] + std::size_t{one.kValue % 3} * stride);
      unroll<kVectors>([&](auto vector) __attribute__((always_inline)) {
        sums[one.kValue][vector.kValue] =
            Set::multiply_add(weight[vector.kValue], number, sums[one.kValue][vector.kValue]);
      });
    });
    unroll<kPointers>([&](auto at) __attribute__((always_inline)) { ++x[at.kValue]; });
  }
  const std::uint32_t first = panel * kPanel<T>;
  unroll<kVectors>([&](auto vector) __attribute__((always_inline)) {
    const std::uint32_t place = first + std::uint32_t{vector.kValue * Set::kLanes};
    const Lanes bias = Set::load(view.bias + place);
    T* y = view.y + std::size_t{row} * view.y_stride + place;
    unroll<kRows>([&](auto one) __attribute__((always_inline)) {
      Lanes lanes = sums[one.kValue][vector.kValue] + bias;
      if (view.relu != 0) lanes = Set::at_least_zero(lanes);
      give<Set>(place, view.outputs, lanes, y);
      y += view.y_stride;
    });
  });
}

/// The tile of `rows` rows, which are at most kRows.
template <class Set, int kRows, int kPanels, class T = typename Set::Number>
void tile_of(const LayerView<T>& view, std::uint32_t panel, std::uint32_t row, std::uint32_t rows) {
  if constexpr (kRows > 1) {
    if (rows < kRows) return tile_of<Set, kRows - 1, kPanels>(view, panel, row, rows);
  }
  tile<Set, kRows, kPanels>(view, panel, row);
}

/// All rows times panels from `panel` on, kPanels at a time, then fewer.
template <class Set, int kPanels, class T = typename Set::Number>
void multiply_panels(const LayerView<T>& view, std::uint32_t panel, std::uint32_t panels) {
  constexpr int kRows = kRowsWith<Set, kPanels>;
  const std::uint32_t tiles = (view.rows + kRows - 1) / kRows;
  for (; panel + kPanels <= panels; panel += kPanels) {
    std::uint32_t row = 0;
    for (std::uint32_t left = tiles; left > 0; --left) {
      const std::uint32_t rows = (view.rows - row) / left;
      tile_of<Set, kRows, kPanels>(view, panel, row, rows);
      row += rows;
    }
  }
  if constexpr (kPanels > 1) {
    if (panel < panels) multiply_panels<Set, kPanels / 2>(view, panel, panels);
  }
}

/// Tiles of as many panels as a few rows leave registers for.
template <class Set, int kPanels, class T = typename Set::Number>
void multiply_with(const LayerView<T>& view, std::uint32_t panels) {
  if constexpr (kPanels > Set::kManyRowsPanels) {
    if (view.rows > std::uint32_t{kRowsWith<Set, kPanels>}) {
      return multiply_with<Set, kPanels / 2>(view, panels);
    }
  }
  if constexpr (kRowsWith<Set, kPanels> > 0) multiply_panels<Set, kPanels>(view, 0, panels);
}

template <class Set>
void multiply_layer(const LayerView<typename Set::Number>& view) {
  constexpr std::uint32_t kLanes = kPanel<typename Set::Number>;
  multiply_with<Set, 8>(view, (view.outputs + kLanes - 1) / kLanes);
}

}  // namespace
}  // namespace tutti::dense
