// The supervisor's end of one incarnation of an isolate: its process, its two regions, its rings.
//
// Made anew for every start and dropped at death; nothing of it is ever repaired or reused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "shared/channel.hpp"
#include "shared/region.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/consume.hpp"
#include "supervisor/process.hpp"

namespace tutti {

/// What every worker of an ensemble has in common.
struct WorkerPlan {
  std::string program;
  ChannelShape shape;
  std::uint32_t features = 0;
  bool classification = false;
  std::int64_t spin_ns = 0;
  bool yields = false;
  int input_descriptor = -1;
  std::uint64_t input_bytes = 0;
};

/// What a worker said when it was done loading; checked.
struct Hello {
  std::optional<Error> error;  // it could not load its model
  Duration load{};
};

class WorkerLink {
 public:
  /// Creates the regions and starts the process. `name` is "boosted/0".
  static Result<WorkerLink> start(const WorkerPlan& plan, const MemberConfig& member, const std::string& name,
                                  std::uint16_t generation, const std::string& fault);

  // ---- requests ----
  void publish(const Request& request) noexcept {
    lower_flag();
    requests_.publish(request);
  }
  /// After publishing: wakes the worker if it sleeps.
  void wake_if_sleeping() noexcept {
    wake_fence();
    if (up_.sleeping().load(std::memory_order_relaxed) != 0) wake();
  }

  // ---- answers ----
  [[nodiscard]] bool has_news() const noexcept { return answers_.has_news(); }
  Consumed consume(const std::optional<Expected>& expected, float* part) {
    return tutti::consume<ChannelLoad>(answers_, expected, {shape_.outputs, classification_},
                                       up_.output(answers_.taken() & (shape_.lines - 1)), part);
  }
  /// The worker's hello, once it is there. Errors: protocol.
  [[nodiscard]] std::optional<Result<Hello>> hello() const;

  // ---- sleeping ----
  /// Tells the worker to ring from now on. After raising all flags: wake_fence(), then look again.
  void raise_flag() noexcept {
    if (flag_raised_) return;
    flag_raised_ = true;
    down_.sleeping().store(1, std::memory_order_relaxed);
  }
  [[nodiscard]] int bell() const noexcept { return bell_.get(); }

  Process& process() noexcept { return process_; }
  [[nodiscard]] const Process& process() const noexcept { return process_; }

 private:
  WorkerLink() = default;
  void lower_flag() noexcept {
    if (!flag_raised_) return;
    flag_raised_ = false;
    down_.sleeping().store(0, std::memory_order_relaxed);
  }
  void wake() noexcept;

  ChannelShape shape_;
  std::uint32_t features_ = 0;
  bool classification_ = false;
  Region down_region_;
  Region up_region_;
  Descriptor bell_;
  DownView<std::byte> down_;
  UpView<const std::byte> up_;
  RingWriter<Request> requests_;
  RingReader<Answer, ChannelLoad> answers_;
  Process process_;
  bool flag_raised_ = false;
};

}  // namespace tutti
