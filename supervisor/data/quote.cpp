#include "supervisor/data/quote.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace tutti::table {
namespace {

/// Bytes of the well-formed, printable UTF-8 character that the text begins with; 0 when there is none.
std::size_t printable_length(std::string_view text) noexcept {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  std::uint32_t point = first & (0x7fU >> length);
  for (std::size_t index = 1; index < length; ++index) {
    const auto byte = static_cast<unsigned char>(text[index]);
    if ((byte & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte & 0x3fU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0xa0, 0x800, 0x10000};  // below 0xa0 are control characters
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return point >= kSmallest[length] && point <= 0x10ffff && !surrogate ? length : 0;
}

}  // namespace

std::string quote(std::string_view text) {
  std::string quoted = "'";
  std::size_t at = 0;
  while (at < text.size() && at < kQuotedMax) {
    const std::size_t length = printable_length(text.substr(at));
    if (length > 0) {
      quoted += text.substr(at, length);
    } else {
      fmt::format_to(std::back_inserter(quoted), "\\x{:02x}", static_cast<unsigned char>(text[at]));
    }
    at += std::max<std::size_t>(length, 1);
  }
  return quoted + (at < text.size() ? "…'" : "'");
}

std::string quote_list(std::span<const std::string> texts) {
  constexpr std::size_t kListed = 100;
  std::string list;
  for (const std::string& text : texts.first(std::min(texts.size(), kListed))) {
    list += (list.empty() ? "" : ", ") + quote(text);
  }
  if (texts.size() > kListed) list += fmt::format(" and {} more", texts.size() - kListed);
  return list;
}

}  // namespace tutti::table
