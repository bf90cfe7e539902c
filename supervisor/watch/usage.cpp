#include "supervisor/watch/usage.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include "shared/region.hpp"

namespace tutti {
namespace {

std::string read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text{};  // both files are shorter
  const ssize_t bytes = file.is_open() ? ::read(file.get(), text.data(), text.size()) : 0;
  return {text.data(), bytes > 0 ? static_cast<std::size_t>(bytes) : 0};
}

std::uint64_t number_at(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_of("0123456789"), text.size()));
  std::uint64_t number = 0;
  std::from_chars(text.begin(), text.end(), number);
  return number;
}

// "Pss:      123 kB"
std::uint64_t kibibytes_of(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  return at == std::string_view::npos ? 0 : number_at(text.substr(at + key.size())) * 1024;
}

// Fields 14 and 15 of stat; what stands before the last ')' is the process's own choice.
Duration cpu_of(std::string_view stat) {
  constexpr int kFieldsBefore = 12;  // between the ')' and field 14
  std::size_t at = stat.rfind(')');
  for (int field = 0; field < kFieldsBefore && at != std::string_view::npos; ++field) {
    at = stat.find(' ', at + 1);
  }
  if (at == std::string_view::npos) return {};
  const std::uint64_t user = number_at(stat.substr(at));
  const std::size_t next = stat.find(' ', at + 1);
  const std::uint64_t kernel = next == std::string_view::npos ? 0 : number_at(stat.substr(next));
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return Duration(static_cast<std::int64_t>((user + kernel) * (1'000'000'000 / ticks)));
}

}  // namespace

std::optional<Usage> usage_of(int pid) {
  const std::string memory = read_file(fmt::format("/proc/{}/smaps_rollup", pid));
  const std::string stat = read_file(fmt::format("/proc/{}/stat", pid));
  if (memory.empty() || stat.empty()) return std::nullopt;
  return Usage{
      .pss_bytes = kibibytes_of(memory, "\nPss:"),
      .unshared_bytes = kibibytes_of(memory, "\nPrivate_Clean:") + kibibytes_of(memory, "\nPrivate_Dirty:"),
      .cpu = cpu_of(stat)};
}

}  // namespace tutti
