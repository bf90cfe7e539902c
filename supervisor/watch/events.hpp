// Events to JSON lines and to whoever listens, without ever holding up the engine.
//
//   engine ──push──▶ [bounded queue] ──own thread──▶ a line each to a file, and OnEvent
//                         │ full
//                         └──▶ counted, and told in the next line as "dropped"
//
// One line: {"event":"died","at_ns":…,"time":"2026-01-31T12:00:00.123456Z","isolate":"boosted/0","pid":7,…}
// at_ns is CLOCK_MONOTONIC, for differences; time is for people.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "shared/error.hpp"
#include "shared/region.hpp"
#include "supervisor/status.hpp"

namespace tutti {

/// Called from the event thread, one event after the other. It must not throw.
using OnEvent = std::function<void(const Event&)>;

class EventLog {
 public:
  /// path  a file that is appended to, "-" for standard output, "" for none
  /// Errors: system.
  static Result<std::unique_ptr<EventLog>> open(const std::string& path, std::string ensemble,
                                                OnEvent on_event);
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;
  /// Writes what is queued, as far as the reader takes it at once.
  ~EventLog();

  void push(const Event& event) noexcept;
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  EventLog(Descriptor file, int descriptor, std::string ensemble, OnEvent on_event);
  void run();
  void write(const Event& event, std::uint64_t dropped);

  Descriptor file_;
  int descriptor_ = -1;  // file_'s, standard output, or -1
  std::string ensemble_;
  OnEvent on_event_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> queue_;
  std::uint64_t dropped_ = 0;
  bool closing_ = false;
  bool given_up_ = false;  // the thread's own: closing, and the reader takes nothing
  std::thread thread_;
};

}  // namespace tutti
