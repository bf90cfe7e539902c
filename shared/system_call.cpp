#include "shared/system_call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace tutti {
namespace {

// Written by CMake from what the preprocessor says of <sys/syscall.h>: no list of ours could keep up.
constexpr std::pair<int, std::string_view> kNames[] = {
#include "system_call_names.inc"
};

}  // namespace

std::string system_call_name(int number) {
  const auto* const found = std::ranges::find(kNames, number, &std::pair<int, std::string_view>::first);
  return found != std::end(kNames) ? std::string(found->second) : fmt::format("system call {}", number);
}

}  // namespace tutti
