#include <fmt/format.h>
#include <spdlog/version.h>
#include <toml++/toml.h>

#include <CLI/CLI.hpp>
#include <Eigen/Core>
#include <boost/version.hpp>
#include <nlohmann/json.hpp>

#include "shared/message.hpp"
#include "supervisor/cli/commands.hpp"

namespace tutti::cli {

int version(bool json) {
  if (!json) {
    fmt::print("tutti {}\n", TUTTI_VERSION);
    return kOk;
  }
  const nlohmann::ordered_json libraries{
      {"boost",
       fmt::format("{}.{}.{}", BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100)},
      {"eigen", fmt::format("{}.{}.{}", EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION)},
      {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10'000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)},
      {"toml++", fmt::format("{}.{}.{}", TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH)},
      {"cli11", CLI11_VERSION}};
  const nlohmann::ordered_json text{{"tutti", TUTTI_VERSION},
                                    {"protocol", kProtocolVersion},
                                    {"compiler", __VERSION__},
                                    {"libraries", libraries}};
  fmt::print("{}\n", text.dump(2));
  return kOk;
}

int schema() {
  fmt::print("{}\n", config_schema());
  return kOk;
}

}  // namespace tutti::cli
