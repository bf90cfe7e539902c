// Inputs that kill: which input each member died of, and how often.
//
// One death may be chance; after the second the input is quarantined for that member, and after ten minutes
// everything is forgotten, since the model may have been mended. Bounded: of more than kEntriesMax the one
// not seen for the longest time goes. Empty in normal times, and then nobody computes a fingerprint.
// An input of one row that is quarantined is looked for in every batch as well (for_each_victim).
#pragma once

#include <cstdint>
#include <map>

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
  /// It has killed another one; `row`: it is a single row. Returns how many now.
  std::uint32_t blame(std::uint32_t member, const Fingerprint& input, bool row, Time now);
  /// A single row that a batch was killed by has killed by itself: it is quarantined at once.
  void condemn_row(std::uint32_t member, const Fingerprint& row, Time now);
  /// True if a single row is quarantined for anybody.
  [[nodiscard]] bool has_rows() const noexcept { return rows_ > 0; }
  /// Calls found(member) for each member that the row is quarantined for.
  template <class Found>
  void for_each_victim(const Fingerprint& row, Found&& found) {
    for (auto at = entries_.lower_bound({.input = row}); at != entries_.end() && at->first.input == row;
         ++at) {
      if (!is_row(at->second)) continue;
      at->second.used = ++uses_;
      found(at->first.member);
    }
  }
  /// The member has survived it: a single death was chance.
  void absolve(std::uint32_t member, const Fingerprint& input);
  /// Forgets what is old.
  void expire(Time now);

 private:
  struct Key {
    Fingerprint input;
    std::uint32_t member = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    std::uint32_t kills = 0;
    bool row = false;
    Time until{};
    std::uint64_t used = 0;
  };
  [[nodiscard]] static bool is_row(const Entry& entry) noexcept {
    return entry.row && entry.kills >= kKillsMax;
  }
  std::map<Key, Entry> entries_;
  std::size_t rows_ = 0;  // entries for which is_row() holds
  std::uint64_t uses_ = 0;
  Time next_expiry_ = kNever;
};

}  // namespace tutti
