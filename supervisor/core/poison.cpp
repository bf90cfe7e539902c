#include "supervisor/core/poison.hpp"

#include <algorithm>

#include "supervisor/core/seeded_bug.hpp"

namespace tutti {

std::uint32_t PoisonTable::kills(std::uint32_t member, const Fingerprint& input, Time now) {
  expire(now);
  const auto found = entries_.find({.input = input, .member = member});
  if (found == entries_.end()) return 0;
  found->second.used = ++uses_;
  return found->second.kills;
}

std::uint32_t PoisonTable::blame(std::uint32_t member, const Fingerprint& input, bool row, Time now) {
  expire(now);
  const Key key{.input = input, .member = member};
  if (entries_.size() >= kEntriesMax && !entries_.contains(key)) {
    const auto oldest =
        std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.used; });
    if (is_row(oldest->second)) --rows_;
    entries_.erase(oldest);
  }
  Entry& entry = entries_[key];
  if (is_row(entry)) --rows_;
  entry.row = row;
  entry.kills += has_bug(6) ? 2 : 1;
  if (is_row(entry)) ++rows_;
  entry.until = now + kRemembered;
  entry.used = ++uses_;
  next_expiry_ = std::min(next_expiry_, entry.until);
  return entry.kills;
}

void PoisonTable::condemn_row(std::uint32_t member, const Fingerprint& row, Time now) {
  while (blame(member, row, true, now) < kKillsMax) continue;
}

void PoisonTable::absolve(std::uint32_t member, const Fingerprint& input) {
  const auto found = entries_.find({.input = input, .member = member});
  if (found != entries_.end() && found->second.kills < kKillsMax) entries_.erase(found);
}

void PoisonTable::expire(Time now) {
  if (now < next_expiry_) return;
  std::erase_if(entries_, [&](const auto& entry) { return now >= entry.second.until; });
  next_expiry_ = kNever;
  rows_ = 0;
  for (const auto& [key, entry] : entries_) {
    next_expiry_ = std::min(next_expiry_, entry.until);
    rows_ += is_row(entry) ? 1U : 0U;
  }
}

}  // namespace tutti
