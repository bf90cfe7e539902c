// From tier 1 to tier 2: what a forest knows that its kernels do not, and whether knowing it helps.
//
// For few rows it gains 5 to 30 %: there strides, counts and depths decide how much is done beside comparing.
// The tournament, for many rows, is not compiled: it knew the depth of a tree already, gained nothing
// measurable, and is what takes LLVM longest. Nor is anything else taken on trust: for every class of batches
// both tiers are timed beside each other, here and now, and tier 2 answers where it is faster. No kernel
// branches on what a row holds, so rows made of the forest's own thresholds are as good as any.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker/trees/compact_forest.hpp"

namespace tutti::trees {
namespace {

using jit::Known;

Known field(std::size_t at, std::uint32_t value) { return {static_cast<std::uint32_t>(at), value}; }

}  // namespace

/// What of its kernels this forest uses.
template <class Number>
std::vector<jit::Order> CompactForest::orders() const {
  std::vector<jit::Order> orders;
  const auto add = [&]<class View>(const auto& kernel, std::type_identity<View> /*view*/,
                                   std::vector<Known> fields, std::vector<Known> arguments = {}) {
    const auto* const table = reinterpret_cast<const std::byte*>(&kernels_);
    orders.push_back({.slot = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&kernel) - table),
                      .view_bytes = sizeof(View),
                      .fields = std::move(fields),
                      .arguments = std::move(arguments)});
  };
  const std::vector<Known> ranks{field(offsetof(RankView, planes), layout_.base_planes),
                                 field(offsetof(RankView, stride), stride_)};
  constexpr std::uint32_t kColumns = 2;
  add(kernels_.rank_rows, std::type_identity<RankView>(), ranks, {{kColumns, layout_.features}});
  add(kernels_.rank_columns, std::type_identity<RankView>(), ranks, {{kColumns, layout_.features}});
  const Sums<Number>& sums = kernels_.sums<Number>();
  if (relays_) {
    using View = RelayView<Number>;
    add(sums.relay, std::type_identity<View>(),
        {field(offsetof(View, stride), stride_), field(offsetof(View, groups), layout_.groups),
         field(offsetof(View, depths), relay_depths_)});
  }
  if (!relays_ && !layout_.complete.leap_crowns.empty()) {
    using View = LeapView<Number>;
    std::vector<Known> fields{
        field(offsetof(View, tree_count), layout_.tree_count()), field(offsetof(View, stride), stride_),
        field(offsetof(View, row_words), row_words_), field(offsetof(View, groups), layout_.groups)};
    // Rows with missing numbers have a plane count of their own.
    if (layout_.missing.planes == 0) fields.push_back(field(offsetof(View, planes), layout_.complete.planes));
    add(sums.leap, std::type_identity<View>(), std::move(fields));
  }
  return orders;
}

std::expected<std::size_t, std::string> CompactForest::compile(Choice choice) {
  return layout_.is_wide ? compile_for<double>(choice, wide_sums_) : compile_for<float>(choice, sums_);
}

template <class Number>
std::expected<std::size_t, std::string> CompactForest::compile_for(Choice choice,
                                                                   AlignedVector<Number>& sums) {
  const std::vector<jit::Order> wanted = orders<Number>();
  auto code = jit::compile(kernels_.symbol, wanted);
  if (!code) return std::unexpected(std::move(code.error()));
  compiled_ = kernels_;
  for (std::size_t index = 0; index < wanted.size(); ++index) {
    auto* const table = reinterpret_cast<std::byte*>(&compiled_);
    std::memcpy(table + wanted[index].slot, static_cast<const void*>(&code->functions[index]), sizeof(void*));
  }
  if (choice == Choice::all) {
    faster_.add_all();
  } else {
    choose_faster<Number>(sums);
  }
  return code->bytes;
}

template <class Number>
void CompactForest::choose_faster(AlignedVector<Number>& sums) {
  static_assert(jit::FasterBatches::kRowsMax == kBlockRows);
  std::vector<float> x(std::size_t{kBlockRows} * layout_.features);
  std::minstd_rand random(1);  // NOLINT(cert-msc51-cpp): always the same rows
  for (std::uint32_t row = 0; row < kBlockRows; ++row) {
    for (std::uint32_t plane = 0; plane < layout_.base_planes; ++plane) {
      const float threshold =
          layout_.tables[std::size_t{plane} * kRankTable + 16 + random() % kPlaneThresholds];
      // Behind the last threshold there is NaN, which would be a missing number.
      if (threshold == threshold)
        x[std::size_t{row} * layout_.features + layout_.plane_features[plane]] = threshold;
    }
  }
  std::vector<Number> margins(std::size_t{kBlockRows} * layout_.groups);
  const auto answer_with = [&](const Kernels& kernels) {
    return [&](std::uint32_t rows) { sum_block(kernels, x.data(), rows, margins.data(), sums.data()); };
  };
  faster_.measure(answer_with(kernels_), answer_with(compiled_));
}

}  // namespace tutti::trees
