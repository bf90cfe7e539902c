// Which fault has struck an isolate in which state: a simulation that never meets a case shows nothing about
// it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "supervisor/core/isolate.hpp"
#include "tests/simulation/scenario.hpp"

namespace tutti::simulation {

/// hunting: it works on a part of a batch, of which it may have died.
enum class Struck : std::uint8_t { waiting, starting, idle, busy, hunting, dying, count };
inline constexpr auto kStruck = static_cast<std::size_t>(Struck::count);

class Coverage {
 public:
  void note(Fault fault, Struck state) {
    ++cells_[static_cast<std::size_t>(fault)][static_cast<std::size_t>(state)];
  }
  /// Possible cells that nothing has hit.
  [[nodiscard]] std::size_t empty() const;
  /// The matrix, a fault a line; "." where a fault cannot strike.
  [[nodiscard]] std::string text() const;

 private:
  [[nodiscard]] static bool possible(std::size_t fault, std::size_t state);
  std::array<std::array<std::uint64_t, kStruck>, kFaults> cells_{};
};

}  // namespace tutti::simulation
