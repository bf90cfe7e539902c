#include "shared/log.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

namespace tutti {

namespace {

// Standard error without waiting: what a stopped terminal or a pipe that nobody reads cannot take now is
// counted and told later. A log must never hold up an answer.
class PatientSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    // Writable means that a pipe takes PIPE_BUF bytes; a line is shorter.
    if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) {
      ++dropped_;
      return;
    }
    if (dropped_ > 0) {
      const std::string report =
          fmt::format("{} lines of the log were dropped: nobody read them\n", dropped_);
      dropped_ = 0;
      write(report);
    }
    write({line.data(), line.size()});
  }
  void flush_() override {}

 private:
  static void write(std::string_view text) {
    constexpr std::size_t kAtOnce = 4096;  // PIPE_BUF
    [[maybe_unused]] const ssize_t written =
        ::write(STDERR_FILENO, text.data(), std::min(text.size(), kAtOnce));
  }
  std::uint64_t dropped_ = 0;
};

}  // namespace

std::shared_ptr<spdlog::logger> make_logger(const std::string& name, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<PatientSink>());
  logger->set_pattern("%H:%M:%S.%e %l %v");
  logger->set_level(level);
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
