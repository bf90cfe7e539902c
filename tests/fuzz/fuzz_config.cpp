// Any text is a config or a list of problems, each told in full; a config that was read can be written and
// read back.
//
//   input = config text, then any number of: 0x01 "--set" text, 0x02 "NAME=VALUE", 0x03 profile
//
// Those bytes cannot stand in TOML, so a corpus entry stays a readable config.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "supervisor/config/config.hpp"

namespace {

using tutti::ConfigSource;

void require(bool holds, const char* what, std::string_view text) {
  if (holds) return;
  std::fprintf(stderr, "%s:\n%.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

void take_layer(char kind, const std::string& text, ConfigSource& source) {
  if (kind == '\x01') source.settings.push_back(text);
  if (kind == '\x03') source.profile = text;
  if (kind != '\x02') return;
  const std::size_t equals = text.find('=');
  source.environment.emplace_back(text.substr(0, equals),
                                  equals == std::string::npos ? "" : text.substr(equals + 1));
}

tutti::EnsembleConfig without_places(tutti::EnsembleConfig config) {
  for (tutti::MemberConfig& member : config.members) member.where.clear();
  return config;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  constexpr std::string_view kKinds = "\x01\x02\x03";
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  ConfigSource source;
  source.path = "/configs/fuzz.toml";
  source.models_must_exist = false;
  std::size_t at = input.find_first_of(kKinds);
  const std::string_view text = input.substr(0, at);
  while (at != std::string_view::npos) {
    const std::size_t end = input.find_first_of(kKinds, at + 1);
    take_layer(input[at], std::string(input.substr(at + 1, end - at - 1)), source);
    at = end;
  }

  const auto config = tutti::parse_config(text, source);
  if (!config) {
    require(!config.error().empty(), "refused without a problem", text);
    for (const tutti::ConfigProblem& problem : config.error()) {
      const std::string shown = describe(problem, false);
      require(!problem.error.what.empty() && !problem.error.where.empty() && !problem.error.hint.empty(),
              "a problem that is not told in full", shown);
      require(problem.error.code == tutti::Errc::bad_config, "a problem with another code", shown);
      require(shown.find('\x1b') == std::string::npos, "a problem that drives the terminal", shown);
    }
    return 0;
  }
  const std::string written = to_toml(*config);
  ConfigSource plain;
  plain.path = source.path;
  plain.models_must_exist = false;
  const auto back = tutti::parse_config(written, plain);
  require(back.has_value(), "written, but not read back", written);
  require(without_places(*back) == without_places(*config), "read back as another config", written);
  return 0;
}
