// The supervisor's end of one incarnation of an isolate: its process, its two regions, its rings.
//
//   create ──▶ order_fork (from its member's template) ──Notice born──▶ adopt ──▶ hello
//         └──▶ start_whole (loads the model itself) ────────────────────────────▶ hello
//
// Made anew for every start and dropped at death; nothing of it is ever repaired or reused.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "shared/channel.hpp"
#include "shared/region.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/consume.hpp"
#include "supervisor/process.hpp"
#include "supervisor/template_link.hpp"

namespace tutti {

/// What an isolate said when it was ready; checked.
struct Hello {
  std::optional<Error> error;  // it cannot serve
  Duration load{};
};

class WorkerLink {
 public:
  /// Creates the regions. Errors: system.
  static Result<WorkerLink> create(const WorkerPlan& plan, const MemberConfig& member,
                                   const WorkerOrder& order);
  /// Starts a process that loads the model itself and becomes this isolate. Errors: system.
  Result<void> start_whole(const WorkerPlan& plan, const MemberConfig& member, const WorkerOrder& order,
                           std::uint32_t isolate);
  /// Orders a fork of the template; the process is there once it was adopted. Errors: system.
  Result<void> order_fork(TemplateLink& from, std::uint32_t isolate, std::uint16_t generation);
  /// Takes charge of the process that was forked. Errors: protocol, system.
  Result<void> adopt(pid_t pid);

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

  /// What it says of its model's tiers: whole, and unchecked. Nothing where that cannot be had now.
  [[nodiscard]] std::optional<TierNumbers> tiers() const noexcept {
    return read_tiers<ChannelLoad>(up_.tiers());
  }

  // ---- sleeping ----
  /// Tells the worker to ring from now on. After raising all flags: wake_fence(), then look again.
  void raise_flag() noexcept {
    if (flag_raised_) return;
    flag_raised_ = true;
    down_.sleeping().store(1, std::memory_order_relaxed);
  }
  [[nodiscard]] int bell() const noexcept { return bell_.get(); }

  /// False between the order and the adoption.
  [[nodiscard]] bool has_process() const noexcept { return process().pid() > 0; }
  Process& process() noexcept { return whole_ ? whole_->process() : process_; }
  [[nodiscard]] const Process& process() const noexcept { return whole_ ? whole_->process() : process_; }
  /// If its process is dead: reaps it and says how it died. Never blocks.
  std::optional<VoteFate> reap();
  /// Of one that was started whole; else null.
  TemplateLink* whole() noexcept { return whole_ ? &*whole_ : nullptr; }
  /// The reading end of its standard output and error. To be taken once.
  Descriptor take_output() noexcept { return std::move(output_.reading); }

 private:
  WorkerLink() = default;
  void lower_flag() noexcept {
    if (!flag_raised_) return;
    flag_raised_ = false;
    down_.sleeping().store(0, std::memory_order_relaxed);
  }
  void wake() noexcept;
  [[nodiscard]] std::int32_t forbidden_call() const;
  [[nodiscard]] std::array<int, kForkDescriptors> descriptors() const noexcept;

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
  OutputPipe output_;
  std::shared_ptr<ProcessGroup> group_;  // of the template that it was forked from; outlives process_
  std::optional<TemplateLink> whole_;
  Process process_;
  bool flag_raised_ = false;
};

}  // namespace tutti
