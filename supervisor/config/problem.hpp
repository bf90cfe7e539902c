// Where a value stands, and the list of everything that is wrong.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/config/config.hpp"

namespace tutti::settings {

/// More than anybody reads; bounds what a hostile file can make us collect.
inline constexpr std::size_t kProblemsMax = 200;

/// Where something was said: a position in the file, or an origin outside it.
struct Place {
  std::string origin{};      // "environment TUTTI_ANSWER__DEADLINE", "--set answer.deadline"; "" in the file
  std::uint32_t order = 0;   // of origins among each other
  std::uint32_t line = 1;    // in the file, from 1
  std::uint32_t column = 1;  // in code points, from 1
  const toml::node* node = nullptr;  // in the file: the value, whose elements have places of their own
};

Place place_of(const toml::source_region& region);
Place place_of(const toml::node& node);

/// Collects problems with one file and what is laid over it.
class Problems {
 public:
  /// Both must outlive this. `text` is without a byte order mark.
  Problems(std::string_view path, std::string_view text);

  void add(const Place& place, std::string what, std::string hint);
  /// The "file:line:col" or the origin of a place.
  [[nodiscard]] std::string where(const Place& place) const;
  [[nodiscard]] bool empty() const { return problems_.empty(); }
  /// In the file's order, then the environment's, then that of --set; what was said twice is said once.
  [[nodiscard]] std::vector<ConfigProblem> sorted();

 private:
  struct Placed {
    Place place;
    ConfigProblem problem;
  };
  void show_source(const Place& place, ConfigProblem& problem) const;

  std::string path_;
  std::string_view text_;
  std::vector<std::size_t> line_starts_;
  std::vector<Placed> problems_;
  std::size_t left_out_ = 0;  // beyond kProblemsMax
};

}  // namespace tutti::settings
