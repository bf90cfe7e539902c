#include "supervisor/watch/events.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "supervisor/clock.hpp"

namespace tutti {
namespace {

constexpr std::size_t kQueueMax = 1024;
constexpr int kPatienceMs = 50;
constexpr std::size_t kNoteMax = 512;  // bytes: with it a line is still shorter than PIPE_BUF

std::string wall_time(Time at) {
  const auto wall = std::chrono::system_clock::now() - (monotonic_now() - at);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(wall.time_since_epoch());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(micros);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(seconds.count())),
                     (micros - seconds).count());
}

bool is_of_quorum(Event::Kind kind) {
  return kind == Event::Kind::quorum_lost || kind == Event::Kind::quorum_regained;
}

bool is_of_promotion(Event::Kind kind) {
  return kind == Event::Kind::promoted || kind == Event::Kind::not_promoted;
}

// Names are letters, digits, '.', '_' and '-', and causes are ours: only a note needs to be escaped.
std::string line_of(const Event& event, std::string_view ensemble, std::uint64_t dropped) {
  std::string line =
      fmt::format(R"({{"event":"{}","at_ns":{},"time":"{}","ensemble":"{}")", name_of(event.kind),
                  event.at.time_since_epoch().count(), wall_time(event.at), ensemble);
  if (is_of_promotion(event.kind)) {
    const std::string note(event.note.substr(0, kNoteMax));
    line += fmt::format(R"(,"member":"{}","note":{})", event.isolate,
                        nlohmann::json(note).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
  } else if (!is_of_quorum(event.kind)) {
    line += fmt::format(R"(,"isolate":"{}","pid":{},"generation":{},"restarts":{})", event.isolate, event.pid,
                        event.generation, event.restarts);
  }
  if (event.cause.state != VoteState::pending) {
    line += fmt::format(R"(,"cause":"{}","detail":"{}")", name_of(event.cause.state), describe(event.cause));
  }
  line += fmt::format(R"(,"members_ready":{},"quorum":{})", event.members_ready, event.quorum);
  if (dropped > 0) line += fmt::format(R"(,"dropped":{})", dropped);
  return line + "}\n";
}

}  // namespace

Result<std::unique_ptr<EventLog>> EventLog::open(const std::string& path, std::string ensemble,
                                                 OnEvent on_event) {
  Descriptor file;
  int descriptor = path == "-" ? STDOUT_FILENO : -1;
  if (!path.empty() && path != "-") {
    // Without O_NONBLOCK opening a pipe would wait for its reader.
    file = Descriptor(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644));
    if (!file.is_open()) {
      return std::unexpected(system_error("opening the event log", errno, path,
                                          "name a file in a directory that is there and may be written"));
    }
    descriptor = file.get();
  }
  return std::unique_ptr<EventLog>(
      new EventLog(std::move(file), descriptor, std::move(ensemble), std::move(on_event)));
}

EventLog::EventLog(Descriptor file, int descriptor, std::string ensemble, OnEvent on_event)
    : file_(std::move(file)),
      descriptor_(descriptor),
      ensemble_(std::move(ensemble)),
      on_event_(std::move(on_event)) {
  queue_.reserve(kQueueMax);
  if (descriptor_ >= 0 || on_event_) thread_ = std::thread([this] { run(); });
}

EventLog::~EventLog() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void EventLog::push(const Event& event) noexcept {
  if (!thread_.joinable()) return;
  {
    // Held for a moment only: the thread takes the whole queue at once and writes without it.
    const std::lock_guard lock(mutex_);
    if (queue_.size() == kQueueMax) {
      ++dropped_;
      return;
    }
    queue_.push_back(event);
  }
  changed_.notify_one();
}

std::uint64_t EventLog::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

void EventLog::run() {
  std::vector<Event> taken;
  taken.reserve(kQueueMax);
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return closing_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::swap(taken, queue_);
    const std::uint64_t dropped = dropped_;
    lock.unlock();
    for (const Event& event : taken) {
      if (on_event_) on_event_(event);
      if (descriptor_ >= 0) write(event, dropped);
    }
    taken.clear();
    lock.lock();
  }
}

// Waits for a reader that is slow, but not while everything else waits for this thread's end.
void EventLog::write(const Event& event, std::uint64_t dropped) {
  const std::string line = line_of(event, ensemble_, dropped);
  pollfd ready{.fd = descriptor_, .events = POLLOUT, .revents = 0};
  while (!given_up_) {
    const int count = ::poll(&ready, 1, kPatienceMs);
    if (count == 1 && (ready.revents & POLLOUT) != 0) {
      // A line is shorter than PIPE_BUF: a pipe that is writable takes it whole.
      if (::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return;
      break;
    }
    if (count == 1 || (count < 0 && errno != EINTR)) break;
    const std::lock_guard lock(mutex_);
    given_up_ = closing_;
  }
  const std::lock_guard lock(mutex_);
  ++dropped_;
}

}  // namespace tutti
