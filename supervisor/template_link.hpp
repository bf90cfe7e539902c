// The supervisor's end of one worker that loads a model: its process, its control socket, what it said.
//
// Such a worker is a member's template, which forks isolates on order, or, for a model that cannot be forked,
// one that becomes the isolate it is ordered to be. What it says is hostile until checked: a message of the
// wrong size, kind or order is a violation, and whom it speaks for is the kernel's word (SCM_CREDENTIALS).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "shared/channel.hpp"
#include "shared/control.hpp"
#include "supervisor/config/config.hpp"
#include "supervisor/notice.hpp"
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
  IsolationConfig isolation;
  JitConfig jit;
};

/// What is particular to one worker.
struct WorkerOrder {
  std::string name;  // "boosted/0"
  std::uint16_t generation = 0;
  bool forks = false;
  std::string fault;  // a fault point to arm, for workers built for tests
};

/// The start block of a template or of an isolate.
StartBlock start_block(const WorkerPlan& plan, const MemberConfig& member, const WorkerOrder& order);

class TemplateLink {
 public:
  /// Starts the process, which writes its output to `output`. Errors: system.
  static Result<TemplateLink> start(const WorkerPlan& plan, const MemberConfig& member,
                                    const WorkerOrder& order, OutputPipe output);

  /// Orders an isolate. Errors: system (the worker is gone or does not read).
  Result<void> order(const ForkOrder& order, const std::array<int, kForkDescriptors>& descriptors);

  using Heard = tutti::Heard;
  /// The next thing it said. Never blocks.
  Heard hear();

  /// Listens no more. A worker that finds nobody to speak to ends.
  void hang_up() noexcept {
    socket_.close();
    closed_ = true;
  }
  /// Readable when there is something to hear.
  [[nodiscard]] int socket() const noexcept { return socket_.get(); }
  /// The reading end of its standard output and error. To be taken once.
  Descriptor take_output() noexcept { return std::move(output_); }
  /// The process that has the model, or that was started to load it.
  Process& process() noexcept { return process_; }
  [[nodiscard]] const Process& process() const noexcept { return process_; }
  /// True if there are processes beside it, its companion, its `isolates` that live and those that were
  /// ordered: a model that is hostile from load can make them, and they would be nobody's.
  [[nodiscard]] bool hides_processes(std::size_t isolates) const;
  /// If the process is dead and no other will take its place: says how it died. Never blocks.
  std::optional<VoteFate> reap();
  /// The process and all its descendants.
  [[nodiscard]] std::shared_ptr<ProcessGroup> group() const noexcept { return group_; }

 private:
  TemplateLink() = default;
  Heard admit(Heard heard);
  Result<void> recognise(pid_t sender);
  /// A death by signal as what it was: a forbidden system call, too much memory.
  [[nodiscard]] VoteFate refined(VoteFate seen) const;

  Descriptor socket_;
  Descriptor output_;
  std::shared_ptr<ProcessGroup> group_;  // outlives process_
  Process process_;
  std::optional<VoteFate> ended_;  // how process_ did
  bool known_ = false;             // process_ has said that it loads the model
  bool announced_ = false;         // it has said that it loads the model
  bool reported_ = false;          // it has said how that ended
  std::uint64_t orders_ = 0;
  std::uint64_t births_ = 0;  // announced, not believed
  bool closed_ = false;       // nobody holds the other end of the socket any more
};

}  // namespace tutti
