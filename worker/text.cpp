#include "worker/text.hpp"

#include <cstdint>

namespace tutti {
namespace {

/// One decoded character: how many bytes it takes, 0 if these bytes are no valid UTF-8.
struct Character {
  std::size_t bytes = 0;
  std::uint32_t code = 0;
};

Character decode(std::string_view text) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {1, lead};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0x7FU >> bytes);
  for (std::size_t index = 1; index < bytes; ++index) {
    if ((byte(index) & 0xC0U) != 0x80U) return {};
    code = code << 6 | (byte(index) & 0x3FU);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (overlong || surrogate || code > 0x10FFFF) return {};
  return {bytes, code};
}

bool is_control(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x061C ||
         (code >= 0x200E && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string one_line(std::string_view text, std::size_t bytes_max) {
  static constexpr std::string_view kCut = "…";
  text = text.substr(0, text.find('\0'));
  std::string line;
  std::size_t cut = 0;  // of `line`: up to here it leaves room for the mark
  while (!text.empty()) {
    const Character character = decode(text);
    const std::size_t taken = character.bytes == 0 ? 1 : character.bytes;
    const std::string_view shown = character.bytes == 0         ? std::string_view("?")
                                   : is_control(character.code) ? std::string_view(" ")
                                                                : text.substr(0, taken);
    if (line.size() + shown.size() > bytes_max) {
      line.resize(cut);
      return bytes_max < kCut.size() ? line : line.append(kCut);
    }
    line.append(shown);
    if (line.size() + kCut.size() <= bytes_max) cut = line.size();
    text.remove_prefix(taken);
  }
  return line;
}

}  // namespace tutti
