// A data file's text in a message: it may be anything, of any length, and must not drive the reader's
// terminal.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tutti::table {

/// Bytes of a text that are shown.
inline constexpr std::size_t kQuotedMax = 60;

/// 'text', cut after kQuotedMax bytes. Control characters and bytes that are not UTF-8 are shown as \xNN.
std::string quote(std::string_view text);

/// "'a', 'b', 'c'"; after 100 "and 24 more".
std::string quote_list(std::span<const std::string> texts);

}  // namespace tutti::table
