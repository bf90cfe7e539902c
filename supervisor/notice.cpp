#include "supervisor/notice.hpp"

#include <fmt/format.h>

#include <utility>

#include "shared/log.hpp"

namespace tutti {
namespace {

Error reported_error(const Notice& notice) {
  const bool shape = notice.error_code == static_cast<std::uint32_t>(Errc::shape_mismatch);
  return {.code = shape ? Errc::shape_mismatch : Errc::bad_model,
          .what = printable(notice.what.view()),
          .where = printable(notice.where.view()),
          .hint = printable(notice.hint.view())};
}

}  // namespace

Heard violation(std::string what) {
  return {.kind = Heard::Kind::violation,
          .error = {Errc::protocol, std::move(what), "control socket",
                    "install tutti and tutti-worker from the same build, or distrust the model"}};
}

Heard read_notice(const Received& got, const Notice& notice) {
  if (got.kind == Received::Kind::nothing) return {};
  if (got.kind == Received::Kind::closed) return {.kind = Heard::Kind::closed};
  if (got.descriptors > 0) return violation("it sent descriptors");
  if (got.bytes != sizeof notice || notice.magic != kProtocolMagic || notice.version != kProtocolVersion) {
    return violation(fmt::format("it sent {} bytes that are no notice", got.bytes));
  }
  switch (notice.kind) {
    case NoticeKind::loading:
      return {.kind = Heard::Kind::loading, .walls = Walls::from_bits(notice.walls), .sender = got.sender};
    case NoticeKind::loaded:
      return {.kind = Heard::Kind::loaded,
              .load = Duration(static_cast<std::int64_t>(notice.load_ns & INT64_MAX)),
              .may_fork = notice.may_fork != 0,
              .sender = got.sender};
    case NoticeKind::failed:
      return {.kind = Heard::Kind::failed, .error = reported_error(notice), .sender = got.sender};
    case NoticeKind::born:
      return {
          .kind = Heard::Kind::born,
          .isolate = {.magic = kProtocolMagic, .isolate = notice.isolate, .generation = notice.generation},
          .sender = got.sender};
    default:
      return violation("it sent a notice of an unknown kind");
  }
}

}  // namespace tutti
