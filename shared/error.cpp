#include "shared/error.hpp"

#include <fmt/format.h>

#include <system_error>
#include <utility>

namespace tutti {

std::string_view name_of(Errc code) noexcept {
  switch (code) {
    case Errc::bad_usage:
      return "bad_usage";
    case Errc::bad_config:
      return "bad_config";
    case Errc::bad_data:
      return "bad_data";
    case Errc::bad_model:
      return "bad_model";
    case Errc::shape_mismatch:
      return "shape_mismatch";
    case Errc::too_few_votes:
      return "too_few_votes";
    case Errc::overloaded:
      return "overloaded";
    case Errc::not_ready:
      return "not_ready";
    case Errc::stopped:
      return "stopped";
    case Errc::system:
      return "system";
    case Errc::protocol:
      return "protocol";
    case Errc::model_failed:
      return "model_failed";
  }
  return "unknown";
}

std::string describe(const Error& error) {
  std::string line;
  if (!error.where.empty()) line += error.where + ": ";
  line += "error: " + error.what;
  if (!error.hint.empty()) line += "; " + error.hint;
  return line;
}

Error system_error(std::string_view call, int error_number, std::string where, std::string hint) {
  return {.code = Errc::system,
          .what = fmt::format("{}: {}", call, std::generic_category().message(error_number)),
          .where = std::move(where),
          .hint = std::move(hint)};
}

}  // namespace tutti
