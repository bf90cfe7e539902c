// Text from strangers, made fit to stand in an error: bounded, one line, valid UTF-8.
//
// A tensor's name, a plug-in's message and what dlerror() says are bytes that somebody else chose. They may
// hold escape sequences that rewrite a terminal, newlines that forge log lines, or no end at all.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace tutti {

/// `text` up to its first NUL and at most `bytes_max` bytes ("…" marks a cut). A control character becomes a
/// space; a byte that is not part of valid UTF-8 becomes '?'. What a terminal may act on (C1 controls, and
/// the marks that turn the direction of text) counts as control characters.
std::string one_line(std::string_view text, std::size_t bytes_max);

/// "1, 2, 3". (fmt::join sets off a false warning of GCC 12 at -O3.)
template <class Items>
std::string comma_list(const Items& items) {
  std::string list;
  for (const auto& item : items) list += fmt::format("{}{}", list.empty() ? "" : ", ", item);
  return list;
}

}  // namespace tutti
