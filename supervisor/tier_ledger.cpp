#include "supervisor/tier_ledger.hpp"

#include <algorithm>
#include <utility>

#include "shared/log.hpp"

namespace tutti {
namespace {

// Exact as a double, so that JSON can carry it; and sums of two cannot overflow.
constexpr std::uint64_t kNumberMax = 1ULL << 53U;

std::uint64_t clamped(std::uint64_t number) { return std::min(number, kNumberMax); }
Duration duration_of(std::uint64_t ns) { return Duration(static_cast<std::int64_t>(clamped(ns))); }

void add(std::uint64_t& total, std::uint64_t more) { total = clamped(total + more); }

TierUse clamped(const TierUse& said) {
  TierUse use{.calls = clamped(said.calls),
              .rows = clamped(said.rows),
              .timed_rows = clamped(said.timed_rows),
              .timed_ns = clamped(said.timed_ns)};
  std::ranges::transform(said.batches, use.batches.begin(),
                         [](std::uint64_t count) { return clamped(count); });
  return use;
}

bool is_known(const TierStatus& status) { return status.presence != TierPresence::unknown; }

/// `facts` but for what it was asked.
TierStatus without_use(TierStatus facts) {
  facts.tiers = {};
  return facts;
}

}  // namespace

TierStatus checked(const TierNumbers& said) {
  TierStatus status;
  if (said.known == TierNumbers::kNoTiers) status.presence = TierPresence::none;
  if (said.known != TierNumbers::kHasTiers) return status;
  status.presence = TierPresence::present;
  status.tier = static_cast<std::uint32_t>(std::min<std::uint64_t>(said.tier, kTierCount - 1));
  for (std::size_t tier = 0; tier < kTierCount; ++tier) status.tiers[tier] = clamped(said.tiers[tier]);
  status.kernels = printable(said.kernels.view());
  status.why_not = printable(said.why_not.view());
  status.build = duration_of(said.build_ns);
  status.bytes = clamped(said.bytes);
  status.compile = duration_of(said.compile_ns);
  status.code_bytes = clamped(said.code_bytes);
  return status;
}

void add_use(TierStatus& total, const TierStatus& other) {
  for (std::size_t tier = 0; tier < kTierCount; ++tier) {
    TierUse& sum = total.tiers[tier];
    const TierUse& more = other.tiers[tier];
    add(sum.calls, more.calls);
    add(sum.rows, more.rows);
    add(sum.timed_rows, more.timed_rows);
    add(sum.timed_ns, more.timed_ns);
    for (std::size_t bin = 0; bin < kBatchBins; ++bin) add(sum.batches[bin], more.batches[bin]);
  }
}

void TierLedger::hear(std::uint32_t instance, const std::optional<TierNumbers>& said) {
  if (said) live_[instance] = checked(*said);
}

void TierLedger::end(std::uint32_t instance) {
  const TierStatus last = std::exchange(live_[instance], {});
  if (!is_known(last)) return;
  TierStatus sum = without_use(last);
  add_use(sum, ended_);
  add_use(sum, last);
  ended_ = std::move(sum);
}

TierStatus TierLedger::total() const {
  const TierStatus* slowest = nullptr;
  for (const TierStatus& one : live_) {
    if (is_known(one) && (slowest == nullptr || one.tier < slowest->tier)) slowest = &one;
  }
  TierStatus total = without_use(slowest != nullptr ? *slowest : ended_);
  add_use(total, ended_);
  for (const TierStatus& one : live_) {
    add_use(total, one);
    total.build = std::max(total.build, one.build);
    total.bytes = std::max(total.bytes, one.bytes);
    total.compile = std::max(total.compile, one.compile);
    total.code_bytes = std::max(total.code_bytes, one.code_bytes);
  }
  return total;
}

}  // namespace tutti
