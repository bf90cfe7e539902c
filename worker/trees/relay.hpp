// The relay: one row under a vector of shallow trees, without a gather. All nodes of a level stand side by
// side for all trees of the vector; the decisions so far choose among them by blending, the row's ranks are
// looked up by a permutation, and a comparison makes the next decision.
//
//   level 0   n0                        ──compare──▶ d0
//   level 1   n0 n1        ─blend d0──▶ ──compare──▶ d1
//   level 2   n0 n1 n2 n3  ─blend d0, then d1──▶ ──compare──▶ d2 …
//
// Memory is read in order and the same for every row: two bytes a node. Leaves are added one by one, in the
// order of the trees; the sums of four rows run beside each other.
//
// Written once; an instruction set says what a vector of kRelayTrees words of 16 bits is (struct Set):
//
//   Words, Decisions, kParts            a vector is kParts of Words, kPartTrees trees each
//   load, blend(decisions, no, yes)
//   Row; row(bytes)                     a row's ranks, up to kRelayPlanes of them
//   right(row, nodes)                   the trees that go right
//   number(decisions, count), store     leaf numbers: the decisions as bits, the first one highest
#pragma once

#include <cstdint>

#include "worker/trees/kernels.hpp"

namespace tutti::trees {
namespace {

/// The words of a level that the first kBit + 1 decisions choose, begun at candidate kFrom. The first
/// decision is blended first: the last one is known last.
template <class Set, int kLevel, int kBit, int kFrom>
[[gnu::always_inline]] inline typename Set::Words choose(const std::uint16_t* level,
                                                         const typename Set::Decisions* decisions) {
  if constexpr (kBit < 0) {
    return Set::load(level + std::size_t{kFrom} * kRelayTrees);
  } else {
    constexpr int kOther = kFrom | 1 << (kLevel - 1 - kBit);
    return Set::blend(decisions[kBit], choose<Set, kLevel, kBit - 1, kFrom>(level, decisions),
                      choose<Set, kLevel, kBit - 1, kOther>(level, decisions));
  }
}

/// Leaves of one row that are still to be added: those of a whole vector of trees of the same depth as the
/// next one.
template <class Number>
struct Pending {
  Number sum = 0;
  const std::uint16_t* numbers = nullptr;
  const Number* leaves = nullptr;
};

/// The decisions of the levels from kLevel on. Between them a share of the pending leaves is added: additions
/// that wait for one another hide behind the comparisons.
template <class Set, int kDepth, int kLevel, bool kWoven, class Number>
[[gnu::always_inline]] inline void decide(const std::uint16_t* nodes, const typename Set::Row& row,
                                          typename Set::Decisions* decisions, const Pending<Number>& pending,
                                          Number& sum) {
  if constexpr (kLevel < kDepth) {
    const std::uint16_t* const level = nodes + ((std::size_t{1} << kLevel) - 1) * kRelayTrees;
    decisions[kLevel] = Set::right(row, choose<Set, kLevel, kLevel - 1, 0>(level, decisions));
    if constexpr (kWoven) {
      constexpr int kTrees = static_cast<int>(kRelayTrees);
      for (int tree = kLevel * kTrees / kDepth; tree < (kLevel + 1) * kTrees / kDepth; ++tree) {
        sum += pending.leaves[tree * (1 << kDepth) + pending.numbers[tree]];
      }
    }
    decide<Set, kDepth, kLevel + 1, kWoven>(nodes, row, decisions, pending, sum);
  }
}

/// The numbers of the leaves that a row reaches in a vector of trees, whatever their leaves are.
template <class Set, int kDepth>
[[gnu::noinline]] void reach(const std::uint16_t* nodes, const typename Set::Row& row,
                             std::uint16_t* numbers) {
  float none = 0.0F;
  for (int part = 0; part < Set::kParts; ++part) {
    typename Set::Decisions decisions[kDepth];
    decide<Set, kDepth, 0, false>(nodes + part * Set::kPartTrees, row, decisions, Pending<float>{}, none);
    Set::template store<kDepth>(numbers + part * Set::kPartTrees, decisions);
  }
}

/// The same, woven with what is pending. Returns the sum with it.
template <class Set, int kDepth, class Number>
[[gnu::noinline]] Number reach_and_add(const std::uint16_t* nodes, const typename Set::Row& row,
                                       std::uint16_t* numbers, const Pending<Number>& pending) {
  Number sum = pending.sum;
  for (int part = 0; part < Set::kParts; ++part) {
    typename Set::Decisions decisions[kDepth];
    if (part == 0) {
      decide<Set, kDepth, 0, true>(nodes, row, decisions, pending, sum);
    } else {
      decide<Set, kDepth, 0, false>(nodes + part * Set::kPartTrees, row, decisions, pending, sum);
    }
    Set::template store<kDepth>(numbers + part * Set::kPartTrees, decisions);
  }
  return sum;
}

/// kRows rows under one vector of trees.
template <class Set, int kDepth, int kRows, class Number>
void run_vector(const RelayView<Number>& view, const RelayVector& vector, const std::uint8_t* bytes,
                Number* margins) {
  constexpr std::size_t kLeaves = std::size_t{1} << kDepth;
  alignas(64) std::uint16_t numbers[kRows][kRelayTrees];
  for (int row = 0; row < kRows; ++row) {
    reach<Set, kDepth>(view.nodes + vector.first_node, Set::row(bytes + std::size_t(row) * view.stride),
                       numbers[row]);
  }
  const Number* leaves = view.leaves + vector.first_leaf;
  if (view.groups == 1) {
    Number sums[kRows];
    for (int row = 0; row < kRows; ++row) sums[row] = margins[row];
    for (std::uint32_t tree = 0; tree < vector.tree_count; ++tree, leaves += kLeaves) {
      for (int row = 0; row < kRows; ++row) sums[row] += leaves[numbers[row][tree]];
    }
    for (int row = 0; row < kRows; ++row) margins[row] = sums[row];
    return;
  }
  const std::uint32_t* const groups = view.tree_groups + vector.first_tree;
  for (std::uint32_t tree = 0; tree < vector.tree_count; ++tree, leaves += kLeaves) {
    for (int row = 0; row < kRows; ++row) {
      margins[std::size_t(row) * view.groups + groups[tree]] += leaves[numbers[row][tree]];
    }
  }
}

/// One row of a model with one margin.
template <class Set, class Number>
class RelayRow {
 public:
  RelayRow(const RelayView<Number>& view, const std::uint8_t* bytes, Number margin)
      : view_(view), row_(Set::row(bytes)) {
    pending_.sum = margin;
  }

  template <int kDepth>
  void run(const RelayVector& vector) {
    if (pending_vector_ != nullptr && pending_vector_->depth != vector.depth) add_pending();
    const std::uint16_t* const nodes = view_.nodes + vector.first_node;
    std::uint16_t* const numbers = numbers_[turn_];
    if (pending_vector_ != nullptr) {
      pending_.sum = reach_and_add<Set, kDepth>(nodes, row_, numbers, pending_);
    } else {
      reach<Set, kDepth>(nodes, row_, numbers);
    }
    pending_.numbers = numbers;
    pending_.leaves = view_.leaves + vector.first_leaf;
    pending_vector_ = &vector;
    turn_ ^= 1U;
  }
  /// Only the last vector may have fewer trees, so nothing is woven with it.
  Number finish() {
    add_pending();
    return pending_.sum;
  }

 private:
  void add_pending() {
    if (pending_vector_ == nullptr) return;
    for (std::uint32_t tree = 0; tree < pending_vector_->tree_count; ++tree) {
      pending_.sum += pending_.leaves[(std::size_t{tree} << pending_vector_->depth) + pending_.numbers[tree]];
    }
    pending_vector_ = nullptr;
  }

  alignas(64) std::uint16_t numbers_[2][kRelayTrees];
  const RelayView<Number>& view_;
  typename Set::Row row_;
  Pending<Number> pending_;
  const RelayVector* pending_vector_ = nullptr;
  std::uint32_t turn_ = 0;
};

/// Calls `run` with the vector's depth as a constant. Where it is known that no vector has a depth, no code
/// is made for it.
template <class Run>
[[gnu::always_inline]] inline void with_depth(std::uint32_t depths, const RelayVector& vector,
                                              const Run& run) {
  const auto if_any = [&]<int kDepth> {
    if ((depths >> kDepth & 1U) != 0) run.template operator()<kDepth>(vector);
  };
  switch (vector.depth) {
    case 1:
      return if_any.template operator()<1>();
    case 2:
      return if_any.template operator()<2>();
    case 3:
      return if_any.template operator()<3>();
    case 4:
      return if_any.template operator()<4>();
    case 5:
      return if_any.template operator()<5>();
    case 6:
      return if_any.template operator()<6>();
    case 7:
      return if_any.template operator()<7>();
    default:
      return if_any.template operator()<8>();
  }
}

template <class Set, class Number>
void relay_all(const RelayView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
               Number* margins) {
  const std::uint32_t depths = view.depths;
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (std::uint32_t group = 0; group < view.groups; ++group) {
      margins[std::size_t{row} * view.groups + group] = view.base_margins[group];
    }
  }
  const std::uint32_t many = view.groups == 1 ? rows / 4 * 4 : rows;
  if (many > 0) {
    for (std::uint32_t index = 0; index < view.vector_count; ++index) {
      with_depth(depths, view.vectors[index], [&]<int kDepth>(const RelayVector& vector) {
        std::uint32_t row = 0;
        for (; many - row >= 4; row += 4) {
          run_vector<Set, kDepth, 4>(view, vector, bytes + std::size_t{row} * view.stride,
                                     margins + std::size_t{row} * view.groups);
        }
        for (; row < many; ++row) {
          run_vector<Set, kDepth, 1>(view, vector, bytes + std::size_t{row} * view.stride,
                                     margins + std::size_t{row} * view.groups);
        }
      });
    }
  }
  for (std::uint32_t row = many; row < rows; ++row) {
    RelayRow<Set, Number> relay(view, bytes + std::size_t{row} * view.stride, margins[row]);
    for (std::uint32_t index = 0; index < view.vector_count; ++index) {
      with_depth(depths, view.vectors[index],
                 [&]<int kDepth>(const RelayVector& vector) { relay.template run<kDepth>(vector); });
    }
    margins[row] = relay.finish();
  }
}

}  // namespace
}  // namespace tutti::trees
