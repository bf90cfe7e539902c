#include "supervisor/worker_link.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "shared/log.hpp"

namespace tutti {

Result<WorkerLink> WorkerLink::start(const WorkerPlan& plan, const MemberConfig& member,
                                     const std::string& name, std::uint16_t generation,
                                     const std::string& fault) {
  auto down = Region::create("tutti-down", plan.shape.down_bytes(), Writer::creator);
  if (!down) return std::unexpected(down.error());
  auto up = Region::create("tutti-up", plan.shape.up_bytes(), Writer::peer);
  if (!up) return std::unexpected(up.error());
  WorkerLink link;
  link.bell_ = Descriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!link.bell_.is_open()) return std::unexpected(system_error("eventfd", errno, name));
  link.shape_ = plan.shape;
  link.features_ = plan.features;
  link.classification_ = plan.classification;
  link.down_region_ = std::move(*down);
  link.up_region_ = std::move(*up);
  link.down_ = DownView<std::byte>(link.down_region_.data(), plan.shape.lines);
  link.up_ = UpView<const std::byte>(link.up_region_.data(), plan.shape);
  link.requests_ = RingWriter<Request>(link.down_.requests());
  link.answers_ = RingReader<Answer, ChannelLoad>(link.up_.answers());

  StartBlock& start = link.down_.start();
  start = {.magic = kProtocolMagic,
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
           .generation = generation,
           .reserved = 0,
           .name = {},
           .model = {},
           .kind = {},
           .fault = {}};
  start.name.assign(name);
  start.model.assign(member.model);
  start.kind.assign(member.kind);
  start.fault.assign(fault);

  auto process = Process::spawn({.program = plan.program,
                                 .descriptors = {plan.input_descriptor, link.down_region_.descriptor(),
                                                 link.up_region_.descriptor(), link.bell_.get()}});
  if (!process) return std::unexpected(process.error());
  link.process_ = std::move(*process);
  return link;
}

std::optional<Result<Hello>> WorkerLink::hello() const {
  // acquire: pairs with the release in the worker's say_hello().
  const auto state = static_cast<HelloState>(up_.hello_state().load(std::memory_order_acquire));
  if (state == HelloState::none) return std::nullopt;
  // The block is copied once; the copy is checked and used.
  const auto copy = std::make_unique<HelloBlock>();
  ChannelLoad::copy(copy.get(), &up_.hello(), sizeof(HelloBlock));
  const bool known_state = state == HelloState::ready || state == HelloState::failed;
  if (copy->magic != kProtocolMagic || copy->version != kProtocolVersion || !known_state) {
    return std::unexpected(Error{Errc::protocol, "the worker's hello cannot be read", "hello",
                                 "install tutti and tutti-worker from the same build"});
  }
  Hello hello{.error = std::nullopt, .load = Duration(static_cast<std::int64_t>(copy->load_ns & INT64_MAX))};
  if (state == HelloState::failed) {
    hello.error = Error{.code = copy->error_code == static_cast<std::uint32_t>(Errc::shape_mismatch)
                                    ? Errc::shape_mismatch
                                    : Errc::bad_model,
                        .what = printable(copy->what.view()),
                        .where = printable(copy->where.view()),
                        .hint = printable(copy->hint.view())};
  } else if (copy->features != features_ || copy->outputs != shape_.outputs) {
    return std::unexpected(Error{Errc::protocol, "the worker's hello names other shapes than it was given",
                                 "hello", "install tutti and tutti-worker from the same build"});
  }
  return hello;
}

void WorkerLink::wake() noexcept {
  down_.bell().fetch_add(1, std::memory_order_release);
  futex_wake(down_.bell());
}

}  // namespace tutti
