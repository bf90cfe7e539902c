// What isolates say of their models' tiers: how it crosses shared memory, and what is made of it.
#include "shared/tiers.hpp"

#include <algorithm>
#include <memory>
#include <string>

#include "supervisor/tier_ledger.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

TierNumbers numbers(std::uint64_t tier, std::uint64_t calls) {
  TierNumbers said{};
  said.known = TierNumbers::kHasTiers;
  said.tier = tier;
  said.tiers[tier].calls = calls;
  said.tiers[tier].rows = 2 * calls;
  said.tiers[tier].batches[1] = calls;
  said.kernels.assign("avx2");
  return said;
}

/// Loads as a hostile or busy writer would have them: after each `step` words it publishes anew.
struct MeddlingLoad {
  static inline TierBlock* block = nullptr;
  static inline std::uint64_t sequence = 0;
  static inline int step = 0;
  static inline int loads = 0;

  static std::uint64_t acquire(const std::atomic<std::uint64_t>& word) noexcept {
    if (step > 0 && ++loads % step == 0) {
      const auto calls = static_cast<std::uint64_t>(loads);
      sequence = publish_tiers(*block, sequence, numbers(1, calls));
    }
    return word.load(std::memory_order_acquire);
  }
  static std::uint64_t relaxed(const std::atomic<std::uint64_t>& word) noexcept {
    return word.load(std::memory_order_relaxed);
  }
};

}  // namespace

TEST_CASE("tiers: what is published is read whole, and nothing before the first time", "[tiers]") {
  const auto block = std::make_unique<TierBlock>();
  CHECK(!read_tiers(*block));
  std::uint64_t sequence = publish_tiers(*block, 0, numbers(0, 3));
  sequence = publish_tiers(*block, sequence, numbers(1, 7));
  CHECK(sequence == 4);
  const auto read = read_tiers(*block);
  REQUIRE(read.has_value());
  CHECK(read->tier == 1);
  CHECK(read->tiers[1].calls == 7);
  CHECK(read->tiers[0].calls == 0);
  CHECK(read->kernels.view() == "avx2");
}

TEST_CASE("tiers: a reader never takes half of one publication and half of another", "[tiers]") {
  // Goal: calls and rows of one look belong together. Method: publish anew between any two loads of a word.
  const auto block = std::make_unique<TierBlock>();
  MeddlingLoad::block = block.get();
  MeddlingLoad::sequence = publish_tiers(*block, 0, numbers(1, 1));
  int whole = 0;
  for (int step = 1; step < 1000; ++step) {
    MeddlingLoad::step = step;
    MeddlingLoad::loads = 0;
    const auto read = read_tiers<MeddlingLoad>(*block);
    if (!read) continue;
    ++whole;
    CHECK(read->tiers[1].rows == 2 * read->tiers[1].calls);
    CHECK(read->tiers[1].batches[1] == read->tiers[1].calls);
  }
  MeddlingLoad::step = 0;
  CHECK(whole > 0);    // a writer that pauses is read
  CHECK(whole < 999);  // one that never does is given up, and not waited for
}

TEST_CASE("tiers: a writer that died amid a publication is not waited for", "[tiers]") {
  const auto block = std::make_unique<TierBlock>();
  publish_tiers(*block, 0, numbers(1, 1));
  block->sequence.store(3);
  CHECK(!read_tiers(*block));
}

TEST_CASE("tiers: numbers beyond reason and texts that drive a terminal are made harmless", "[tiers]") {
  TierNumbers lie;
  std::fill_n(reinterpret_cast<unsigned char*>(&lie), sizeof lie, static_cast<unsigned char>(0xff));
  CHECK(checked(lie).presence == TierPresence::unknown);
  lie.known = TierNumbers::kHasTiers;
  const TierStatus status = checked(lie);
  CHECK(status.tier == 2);
  CHECK(status.tiers[2].calls == 1ULL << 53U);
  CHECK(status.build > Duration::zero());
  CHECK(status.kernels == std::string(20, '?'));
  CHECK(status.why_not.size() == 236);

  TierStatus sum = status;
  for (int i = 0; i < 3; ++i) add_use(sum, sum);
  CHECK(sum.tiers[0].rows == 1ULL << 53U);
  CHECK(sum.tiers[0].batches[20] == 1ULL << 53U);
}

TEST_CASE("tiers: a member's calls are those of all isolates and of lives that ended", "[tiers]") {
  TierLedger ledger(2);
  CHECK(ledger.total().presence == TierPresence::unknown);
  ledger.hear(0, numbers(1, 10));
  ledger.hear(1, numbers(0, 5));
  ledger.hear(1, std::nullopt);  // met amid a publication: what it said before stands
  CHECK(ledger.total().tiers[0].calls == 5);
  CHECK(ledger.total().tiers[1].rows == 20);
  CHECK(ledger.total().tier == 0);  // as fast as its slowest

  ledger.end(1);
  CHECK(ledger.total().tier == 1);
  CHECK(ledger.total().tiers[0].calls == 5);
  ledger.hear(1, numbers(1, 1));
  CHECK(ledger.total().tiers[1].calls == 11);
  ledger.end(0);
  ledger.end(1);
  ledger.end(1);  // a life that said nothing adds nothing
  CHECK(ledger.total().tiers[1].calls == 11);
  CHECK(ledger.total().tiers[0].calls == 5);
  CHECK(ledger.total().kernels == "avx2");
}

TEST_CASE("tiers: a model that knows no tiers says so", "[tiers]") {
  TierNumbers said{};
  said.known = TierNumbers::kNoTiers;
  TierLedger ledger(1);
  ledger.hear(0, said);
  CHECK(ledger.total().presence == TierPresence::none);
  CHECK(!ns_per_row(ledger.total().tiers[0]));
}

}  // namespace tutti
