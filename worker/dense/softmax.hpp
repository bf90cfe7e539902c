// exp(y - max) / sum for rows of float numbers: the C library's exp, number by number, took as long as a
// layer.
//
//   e^x = 2^n · e^r,   n = x / ln 2 rounded,   r = x - n ln 2 in [-0.35, 0.35]
//
// e^r is a polynomial of degree six, fitted for the least relative error. x is never above 0 here; e^0 is 1,
// and below e^-87 is nothing but 0: CPUs take a hundred times as long for the last few numbers above 0.
//
// The order is defined once for every instruction set, as that of the layers is: numbers stand in lanes of
// sixteen, number j in lane j % 16; each lane is summed in the order of j, then lane l and lane l + 8, l and
// l + 4, l and l + 2, l and l + 1 (`fold`). A row's lanes beyond its last number hold 0.
//
// Beside what multiply.hpp lists, a struct Set for floats says:
//
//   Words                                as many 32-bit integers as Lanes has numbers
//   all(number)                          a number in all lanes
//   load_any(from)                       not aligned
//   load_first(from, count, rest)        `count` numbers, which are fewer than the lanes, and `rest`
//   fold<Operation>(lanes)               of a panel's kPanelVectors registers
#pragma once

#include <cstddef>
#include <cstdint>

#include "worker/dense/kernels.hpp"
#include "worker/dense/multiply.hpp"

namespace tutti::dense {
namespace {

/// The operations of fold(), for numbers and vectors.
struct Larger {
  template <class Value>
  [[gnu::always_inline]] static inline Value of(Value left, Value right) {
    return left > right ? left : right;
  }
};
struct Sum {
  template <class Value>
  [[gnu::always_inline]] static inline Value of(Value left, Value right) {
    return left + right;
  }
};

/// e^x for x <= 0; 0 where it would be below 2^-126. NaN stays NaN.
template <class Set>
[[gnu::always_inline]] inline typename Set::Lanes exponential(typename Set::Lanes x) {
  using Lanes = typename Set::Lanes;
  using Words = typename Set::Words;
  const auto below = x < Set::all(-87.0F);
  x = below ? Set::all(-87.0F) : x;
  // Added to 1.5 · 2^23, a number is rounded to a whole one, which then stands in the low bits.
  const Lanes shifted = Set::multiply_add(x, Set::all(1.44269502F), Set::all(12582912.0F));
  const Lanes whole = shifted - Set::all(12582912.0F);
  Lanes r = Set::multiply_add(whole, Set::all(-0.693359375F), x);
  r = Set::multiply_add(whole, Set::all(2.12194442e-4F), r);
  Lanes power = Set::multiply_add(Set::all(0x1.6d117cp-10F), r, Set::all(0x1.120be2p-7F));
  power = Set::multiply_add(power, r, Set::all(0x1.555518p-5F));
  power = Set::multiply_add(power, r, Set::all(0x1.5554dcp-3F));
  power = Set::multiply_add(power, r, Set::all(0.5F));
  power = Set::multiply_add(power, r, Set::all(1.0F));
  power = Set::multiply_add(power, r, Set::all(1.0F));
  const Words exponent = (reinterpret_cast<Words>(shifted) + (127 - 0x4b400000)) << 23;
  return below ? Lanes{} : power * reinterpret_cast<Lanes>(exponent);
}

/// Sixteen numbers of a row.
template <class Set>
struct Panel {
  typename Set::Lanes parts[kPanelVectors<Set>];
};

/// Those of a row from `first` on, and `rest` where it has none.
template <class Set>
[[gnu::always_inline]] inline Panel<Set> load_panel(const float* row, std::uint32_t first,
                                                    std::uint32_t numbers, float rest) {
  Panel<Set> panel;
  unroll<kPanelVectors<Set>>([&](auto part) __attribute__((always_inline)) {
    const std::uint32_t place = first + std::uint32_t{part.kValue * Set::kLanes};
    panel.parts[part.kValue] = place + Set::kLanes <= numbers ? Set::load_any(row + place)
                               : place < numbers ? Set::load_first(row + place, numbers - place, rest)
                                                 : Set::all(rest);
  });
  return panel;
}

template <class Set>
[[gnu::always_inline]] inline void store_panel(const Panel<Set>& panel, float* row, std::uint32_t first,
                                               std::uint32_t numbers) {
  unroll<kPanelVectors<Set>>([&](auto part) __attribute__((always_inline)) {
    const std::uint32_t place = first + std::uint32_t{part.kValue * Set::kLanes};
    give<Set>(place, numbers, panel.parts[part.kValue], row + place);
  });
}

/// Part by part: function(part of left, part of right).
template <class Set, class Function>
[[gnu::always_inline]] inline Panel<Set> each(Panel<Set> left, const Panel<Set>& right, Function function) {
  unroll<kPanelVectors<Set>>([&](auto part) __attribute__((always_inline)) {
    left.parts[part.kValue] = function(left.parts[part.kValue], right.parts[part.kValue]);
  });
  return left;
}

template <class Set>
[[gnu::always_inline]] inline Panel<Set> exponentials(Panel<Set> panel, float largest) {
  unroll<kPanelVectors<Set>>([&](auto part) __attribute__((always_inline)) {
    panel.parts[part.kValue] = exponential<Set>(panel.parts[part.kValue] - Set::all(largest));
  });
  return panel;
}

template <class Set>
[[gnu::always_inline]] inline Panel<Set> quotients(Panel<Set> panel, float sum) {
  unroll<kPanelVectors<Set>>([&](auto part) __attribute__((always_inline)) {
    panel.parts[part.kValue] = panel.parts[part.kValue] / Set::all(sum);
  });
  return panel;
}

/// A row that is one panel stays in registers.
template <class Set>
[[gnu::always_inline]] inline void softmax_panel(const float* x, float* y, std::uint32_t numbers) {
  const Panel<Set> panel = load_panel<Set>(x, 0, numbers, -__builtin_inff());
  const Panel<Set> powers = exponentials<Set>(panel, Set::template fold<Larger>(panel.parts));
  store_panel<Set>(quotients<Set>(powers, Set::template fold<Sum>(powers.parts)), y, 0, numbers);
}

template <class Set>
void softmax_row(const float* x, float* y, std::uint32_t numbers) {
  using Lanes = typename Set::Lanes;
  constexpr std::uint32_t kLanes = kPanel<float>;
  Panel<Set> largest = load_panel<Set>(x, 0, numbers, -__builtin_inff());
  for (std::uint32_t first = kLanes; first < numbers; first += kLanes) {
    largest = each<Set>(largest, load_panel<Set>(x, first, numbers, -__builtin_inff()),
                        [](Lanes left, Lanes right) { return Larger::of(left, right); });
  }
  const float most = Set::template fold<Larger>(largest.parts);
  Panel<Set> sums{};
  for (std::uint32_t first = 0; first < numbers; first += kLanes) {
    const Panel<Set> powers = exponentials<Set>(load_panel<Set>(x, first, numbers, -__builtin_inff()), most);
    sums = each<Set>(sums, powers, [](Lanes left, Lanes right) { return left + right; });
    store_panel<Set>(powers, y, first, numbers);
  }
  const float sum = Set::template fold<Sum>(sums.parts);
  for (std::uint32_t first = 0; first < numbers; first += kLanes) {
    store_panel<Set>(quotients<Set>(load_panel<Set>(y, first, numbers, 0.0F), sum), y, first, numbers);
  }
}

/// From one place to another: CPUs take a masked store for one of the whole vector, and a load from the next
/// row would have to wait for it.
template <class Set>
void softmax_rows(const RowsView& view) {
  for (std::uint32_t row = 0; row < view.rows; ++row) {
    const float* const x = view.x + std::size_t{row} * view.x_stride;
    float* const y = view.y + std::size_t{row} * view.y_stride;
    if (view.numbers <= kPanel<float>) {
      softmax_panel<Set>(x, y, view.numbers);
    } else {
      softmax_row<Set>(x, y, view.numbers);
    }
  }
}

}  // namespace
}  // namespace tutti::dense
