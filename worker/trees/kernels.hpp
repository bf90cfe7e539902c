// What the kernels of tier 1 are given: plain arrays, and one table of functions for each instruction set.
//
//   float rows ──rank_rows────▶ bytes [row][plane] ──relay───────▶ margins   few rows, shallow trees
//             │                                    ├──leap────────▶ margins   deep trees
//             │                                    └──walk, descend──▶ margins   so many planes that a leap
//             │                                                                  cannot look them up
//             └──rank_columns──▶ bytes [plane][row] ──tournament──▶ margins   many rows
//
// Leaves, sums and margins are Numbers: float or, for wide forests, double.
//
// A rank is the number of a feature's thresholds that are <= x. It decides every comparison with one of them:
// x < threshold k is rank <= k. So nothing is lost, and from here on a node is a comparison of bytes. A plane
// holds the ranks in up to 255 thresholds of one feature; a feature with more of them has several planes, and
// one that has nodes of both default directions has two of each, which differ in what stands for NaN.
//
// These files are compiled once for each instruction set. They include nothing that brings inline functions
// of the library along: the linker keeps one copy of such a function, and might keep one that this CPU cannot
// run (weak_symbols_test looks for it).
#pragma once

#include <cstddef>
#include <cstdint>

namespace tutti::trees {

inline constexpr std::uint32_t kBlockRows = 256;        // rows that are ranked and answered together
inline constexpr std::uint32_t kPlaneThresholds = 255;  // of one plane
inline constexpr std::uint32_t kRankTable = 16 + 256;   // floats: sixteen coarse thresholds, all of them
inline constexpr std::uint32_t kRankTree = 256;         // floats: the same as a search tree
inline constexpr std::uint32_t kTournamentDepth = 8;    // 256 leaves have numbers of one byte
inline constexpr std::uint32_t kRelayTrees = 32;        // trees that are relayed together
inline constexpr std::uint32_t kRelayPlanes = 64;       // that a relay can look up
inline constexpr std::uint32_t kVectorTrees = 16;       // trees that are walked together
inline constexpr std::uint32_t kCrown = 7;              // nodes of a tree's first three levels
inline constexpr std::uint32_t kRowWords = 32;          // scratch of a leap for one row, in 32-bit words
inline constexpr std::uint32_t kLeapPlanes = 256;       // that a node of a leap can name
inline constexpr std::uint32_t kCrownNodes = 63;  // of the first six levels, which a tournament may decide
inline constexpr std::uint32_t kLeapNodes = 8;    // halves of words: seven nodes, after one that is unused

/// How rows become ranks.
///   tables    [planes][kRankTable]: the thresholds at 15, 31, …, 239 and NaN, then all in order, then NaN
///   trees     [planes][kRankTree]: all of them as a complete search tree; the root at 1, its children at 2
///   and 3 features  [planes]: which column a plane looks at
struct RankView {
  const float* tables = nullptr;
  const float* trees = nullptr;
  const std::uint32_t* features = nullptr;
  std::uint32_t planes = 0;
  std::uint32_t stride = 0;  // bytes from one row to the next
};

/// One comparison of a tournament: rank > threshold goes right.
struct TournamentNode {
  std::uint32_t threshold = 0;  // the byte, four times over
  std::uint32_t plane = 0;
};

struct TournamentTree {
  std::uint32_t first_node = 0;  // 2^depth - 1 of them: the left subtree, the right one, the root
  std::uint32_t first_leaf = 0;  // 2^depth of them, from left to right
  std::uint32_t depth = 0;
  std::uint32_t group = 0;
};

template <class Number>
struct TournamentView {
  const TournamentNode* nodes = nullptr;
  const Number* leaves = nullptr;
  const TournamentTree* trees = nullptr;
  std::uint32_t tree_count = 0;
  std::uint32_t groups = 0;
  const Number* base_margins = nullptr;  // [groups]
};

/// Trees as words that are walked from the root, sixteen trees side by side.
///
///   crown    the first three levels, word for word beside those of the other fifteen trees
///   block    three more levels and what follows them, in one cache line:
///            │ - │ root │ 2 3 │ 4 5 6 7 │ exits 8 … 15 │     node n's children are 2n and 2n + 1
///   node     rank above which a row goes right in the high byte, plane in the others
///   exit     a leaf's value, or in double its number among `leaves`; or kBlockExit plus a block's number
///   within the tree, which no finite number looks like
///
/// The eight exits of a tree's crown are its first eight blocks. A leaf that stands higher is repeated below:
/// its nodes have the rank 255, which no rank exceeds. So a walk of depth six touches one line of each tree.
template <class Number>
struct WalkView {
  const std::uint32_t* words = nullptr;
  const Number* leaves = nullptr;         // only in double
  const std::uint32_t* crowns = nullptr;  // [vector][kCrown][kVectorTrees]
  const std::uint32_t* bases = nullptr;   // [vector][kVectorTrees]: a tree's first word
  const std::uint32_t* levels = nullptr;  // [vector]: blocks on the longest way down
  const std::uint32_t* tree_groups = nullptr;
  std::uint32_t tree_count = 0;
  std::uint32_t stride = 0;  // bytes from one row's ranks to the next
  std::uint32_t groups = 0;
  const Number* base_margins = nullptr;  // [groups]
};
inline constexpr std::uint32_t kBlockWords = 16;
inline constexpr std::uint32_t kBlockExit = 0x7f800001;

/// Thirty-two trees of at most kTournamentDepth levels, padded to the deepest of them.
///   nodes   u16 [2^depth - 1][kRelayTrees], level by level: rank in the high byte, plane in the low one
///   leaves  [tree][2^depth]
struct RelayVector {
  std::uint32_t first_node = 0;
  std::uint32_t first_leaf = 0;
  std::uint32_t first_tree = 0;
  std::uint32_t tree_count = 0;
  std::uint32_t depth = 0;  // at least 1
};

template <class Number>
struct RelayView {
  const std::uint16_t* nodes = nullptr;
  const Number* leaves = nullptr;
  const RelayVector* vectors = nullptr;
  std::uint32_t vector_count = 0;
  const std::uint32_t* tree_groups = nullptr;
  std::uint32_t stride = 0;  // bytes from one row's ranks to the next, at least kRelayPlanes
  std::uint32_t groups = 0;
  std::uint32_t depths = 0;              // bit d: a vector has depth d
  const Number* base_margins = nullptr;  // [groups]
};

/// Trees of which three levels are decided at once: the blocks of the walk, with narrower nodes.
///
///   block    u16 [kLeapNodes] nodes, 16 bytes unused, u32 [8] exits as in a walk
///   node     rank above which a row goes right in the high byte, plane in the low one; the unused one has
///   the
///            rank 255, which no rank exceeds
template <class Number>
struct LeapView {
  const std::uint32_t* words = nullptr;
  const Number* leaves = nullptr;               // only in double
  const std::uint16_t* crowns = nullptr;        // [tree][kLeapNodes]
  const TournamentNode* crown_nodes = nullptr;  // [tree][kCrownNodes]: the first six levels, for many rows
  const std::uint8_t* columns = nullptr;        // ranks by columns, as a tournament's; null: few rows
  std::uint32_t shift = 0;                      // of columns
  const std::uint32_t* bases = nullptr;         // [tree]: its first word
  const std::uint32_t* levels = nullptr;        // [vector]: blocks on the longest way down
  const std::uint32_t* tree_groups = nullptr;
  std::uint32_t tree_count = 0;
  std::uint32_t planes = 0;
  std::uint32_t stride = 0;     // bytes from one row's ranks to the next
  std::uint32_t row_words = 0;  // scratch from one row to the next, in 32-bit words
  std::uint32_t groups = 0;
  const Number* base_margins = nullptr;  // [groups]
};

/// The walk by plain instructions, as Sums::walk.
template <class Number>
void walk_plainly(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
                  std::uint32_t* words, Number* margins);
extern template void walk_plainly(const WalkView<float>&, const std::uint8_t*, std::uint32_t, std::uint32_t*,
                                  float*);
extern template void walk_plainly(const WalkView<double>&, const std::uint8_t*, std::uint32_t, std::uint32_t*,
                                  double*);

/// Rows under one deep tree after the other, eight rows in lockstep, by plain instructions: they share the
/// lines of the tree.
///   margins  [rows][groups]
template <class Number>
void descend(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows, Number* margins);
extern template void descend(const WalkView<float>&, const std::uint8_t*, std::uint32_t, float*);
extern template void descend(const WalkView<double>&, const std::uint8_t*, std::uint32_t, double*);

/// The ways from ranks to margins, each of which starts at the base margins.
template <class Number>
struct Sums {
  /// `columns` has 1 << shift rows in each plane, at least `rows` rounded up to tournament_rows.
  ///   sums     scratch [groups][kBlockRows], aligned to 64 bytes
  ///   margins  [rows][groups]
  void (*tournament)(const TournamentView<Number>& view, const std::uint8_t* columns, std::uint32_t shift,
                     std::uint32_t rows, Number* sums, Number* margins) = nullptr;

  ///   margins  [rows][groups]
  void (*relay)(const RelayView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
                Number* margins) = nullptr;

  ///   words    scratch [rows][kRowWords], aligned to 64 bytes
  ///   margins  [rows][groups]
  void (*walk)(const WalkView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
               std::uint32_t* words, Number* margins) = nullptr;

  /// The same for up to kLeapPlanes planes, of the layout that a LeapView shows.
  ///   words    scratch [rows][row_words], aligned to 64 bytes
  void (*leap)(const LeapView<Number>& view, const std::uint8_t* bytes, std::uint32_t rows,
               std::uint32_t* words, Number* margins) = nullptr;
};

/// One instruction set's functions. `rows` is at most kBlockRows everywhere.
struct Kernels {
  const char* name = nullptr;
  const char* symbol = nullptr;       // of this table, for the compiler
  std::uint32_t tournament_rows = 0;  // rows that one comparison serves
  std::uint32_t wide_percent = 0;  // cost of such a comparison when more rows than that are compared together
  std::uint32_t relay_cost = 0;    // of a node of 32 trees, in hundredths of such a comparison; 0: no relay
  std::uint32_t relay_leaves_cost = 0;  // of the leaves of 32 trees, in the same
  std::uint32_t descend_rows = 0;       // from so many on, descend() is faster than walk(); 0: never
  std::uint32_t walk_cost = 0;          // of three levels of sixteen walks, in comparisons of a tournament
  std::uint32_t leap_cost = 0;          // of the same for a leap
  std::uint32_t crown_rows = 0;         // from so many on, leaps begin with a tournament of six levels

  /// Writes `planes` ranks for each row (NaN: 0) and says whether any number of these rows is NaN.
  bool (*rank_rows)(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
                    std::uint8_t* bytes) = nullptr;

  /// The same by columns: a plane's ranks begin at plane << shift. Only the numbers that planes look at count
  /// as NaN. What lies behind the last row up to a multiple of sixteen may be written too.
  bool (*rank_columns)(const RankView& view, const float* x, std::uint32_t columns, std::uint32_t rows,
                       std::uint8_t* bytes, std::uint32_t shift) = nullptr;

  Sums<float> narrow;
  Sums<double> wide;

  template <class Number>
  [[nodiscard]] const Sums<Number>& sums() const noexcept {
    if constexpr (sizeof(Number) == sizeof(float)) {
      return narrow;
    } else {
      return wide;
    }
  }
};

extern const Kernels kPortableKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace tutti::trees
