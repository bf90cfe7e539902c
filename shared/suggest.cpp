#include "shared/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tutti {
namespace {

// The distance takes words × words steps, and the word may be the user's: longer ones are nobody's typing
// error.
constexpr std::size_t kWordMax = 256;

std::string lowered(std::string_view word) {
  std::string lower(word);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lower;
}

/// Damerau-Levenshtein, optimal string alignment: insert, delete, replace, or swap two neighbours, each
/// costs 1.
std::size_t distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> two_above(right.size() + 1), above(right.size() + 1), row(right.size() + 1);
  for (std::size_t column = 0; column <= right.size(); ++column) row[column] = column;
  for (std::size_t line = 1; line <= left.size(); ++line) {
    std::swap(two_above, above);
    std::swap(above, row);
    row[0] = line;
    for (std::size_t column = 1; column <= right.size(); ++column) {
      const std::size_t replace = left[line - 1] == right[column - 1] ? 0 : 1;
      row[column] = std::min({above[column] + 1, row[column - 1] + 1, above[column - 1] + replace});
      if (line > 1 && column > 1 && left[line - 1] == right[column - 2] &&
          left[line - 2] == right[column - 1]) {
        row[column] = std::min(row[column], two_above[column - 2] + 1);
      }
    }
  }
  return row[right.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, std::span<const std::string> candidates) {
  if (word.empty() || word.size() > kWordMax) return {};
  const std::string wanted = lowered(word);
  const std::string* nearest = nullptr;
  std::size_t smallest = 0;
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || candidate.size() > kWordMax) continue;
    const std::size_t longer = std::max(wanted.size(), candidate.size());
    const std::size_t shorter = std::min(wanted.size(), candidate.size());
    const std::size_t allowed = std::max<std::size_t>(1, longer / 3);
    if (longer - shorter > allowed) continue;
    const std::size_t steps = distance(wanted, lowered(candidate));
    if (steps > allowed || (nearest != nullptr && steps >= smallest)) continue;
    nearest = &candidate;
    smallest = steps;
  }
  return nearest == nullptr ? std::string() : *nearest;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string nearest = nearest_word(word, candidates);
  return nearest.empty() ? nearest : fmt::format("did you mean '{}'?", nearest);
}

}  // namespace tutti
