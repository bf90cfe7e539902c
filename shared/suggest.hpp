// Did-you-mean: the known word nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace tutti {

/// The candidate with the smallest Damerau-Levenshtein distance (optimal string alignment), if that is at
/// most a third of the longer word's length (at least 1); else "". Case is ignored. Ties: the first.
std::string nearest_word(std::string_view word, std::span<const std::string> candidates);

/// "did you mean 'deadline'?" or "" when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace tutti
