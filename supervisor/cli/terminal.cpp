#include "supervisor/cli/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace tutti::cli {

namespace {
bool dumb_terminal() {
  const char* terminal = std::getenv("TERM");
  return terminal != nullptr && std::string_view(terminal) == "dumb";
}
}  // namespace

bool use_colour(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour != nullptr && *no_colour != '\0') return false;
  return ::isatty(descriptor) == 1 && !dumb_terminal();
}

void say_text(std::string_view text) noexcept { std::fwrite(text.data(), 1, text.size(), stderr); }

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line = "  ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    }
    text += line + "\n";
  }
  return text;
}

std::string format_time(std::chrono::nanoseconds time) {
  const auto ns = static_cast<double>(time.count());
  if (ns < 1e3) return fmt::format("{} ns", time.count());
  if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.2f} ms", ns / 1e6);
  return fmt::format("{:.2f} s", ns / 1e9);
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array<const char*, 4> kUnits{"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_count(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (auto place = static_cast<std::ptrdiff_t>(text.size()) - 3; place > 0; place -= 3) {
    text.insert(static_cast<std::size_t>(place), " ");
  }
  return text;
}

namespace {

// "[#####.....]  50%  "
std::string bar(double share) {
  constexpr std::size_t kWidth = 30;
  const double bounded = std::clamp(share, 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(bounded * kWidth);
  return fmt::format("[{}{}] {:3.0f}%  ", std::string(filled, '#'), std::string(kWidth - filled, '.'),
                     bounded * 100);
}

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      active_(::isatty(STDERR_FILENO) == 1 && !dumb_terminal()),
      begun_(std::chrono::steady_clock::now()),
      next_(begun_) {}

void ProgressBar::update(std::uint64_t done, std::optional<std::uint64_t> total, std::string_view note) {
  if (!due()) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  std::string line;
  if (total && *total > 0) {
    line += bar(static_cast<double>(done) / static_cast<double>(*total));
    const double left = rate > 0 ? static_cast<double>(*total - std::min(done, *total)) / rate : 0;
    line += fmt::format("{:.0f} s left  ", left);
  }
  line += fmt::format("{} rows  {} rows/s  {}", format_count(done),
                      format_count(static_cast<std::uint64_t>(rate)), note);
  draw(line);
}

void ProgressBar::update_share(double share, std::string_view note) {
  if (due()) draw(fmt::format("{}{}", bar(share), note));
}

bool ProgressBar::due() {
  const auto now = std::chrono::steady_clock::now();
  if (!active_ || now < next_) return false;
  next_ = now + std::chrono::milliseconds(100);
  return true;
}

void ProgressBar::draw(const std::string& text) {
  drawn_ = true;
  std::fputs(("\r\x1b[K" + label_ + " " + text).c_str(), stderr);
  std::fflush(stderr);
}

void ProgressBar::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace tutti::cli
