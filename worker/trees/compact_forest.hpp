// Tier 1: a forest in the layout of kernels.hpp, with the scratch memory to answer from it. Tier 2 is the
// same with kernels compiled for this forest, for the batches for which they are faster.
//
// The same bits as sum_trees(), whatever the batch, the kernels and the way chosen: each adds the same leaves
// to the same margin in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "shared/tensor.hpp"
#include "worker/jit/compiler.hpp"
#include "worker/jit/faster_batches.hpp"
#include "worker/trees/kernels.hpp"
#include "worker/trees/layout.hpp"

namespace tutti::trees {

class CompactForest {
 public:
  CompactForest(Layout layout, const Kernels& kernels);

  /// Sums the trees, as sum_trees() does: the one for forests that are not wide, and the one for those that
  /// are. Allocates nothing.
  void sum(MatrixView x, MutableMatrixView margins) noexcept;
  void sum(MatrixView x, WideMatrixView margins) noexcept;

  /// Which batches compiled kernels answer: those that they answer faster, which is measured, or all.
  enum class Choice : std::uint8_t { faster, all };

  /// Has its kernels compiled for itself (jit/compiler.hpp). Returns bytes of code. Errors, for people.
  std::expected<std::size_t, std::string> compile(Choice choice = Choice::faster);

  /// Whether such kernels answer a batch of that many rows.
  [[nodiscard]] bool is_compiled_for(std::uint32_t rows) const noexcept { return faster_.contains(rows); }
  [[nodiscard]] bool is_compiled_for_any() const noexcept { return !faster_.empty(); }

  [[nodiscard]] const Kernels& kernels() const noexcept { return kernels_; }
  [[nodiscard]] std::size_t bytes() const noexcept;

 private:
  [[nodiscard]] const Kernels& kernels_for(std::uint32_t rows) const noexcept {
    return faster_.contains(rows) ? compiled_ : kernels_;
  }
  template <class Number>
  [[nodiscard]] std::vector<jit::Order> orders() const;
  template <class Number>
  std::expected<std::size_t, std::string> compile_for(Choice choice, AlignedVector<Number>& sums);
  template <class Number>
  void choose_faster(AlignedVector<Number>& sums);
  template <class Number>
  void sum_blocks(MatrixView x, BasicMatrixView<Number> margins, AlignedVector<Number>& sums) noexcept;
  template <class Number>
  void sum_block(const Kernels& kernels, const float* x, std::uint32_t rows, Number* margins,
                 Number* sums) noexcept;
  [[nodiscard]] const PackedTrees& trees_for(bool missing) const noexcept;
  void fill_missing(const float* x, std::uint32_t rows, std::uint8_t* ranks, std::size_t next_row,
                    std::size_t next_plane) noexcept;
  [[nodiscard]] bool tournament_pays(std::uint32_t rows) const noexcept;
  template <class Number>
  void walk_or_relay(const Kernels& kernels, const PackedTrees& trees, std::uint32_t rows,
                     std::uint32_t shift, Number* margins) noexcept;
  void turn(std::uint32_t planes, std::uint32_t rows, std::uint32_t shift) noexcept;

  Layout layout_;
  const Kernels& kernels_;
  Kernels compiled_;                     // tier 2, once there are any
  jit::FasterBatches faster_;            // those that tier 2 answers
  std::uint32_t stride_ = 0;             // bytes of a row's ranks
  std::uint32_t row_words_ = 0;          // scratch of a row
  std::uint32_t relay_depths_ = 0;       // bit d: some vector of trees is d deep
  bool relays_ = false;                  // few rows are relayed; else they leap or walk
  std::uint64_t tournament_cost_ = 0;    // of tournament_rows rows; 0: there is no tournament
  std::uint64_t row_cost_ = 0;           // of one row by that way
  AlignedVector<std::uint8_t> bytes_;    // [kBlockRows][stride_]
  AlignedVector<std::uint8_t> columns_;  // [planes][kBlockRows]
  AlignedVector<std::uint32_t> words_;   // [kBlockRows][row_words_]
  AlignedVector<float> sums_;            // [groups][kBlockRows]: one of the two
  AlignedVector<double> wide_sums_;
};

}  // namespace tutti::trees
