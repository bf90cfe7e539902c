// Sizes in bytes as people write them, and what follows from two places of a config.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <limits>

#include "supervisor/config/config.hpp"

namespace tutti {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
// The largest first: "2GiB" and not "2048MiB".
constexpr std::array<Unit, 5> kUnits{
    {{"TiB", 1ULL << 40U}, {"GiB", 1ULL << 30U}, {"MiB", 1ULL << 20U}, {"KiB", 1ULL << 10U}, {"B", 1}}};

}  // namespace

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  std::uint64_t count = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (failure != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const Unit& one : kUnits) {
    if (unit != one.name) continue;
    if (count > std::numeric_limits<std::uint64_t>::max() / one.bytes) return std::nullopt;
    return count * one.bytes;
  }
  return std::nullopt;
}

std::string format_byte_size(std::uint64_t bytes) {
  for (const Unit& unit : kUnits) {
    if (bytes >= unit.bytes && bytes % unit.bytes == 0)
      return fmt::format("{}{}", bytes / unit.bytes, unit.name);
  }
  return "0B";
}

JitConfig jit_of(const JitConfig& ensemble, const MemberConfig& member) {
  JitConfig merged = member.jit;
  if (!merged.mode) merged.mode = ensemble.mode;
  if (!merged.threshold) merged.threshold = ensemble.threshold;
  if (!merged.compile) merged.compile = ensemble.compile;
  return merged;
}

IsolationConfig isolation_of(const IsolationConfig& ensemble, const MemberConfig& member) {
  IsolationConfig merged = member.isolation;
  const auto fall_back = [](auto& own, const auto& other) {
    if (!own) own = other;
  };
  fall_back(merged.require, ensemble.require);
  fall_back(merged.memory, ensemble.memory);
  fall_back(merged.cpu_cores, ensemble.cpu_cores);
  fall_back(merged.cpu_share, ensemble.cpu_share);
  fall_back(merged.nice, ensemble.nice);
  fall_back(merged.processes, ensemble.processes);
  fall_back(merged.descriptors, ensemble.descriptors);
  fall_back(merged.file_size, ensemble.file_size);
  merged.read.insert(merged.read.begin(), ensemble.read.begin(), ensemble.read.end());
  return merged;
}

}  // namespace tutti
