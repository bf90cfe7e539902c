// One thread, no locks: tier 1 is built in slices, one after each answer once enough calls have come, so that
// no request waits for more than one slice. The answer after the last slice is tier 1's.
#include "worker/tree_model.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "worker/link.hpp"
#include "worker/trees/compact_forest.hpp"
#include "worker/trees/instruction_set.hpp"
#include "worker/trees/layout.hpp"
#include "worker/wide_link.hpp"

namespace tutti {
namespace {

std::uint64_t now_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

class TreeModel final : public Model {
 public:
  TreeModel(Forest forest, const JitSettings& jit) : forest_(std::move(forest)) {
    // The margins live in the answer's memory, unless they are wider than it: doubles, or more of them.
    scratch_rows_ = std::clamp(kScratchNumbers / forest_.groups(), 1U, kScratchRows);
    if (forest_.wide) {
      wide_scratch_.resize(std::size_t{scratch_rows_} * forest_.groups());
    } else if (forest_.link == Link::first_max) {
      scratch_.resize(std::size_t{scratch_rows_} * forest_.groups());
    }
    if (jit.mode == JitSettings::Mode::off) {
      report_.why_not = "jit is off";
      return;
    }
    const bool at_once = jit.threshold ? *jit.threshold == 0 : trees::builds_at_once(forest_);
    builder_.emplace(forest_);
    calls_left_ = at_once ? 0 : jit.threshold.value_or(kJitThreshold);
    if (at_once || jit.compile) build(std::numeric_limits<std::size_t>::max());
    if (jit.compile && compact_) compile();
  }

  [[nodiscard]] ModelShape shape() const noexcept override {
    if (forest_.wide) {
      return {.features = forest_.features,
              .outputs = wide_link_outputs(forest_.wide_link, forest_.groups()),
              .kind = forest_.wide_link.kind};
    }
    return {.features = forest_.features,
            .outputs = link_outputs(forest_.link, forest_.groups()),
            .kind = link_kind(forest_.link),
            .classes = link_classes(forest_.link, forest_.groups())};
  }

  [[nodiscard]] const TierReport* tiers() const noexcept override { return &report_; }

  Result<void> predict(MatrixView x, MutableMatrixView out) override {
    assert(x.columns == forest_.features && out.rows == x.rows && out.columns == shape().outputs);
    CountedCall call(report_.tiers[tier_for(x.rows)]);
    answer(x, out);
    call.done(x.rows);
    if (builder_) approach_tier_1();
    return {};
  }

 private:
  static constexpr std::uint32_t kScratchRows = 256;
  static constexpr std::uint32_t kScratchNumbers = 1U << 17;  // 1 MiB of doubles
  static constexpr std::size_t kSliceNodes = 4096;            // about 0.3 ms

  template <class Number>
  void sum(MatrixView x, BasicMatrixView<Number> margins) noexcept {
    if (compact_) {
      compact_->sum(x, margins);
    } else {
      sum_trees(forest_, x, margins);
    }
  }

  void answer(MatrixView x, MutableMatrixView out) noexcept {
    if (!wide_scratch_.empty()) return answer_wide(x, out);
    if (scratch_.empty()) {
      sum(x, out);
      apply_link(forest_.link, out, out);
      return;
    }
    for (std::uint32_t first = 0; first < x.rows; first += std::min(scratch_rows_, x.rows - first)) {
      const std::uint32_t rows = std::min(scratch_rows_, x.rows - first);
      const MutableMatrixView margins{scratch_.data(), rows, forest_.groups()};
      sum({x.row(first).data(), rows, x.columns}, margins);
      apply_link(forest_.link, margins, {out.row(first).data(), rows, out.columns});
    }
  }

  void answer_wide(MatrixView x, MutableMatrixView out) noexcept {
    for (std::uint32_t first = 0; first < x.rows; first += std::min(scratch_rows_, x.rows - first)) {
      const std::uint32_t rows = std::min(scratch_rows_, x.rows - first);
      const WideMatrixView margins{wide_scratch_.data(), rows, forest_.groups()};
      sum({x.row(first).data(), rows, x.columns}, margins);
      apply_wide_link(forest_.wide_link, margins, {out.row(first).data(), rows, out.columns});
    }
  }

  void approach_tier_1() {
    if (calls_left_ > 0) {
      --calls_left_;
      return;
    }
    build(kSliceNodes);
  }

  /// One slice; the last one swaps tier 1 in. Out of memory is no reason to stop answering.
  void build(std::size_t nodes) {
    const std::uint64_t begun = now_ns();
    try {
      if (builder_->advance(nodes)) {
        std::expected<trees::Layout, std::string> layout = builder_->take();
        builder_.reset();
        if (layout) {
          compact_.emplace(std::move(*layout), trees::chosen_kernels());
          report_.tier = 1;
          report_.kernels = compact_->kernels().name;
          report_.bytes = compact_->bytes();
        } else {
          report_.why_not = std::move(layout.error());
        }
      }
    } catch (const std::bad_alloc&) {
      builder_.reset();
      compact_.reset();
      report_.why_not = "not enough memory for tier 1";
    }
    report_.build_ns += now_ns() - begun;
  }

  /// Tier 2, where it is faster for some batches.
  void compile() {
    const std::uint64_t begun = now_ns();
    try {
      const std::expected<std::size_t, std::string> bytes = compact_->compile();
      if (!bytes) {
        report_.why_not = bytes.error();
      } else if (!compact_->is_compiled_for_any()) {
        report_.why_not = "compiled, its kernels were not faster";
      } else {
        report_.tier = 2;
        report_.code_bytes = *bytes;
      }
    } catch (const std::bad_alloc&) {
      report_.why_not = "not enough memory for tier 2";
    }
    report_.compile_ns = now_ns() - begun;
  }

  [[nodiscard]] std::size_t tier_for(std::uint32_t rows) const noexcept {
    if (!compact_) return 0;
    return compact_->is_compiled_for(rows) ? 2 : 1;
  }

  Forest forest_;
  std::uint32_t scratch_rows_ = 0;
  std::vector<float> scratch_;
  std::vector<double> wide_scratch_;
  std::uint32_t calls_left_ = 0;
  std::optional<trees::LayoutBuilder> builder_;  // while tier 1 is still to come
  std::optional<trees::CompactForest> compact_;  // tier 1
  TierReport report_;
};

}  // namespace

std::unique_ptr<Model> make_tree_model(Forest forest, const JitSettings& jit) {
  return std::make_unique<TreeModel>(std::move(forest), jit);
}

}  // namespace tutti
