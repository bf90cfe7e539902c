// Inputs that kill: which input each member died of, and how often.
//
// One death may be chance; after the second the input is quarantined for that member, and after ten minutes
// everything is forgotten, since the model may have been mended. Bounded: of more than kEntriesMax the one
// not seen for the longest time goes. Empty in normal times, and then nobody computes a fingerprint.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "supervisor/core/fingerprint.hpp"
#include "supervisor/core/time.hpp"

namespace tutti {

class PoisonTable {
 public:
  static constexpr std::size_t kEntriesMax = 4096;
  static constexpr std::uint32_t kKillsMax = 2;
  static constexpr Duration kRemembered = std::chrono::minutes(10);

  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  /// How many isolates of the member this input has killed.
  std::uint32_t kills(std::uint32_t member, const Fingerprint& input, Time now);
  /// It has killed another one. Returns how many now.
  std::uint32_t blame(std::uint32_t member, const Fingerprint& input, Time now);
  /// The member has survived it: a single death was chance.
  void absolve(std::uint32_t member, const Fingerprint& input);
  /// Forgets what is old.
  void expire(Time now);

 private:
  using Key = std::tuple<std::uint32_t, Fingerprint>;
  struct Entry {
    std::uint32_t kills = 0;
    Time until{};
    std::uint64_t used = 0;
  };
  std::map<Key, Entry> entries_;
  std::uint64_t uses_ = 0;
  Time next_expiry_ = kNever;
};

}  // namespace tutti
