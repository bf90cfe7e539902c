#include "worker/template.hpp"

#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "worker/fork_for_parent.hpp"
#include "worker/isolate.hpp"
#include "worker/model.hpp"

namespace tutti {
namespace {

constexpr int kExitCannotLoad = 1;
constexpr int kExitCannotFork = 66;

JitSettings jit_settings(const StartBlock& start) {
  JitSettings settings;
  if (start.jit == JitLevel::off) settings.mode = JitSettings::Mode::off;
  settings.compile = start.jit == JitLevel::full && start.jit_compile != 0;
  if (start.jit_threshold != kJitByItself) settings.threshold = start.jit_threshold;
  return settings;
}

Result<std::unique_ptr<Model>> load(const StartBlock& start) {
  const ModelSource source{.path = std::string(start.model.view()),
                           .kind = std::string(start.kind.view()),
                           .classification = start.classification != 0,
                           .features = start.features,
                           .outputs = start.outputs,
                           .rows_max = start.rows_max,
                           .jit = jit_settings(start)};
  try {
    return load_model(source);
  } catch (const std::bad_alloc&) {
    return std::unexpected(Error{Errc::bad_model, "not enough memory to load the model", source.path,
                                 "raise the member's memory limit or use a smaller model"});
  } catch (const std::exception& exception) {
    return std::unexpected(Error{Errc::bad_model, exception.what(), source.path, "the file may be damaged"});
  }
}

/// One prediction of zeros, so that no first request pays for lazy work. Whether it succeeds is not asked: a
/// model may rightly refuse zeros.
void warm_up(Model& model, const StartBlock& start) {
  const std::vector<float> x(start.features, 0.0F);
  std::vector<float> out(start.outputs);
  static_cast<void>(model.predict({x.data(), 1, start.features}, {out.data(), 1, start.outputs}));
}

Notice notice_of(NoticeKind kind) {
  Notice notice{};
  notice.magic = kProtocolMagic;
  notice.version = kProtocolVersion;
  notice.kind = kind;
  return notice;
}

bool report(int control, const Result<std::unique_ptr<Model>>& model, std::chrono::nanoseconds took) {
  Notice notice = notice_of(model ? NoticeKind::loaded : NoticeKind::failed);
  notice.load_ns = static_cast<std::uint64_t>(took.count());
  if (model) {
    notice.may_fork = (*model)->may_fork() ? 1 : 0;
  } else {
    notice.error_code = static_cast<std::uint32_t>(model.error().code);
    notice.what.assign(model.error().what);
    notice.where.assign(model.error().where);
    notice.hint.assign(model.error().hint);
  }
  return send_message(control, bytes_of(notice), {});
}

}  // namespace

int be_template(const StartBlock& start, const Result<Caged>& caged, Descriptor control,
                const Region& input) {
  const auto begun = std::chrono::steady_clock::now();
  // Said before any model code runs here: afterwards nothing that this process says of itself need be true.
  Notice loading = notice_of(NoticeKind::loading);
  if (caged) loading.walls = caged->walls.bits();
  if (!send_message(control.get(), bytes_of(loading), {})) return 0;
  const auto model = caged ? load(start) : Result<std::unique_ptr<Model>>(std::unexpected(caged.error()));
  if (model) warm_up(**model, start);
  if (!report(control.get(), model, std::chrono::steady_clock::now() - begun)) return 0;
  if (!model) return kExitCannotLoad;

  for (;;) {
    ForkOrder order{};
    std::array<Descriptor, kForkDescriptors> received;
    const Received got = receive_message(control.get(), writable_bytes_of(order), received);
    if (got.kind != Received::Kind::message || got.bytes != sizeof order || order.magic != kProtocolMagic ||
        got.descriptors != received.size())
      return 0;
    IsolateDescriptors descriptors{.down = std::move(received[0]),
                                   .up = std::move(received[1]),
                                   .bell = std::move(received[2]),
                                   .output = std::move(received[3])};
    const pid_t child = start.forks != 0 ? fork_for_parent() : 0;
    if (child == 0) be_isolate(order, std::move(descriptors), std::move(control), input, **model);
    // The supervisor sees the end of this process, and starts another template when that is wise.
    if (child < 0) return kExitCannotFork;
  }
}

}  // namespace tutti
