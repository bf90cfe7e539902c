// toml++ reads any valid TOML, and TOML may nest as deep as it is long: tables are built and taken down by
// recursion, so a megabyte of "a.a.a.…" would end on the stack's guard page. A config needs five levels. So
// the text is first scanned, not parsed: characters that TOML cannot hold, keys of too many parts, too many
// brackets.
//
//   bytes ──size, kind of file──▶ text ──NUL, UTF-8, depth──▶ toml++ ──▶ table
#include "supervisor/config/source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

#include "supervisor/config/text.hpp"

namespace tutti::settings {
namespace {

constexpr std::size_t kDepthMax = 16;

/// Closes on the way out.
struct File {
  int descriptor;
  explicit File(int opened) : descriptor(opened) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

ConfigProblem unreadable(const std::string& path, std::string what, std::string hint) {
  return {.error = {.code = Errc::bad_config,
                    .what = std::move(what),
                    .where = path.empty() ? "config" : cleaned(path),
                    .hint = std::move(hint)},
          .source_line = {},
          .column = 0};
}

std::string too_large() { return fmt::format("larger than {} bytes", kConfigBytesMax); }

constexpr std::string_view kTooLargeHint = "a config names models and settings; is this the right file?";

Place place_at(std::string_view text, std::size_t offset) {
  Place place;
  std::size_t line_start = 0;
  for (std::size_t at = text.find('\n'); at < offset; at = text.find('\n', at + 1)) {
    ++place.line;
    line_start = at + 1;
  }
  for (std::size_t at = line_start; at < offset; at += code_point_at(text, at).bytes) ++place.column;
  return place;
}

/// Scans TOML just far enough to tell strings and comments from the rest.
class DepthScan {
 public:
  explicit DepthScan(std::string_view text) : text_(text) {}

  /// Offset of the first dot or bracket that goes too deep.
  std::optional<std::size_t> run() {
    while (at_ < text_.size()) {
      const char letter = text_[at_];
      if (letter == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (letter == '"' || letter == '\'') {
        skip_string(letter);
      } else {
        if (goes_too_deep(letter)) return at_;
        ++at_;
      }
    }
    return std::nullopt;
  }

 private:
  bool goes_too_deep(char letter) {
    if (letter == '.') return ++dots_ > kDepthMax;
    // Only these end a dotted key; numbers in a list are parted by commas.
    if (letter == ',' || letter == '=' || letter == '\n' || letter == '[' || letter == '{') dots_ = 0;
    if (letter == '[' || letter == '{') return ++brackets_ > kDepthMax;
    if ((letter == ']' || letter == '}') && brackets_ > 0) --brackets_;
    return false;
  }

  void skip_string(char quote) {
    const bool multi_line = text_.substr(at_, 3) == std::string(3, quote);
    const std::string end(multi_line ? 3 : 1, quote);
    at_ += end.size();
    while (at_ < text_.size()) {
      if (text_.substr(at_, end.size()) == end) {
        at_ += end.size();
        // A multi-line string may end in up to five quotes, the last three closing it.
        while (multi_line && at_ < text_.size() && text_[at_] == quote) ++at_;
        return;
      }
      if (!multi_line && text_[at_] == '\n') return;
      at_ += quote == '"' && text_[at_] == '\\' ? 2 : 1;
    }
    at_ = text_.size();
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t dots_ = 0;
  std::size_t brackets_ = 0;
};

std::optional<SyntaxFault> text_fault(std::string_view text) {
  if (text.size() > kConfigBytesMax) {
    return SyntaxFault{.place = {}, .what = too_large(), .hint = std::string(kTooLargeHint)};
  }
  const std::size_t nul = text.find('\0');
  const std::size_t broken = invalid_utf8_at(text).value_or(text.size());
  if (nul < broken) {
    return SyntaxFault{.place = place_at(text, nul),
                       .what = "a NUL byte; this is not a text file",
                       .hint = "save the file as UTF-8 text"};
  }
  if (broken < text.size()) {
    return SyntaxFault{
        .place = place_at(text, broken),
        .what = fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text[broken])),
        .hint = "save the file as UTF-8 text"};
  }
  if (const auto deep = DepthScan(text).run()) {
    return SyntaxFault{.place = place_at(text, *deep),
                       .what = fmt::format("nested deeper than {} levels", kDepthMax),
                       .hint = "a config needs five: profile.NAME.member.NAME.weight"};
  }
  return std::nullopt;
}

}  // namespace

std::expected<std::string, ConfigProblem> read_text(const std::string& path) {
  const auto failed = [&](int error_number) {
    return std::unexpected(unreadable(path,
                                      "cannot be read: " + std::generic_category().message(error_number),
                                      "check the path and its permissions"));
  };
  if (path.find('\0') != std::string::npos) return failed(ENOENT);
  // Non-blocking: opening a FIFO that nobody writes would wait for ever.
  const File file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (file.descriptor < 0) return failed(errno);
  struct stat status{};
  if (::fstat(file.descriptor, &status) != 0) return failed(errno);
  if (!S_ISREG(status.st_mode)) {
    return std::unexpected(
        unreadable(path, S_ISDIR(status.st_mode) ? "a directory, not a file" : "not a regular file",
                   "name the config's TOML file"));
  }
  // One byte more than allowed tells a file that is too large, also one that grows or claims no size (/proc).
  std::string text(kConfigBytesMax + 1, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t count = ::read(file.descriptor, text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(errno);
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  if (filled > kConfigBytesMax)
    return std::unexpected(unreadable(path, too_large(), std::string(kTooLargeHint)));
  text.resize(filled);
  return text;
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

std::expected<toml::table, SyntaxFault> parse_toml(std::string_view text) {
  if (auto fault = text_fault(text)) return std::unexpected(*std::move(fault));
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    return std::unexpected(SyntaxFault{
        .place = place_of(error.source()),
        .what = fmt::format("not TOML: {}", cleaned(error.description())),
        .hint = "texts and durations stand in quotes (\"50ms\"); the rest of the file is checked once this "
                "is right"});
  }
}

}  // namespace tutti::settings
