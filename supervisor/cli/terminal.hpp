// What people see on standard error: colours where they are wanted, tables, and a progress bar on a terminal.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tutti::cli {

/// Colours are used on a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is "dumb".
bool use_colour(int descriptor);

/// Text for people, to standard error. What cannot be written there is lost: nobody could be told.
void say_text(std::string_view text) noexcept;

template <class... Arguments>
void say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  say_text(fmt::format(format, std::forward<Arguments>(arguments)...));
}

/// Rows of equal length, the first one the header; the first column to the left, the others to the right.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

/// "850 ns", "12.3 us", "1.23 ms", "4.56 s".
std::string format_time(std::chrono::nanoseconds time);
/// "512 B", "1.5 KiB", "20.0 MiB".
std::string format_bytes(std::uint64_t bytes);
/// "1 234 567".
std::string format_count(std::uint64_t count);

/// One line that is redrawn at most ten times a second. Draws nothing unless standard error is a terminal.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  ~ProgressBar() { clear(); }

  /// `total` is unknown for pipes: then only the count and the rate are shown.
  void update(std::uint64_t done, std::optional<std::uint64_t> total, std::string_view note);
  /// The same for work that is measured in time.
  void update_share(double share, std::string_view note);
  /// Takes the line away, so that other text can follow.
  void clear();

 private:
  [[nodiscard]] bool due();
  void draw(const std::string& text);
  std::string label_;
  bool active_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point begun_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace tutti::cli
