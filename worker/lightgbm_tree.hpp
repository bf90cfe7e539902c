// One tree of a LightGBM file: its lines, and what its nodes mean.
//
//   split_feature threshold decision_type left_child right_child   one for each inner node
//   leaf_value                                                      one for each leaf; child c < 0 is leaf ~c
//   cat_boundaries cat_threshold     categories as bit sets: of set i, words [boundaries[i], boundaries[i +
//   1]) leaf_const num_features leaf_features leaf_coeff                with is_linear=1
//
// decision_type: bit 0 categorical, bit 1 NaN and its like go left, bits 2 and 3 what is missing: nothing (0;
// NaN counts as 0), zero and NaN (1), NaN (2).
//
// LightGBM's C API drops |x| <= 1e-35f to 0 before it looks. That moves thresholds within that range to its
// ends. Where zero is missing and goes to the side on which 0 does not lie, a comparison cannot say it: such
// a node looks at a second column of the same feature, in which zeros are NaN.
#pragma once

#include <cstdint>
#include <vector>

#include "shared/error.hpp"
#include "worker/lightgbm_lines.hpp"
#include "worker/trees.hpp"

namespace tutti {

/// Second columns, made as trees ask for them.
struct ZeroIsMissing {
  std::uint32_t features = 0;         // of the model: its columns come first
  std::vector<std::uint32_t> second;  // by feature: its second column; 0: none
  std::vector<std::uint32_t> of;      // the features of the second columns, in order

  /// The second column of `feature`.
  std::uint32_t column(std::uint32_t feature);
};

/// Reads the lines that follow "Tree=…" up to the next blank one and appends the tree.
/// Errors: bad_model, by line.
Result<void> read_lightgbm_tree(TextLines& lines, const TextLine& head, std::uint32_t group, Forest& forest,
                                ZeroIsMissing& zeros);

}  // namespace tutti
