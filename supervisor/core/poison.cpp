#include "supervisor/core/poison.hpp"

#include <algorithm>

#include "supervisor/core/seeded_bug.hpp"

namespace tutti {

std::uint32_t PoisonTable::kills(std::uint32_t member, const Fingerprint& input, Time now) {
  expire(now);
  const auto found = entries_.find({member, input});
  if (found == entries_.end()) return 0;
  found->second.used = ++uses_;
  return found->second.kills;
}

std::uint32_t PoisonTable::blame(std::uint32_t member, const Fingerprint& input, Time now) {
  expire(now);
  if (entries_.size() >= kEntriesMax && !entries_.contains({member, input})) {
    entries_.erase(
        std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.used; }));
  }
  Entry& entry = entries_[{member, input}];
  entry.kills += has_bug(6) ? 2 : 1;
  entry.until = now + kRemembered;
  entry.used = ++uses_;
  next_expiry_ = std::min(next_expiry_, entry.until);
  return entry.kills;
}

void PoisonTable::absolve(std::uint32_t member, const Fingerprint& input) {
  const auto found = entries_.find({member, input});
  if (found != entries_.end() && found->second.kills < kKillsMax) entries_.erase(found);
}

void PoisonTable::expire(Time now) {
  if (now < next_expiry_) return;
  std::erase_if(entries_, [&](const auto& entry) { return now >= entry.second.until; });
  next_expiry_ = kNever;
  for (const auto& [key, entry] : entries_) next_expiry_ = std::min(next_expiry_, entry.until);
}

}  // namespace tutti
