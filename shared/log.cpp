#include "shared/log.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>

namespace tutti {

std::shared_ptr<spdlog::logger> make_logger(const std::string& name, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%H:%M:%S.%e %l %v");
  logger->set_level(level);
  logger->flush_on(spdlog::level::warn);
  return logger;
}

std::string printable(std::string_view text) {
  std::string clean(text);
  std::ranges::replace_if(clean, [](char c) { return c < ' ' || c > '~'; }, '?');
  return clean;
}

void LineStrainer::feed(std::string_view bytes, std::chrono::nanoseconds now, const Line& line) {
  if (now >= window_ends_) {
    report(line);
    window_ends_ = now + std::chrono::seconds(1);
    budget_ = kLogBytesPerSecondMax;
  }
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    const std::size_t room = kLogLineMax - partial_.size();
    cut_ = cut_ || piece.size() > room;
    partial_ += piece.substr(0, room);
    if (end == std::string_view::npos) return;
    emit(line);
    bytes.remove_prefix(end + 1);
  }
}

void LineStrainer::emit(const Line& line) {
  const std::size_t cost = partial_.size() + 1;
  if (cost <= budget_) {
    budget_ -= cost;
    line(cut_ ? printable(partial_) + " [cut]" : printable(partial_));
  } else {
    budget_ = 0;
    ++dropped_;
    ++dropped_total_;
  }
  partial_.clear();
  cut_ = false;
}

void LineStrainer::report(const Line& line) {
  if (dropped_ > 0) line(fmt::format("dropped {} lines", dropped_));
  dropped_ = 0;
}

void LineStrainer::finish(const Line& line) {
  if (!partial_.empty() || cut_) emit(line);
  report(line);
}

}  // namespace tutti
