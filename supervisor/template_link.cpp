#include "supervisor/template_link.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "supervisor/isolation/verify.hpp"
#include "supervisor/plan.hpp"

namespace tutti {
namespace {

// The supervisor's own work: a worker's word is not asked.
constexpr Walls kGroupWalls{Wall::cgroup_memory, Wall::cgroup_processes, Wall::cgroup_cpu};

// What a worker maps beside its private memory: what it shares with us, its model's file, libraries.
std::uint64_t mapped_bytes(const WorkerPlan& plan, const MemberConfig& member) {
  constexpr std::uint64_t kLibraries = 256U << 20U;
  std::error_code ignored;
  const std::uintmax_t model = std::filesystem::file_size(member.model, ignored);
  return plan.input_bytes + plan.shape.down_bytes() + plan.shape.up_bytes() + (ignored ? 0 : model) +
         kLibraries;
}

CageRequest cage_request(const WorkerPlan& plan, const MemberConfig& member) {
  const IsolationConfig isolation = isolation_of(plan.isolation, member);
  const CageRequest standard;
  // The template, the companion and the isolates are none of the model's doing.
  const std::uint32_t own_processes = 2 + member.instances;
  return {.requirement = isolation.require.value_or(standard.requirement),
          .descriptors_max = isolation.descriptors.value_or(standard.descriptors_max),
          .memory_bytes_max = memory_of(isolation),
          .address_bytes_max = isolation.memory ? *isolation.memory + mapped_bytes(plan, member) : 0,
          .file_bytes_max = isolation.file_size.value_or(standard.file_bytes_max),
          .processes_max = isolation.processes.value_or(standard.processes_max) + own_processes,
          .nice = isolation.nice.value_or(standard.nice)};
}

// Only for what a config limits: the worker's own limits do the rest without leaving anything in the file
// system.
GroupLimits group_limits(const WorkerPlan& plan, const MemberConfig& member) {
  const IsolationConfig isolation = isolation_of(plan.isolation, member);
  if (isolation.require == IsolationRequirement::none) return {};
  GroupLimits group{.memory_bytes = isolation.memory,
                    .cpu_cores = isolation.cpu_cores,
                    .cpu_share = isolation.cpu_share,
                    .processes = {}};
  // Each isolate may use as much, and the template as well.
  if (group.memory_bytes) *group.memory_bytes *= std::uint64_t{member.instances} + 1;
  if (group.any()) group.processes = cage_request(plan, member).processes_max;
  return group;
}

JitLevel level_of(const JitConfig& jit) {
  switch (jit.mode.value_or(JitMode::full)) {
    case JitMode::off:
      return JitLevel::off;
    case JitMode::tier1:
      return JitLevel::tier1;
    case JitMode::full:
      break;
  }
  return JitLevel::full;
}

}  // namespace

StartBlock start_block(const WorkerPlan& plan, const MemberConfig& member, const WorkerOrder& order) {
  const JitConfig jit = jit_of(plan.jit, member);
  StartBlock start{.magic = kProtocolMagic,
                   .version = kProtocolVersion,
                   .supervisor_pid = ::getpid(),
                   .features = plan.features,
                   .outputs = plan.shape.outputs,
                   .lines = plan.shape.lines,
                   .rows_max = plan.shape.rows_max,
                   .input_bytes = plan.input_bytes,
                   .down_bytes = plan.shape.down_bytes(),
                   .up_bytes = plan.shape.up_bytes(),
                   .spin_ns = plan.spin_ns,
                   .yields = plan.yields ? 1U : 0U,
                   .classification = plan.classification ? 1U : 0U,
                   .generation = order.generation,
                   .forks = order.forks ? 1U : 0U,
                   .jit = level_of(jit),
                   .jit_threshold = jit.threshold.value_or(kJitByItself),
                   .jit_compile = jit.compile == JitCompile::load ? 1U : 0U,
                   .reserved = 0,
                   .cage = cage_request(plan, member),
                   .name = {},
                   .model = {},
                   .kind = {},
                   .readable = {},
                   .fault = {}};
  start.name.assign(order.name);
  start.model.assign(member.model);
  std::string readable;
  for (const std::string& path : isolation_of(plan.isolation, member).read) readable += path + "\n";
  start.readable.assign(readable);
  start.kind.assign(member.kind);
  start.fault.assign(order.fault);
  return start;
}

Result<TemplateLink> TemplateLink::start(const WorkerPlan& plan, const MemberConfig& member,
                                         const WorkerOrder& order, OutputPipe output) {
  auto pair = make_control_pair();
  if (!pair) return std::unexpected(pair.error());
  auto process = Process::spawn(
      {.program = plan.program, .control = pair->worker.get(), .output = output.writing.get()});
  if (!process) return std::unexpected(process.error());
  TemplateLink link;
  link.socket_ = std::move(pair->supervisor);
  link.output_ = std::move(output.reading);
  link.process_ = std::move(*process);
  link.process_.set_anchor(true);
  ControlGroup limits = ControlGroup::create(group_limits(plan, member));
  // It makes no other process before it has read its start block, so all of them are inside.
  limits.add(link.process_.pid());
  const IsolationConfig isolation = isolation_of(plan.isolation, member);
  const bool cpu_holds = limits.walls().has(Wall::cgroup_cpu) || !limits_cpu(isolation);
  link.group_ = std::make_shared<ProcessGroup>(link.process_.pid(), std::move(limits));
  if (!cpu_holds && isolation.require == IsolationRequirement::full) {
    return std::unexpected(
        Error{Errc::system, "isolation.cpu_cores or cpu_share does not hold: no control group can be made",
              order.name, "`tutti doctor` says what can be done"});
  }
  StartBlock start = start_block(plan, member, order);
  // A group counts what is used, and needs nobody to count what is reserved.
  if (link.group_->walls().has(Wall::cgroup_memory)) start.cage.address_bytes_max = 0;
  if (!send_message(link.socket_.get(), bytes_of(start), {&plan.input_descriptor, kStartDescriptors})) {
    return std::unexpected(system_error("sendmsg", errno, order.name));
  }
  return link;
}

Result<void> TemplateLink::order(const ForkOrder& order,
                                 const std::array<int, kForkDescriptors>& descriptors) {
  ++orders_;
  if (send_message(socket_.get(), bytes_of(order), descriptors)) return {};
  return std::unexpected(system_error("sendmsg", errno, "the template's control socket",
                                      "the template has ended, or does not read its orders"));
}

Heard TemplateLink::hear() {
  Notice notice{};
  const Received got = receive_message(socket_.get(), writable_bytes_of(notice), {});
  Heard heard = read_notice(got, notice);
  closed_ = closed_ || heard.kind == Heard::Kind::closed;
  return admit(std::move(heard));
}

// What is well said may still not be its to say.
Heard TemplateLink::admit(Heard heard) {
  const bool loading = heard.kind == Heard::Kind::loading;
  const bool loaded = heard.kind == Heard::Kind::loaded || heard.kind == Heard::Kind::failed;
  if (heard.kind == Heard::Kind::born && ++births_ > orders_)
    return violation("it made more isolates than were ordered");
  if (!loading && !loaded) return heard;
  // Each once and in this order: the first was said before any model code ran, and stands.
  if (loading ? announced_ : reported_) return violation("it reported twice");
  if (!loading && !announced_) return violation("it reported before it said that it loads the model");
  (loading ? announced_ : reported_) = true;
  if (auto known = recognise(heard.sender); !known) return violation(known.error().what);
  if (loading) heard.walls = heard.walls.without(kGroupWalls) | group_->walls();
  return heard;
}

// The process that loads the model is the one that was started, or one that this made inside new namespaces.
Result<void> TemplateLink::recognise(pid_t sender) {
  const bool same = sender == process_.pid() && process_.running();
  if (!same && known_) {
    return std::unexpected(Error{Errc::protocol, "a second process says that it has the model", {}, {}});
  }
  known_ = true;
  if (same) return {};
  auto adopted = Process::adopt(sender);
  if (!adopted) return std::unexpected(adopted.error());
  // The group has an anchor as long as one of its processes is unreaped: now it is this one.
  adopted->set_anchor(true);
  process_.release_anchor();
  process_ = std::move(*adopted);
  ended_.reset();
  return {};
}

bool TemplateLink::hides_processes(std::size_t isolates) const {
  // The one that was started, the companion, and the one that loads the model: without a namespace the same.
  constexpr std::size_t kOwn = 3;
  const std::size_t unborn = orders_ > births_ ? orders_ - births_ : 0;
  return children_in_session(group_->leader()) > kOwn + isolates + unborn;
}

std::optional<VoteFate> TemplateLink::reap() {
  if (!ended_) {
    ended_ = process_.reap();
    if (ended_) ended_ = refined(*ended_);
  }
  // The one that was started may end in order when it has made the one that loads the model.
  const bool in_order = ended_ == VoteFate{.state = VoteState::exited, .detail = 0};
  if (in_order && !known_ && !closed_) return std::nullopt;
  return ended_;
}

VoteFate TemplateLink::refined(VoteFate seen) const {
  if (seen.state != VoteState::crashed) return seen;
  if (seen.detail == SIGSYS) return {.state = VoteState::escape_attempt, .detail = -1};
  if (seen.detail == SIGKILL && group_->take_memory_kill()) return {.state = VoteState::out_of_memory};
  return seen;
}

}  // namespace tutti
