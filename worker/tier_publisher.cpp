#include "worker/tier_publisher.hpp"

namespace tutti {
namespace {

static_assert(kTiers == kTierCount && std::tuple_size_v<decltype(TierCounters::batches)> == kBatchBins);

TierUse since(const TierCounters& before, const TierCounters& now) noexcept {
  TierUse use{.calls = now.calls - before.calls,
              .rows = now.rows - before.rows,
              .timed_rows = now.timed_rows - before.timed_rows,
              .timed_ns = now.timed_ns - before.timed_ns};
  for (std::size_t bin = 0; bin < kBatchBins; ++bin)
    use.batches[bin] = now.batches[bin] - before.batches[bin];
  return use;
}

}  // namespace

TierPublisher::TierPublisher(TierBlock& block, const Model& model) noexcept
    : block_(block), report_(model.tiers()) {
  if (report_ != nullptr) before_ = report_->tiers;
  publish();
}

void TierPublisher::publish() noexcept {
  TierNumbers numbers{};
  numbers.known = report_ == nullptr ? TierNumbers::kNoTiers : TierNumbers::kHasTiers;
  if (report_ != nullptr) {
    numbers.tier = report_->tier;
    numbers.build_ns = report_->build_ns;
    numbers.bytes = report_->bytes;
    numbers.compile_ns = report_->compile_ns;
    numbers.code_bytes = report_->code_bytes;
    for (std::size_t tier = 0; tier < kTiers; ++tier)
      numbers.tiers[tier] = since(before_[tier], report_->tiers[tier]);
    numbers.kernels.assign(report_->kernels);
    numbers.why_not.assign(report_->why_not);
    told_tier_ = report_->tier;
  }
  untold_ = 0;
  sequence_ = publish_tiers(block_, sequence_, numbers);
}

}  // namespace tutti
