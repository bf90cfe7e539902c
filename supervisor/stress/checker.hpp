// Is an answer right? Recomputed here, from what the answer says of itself and from what was seen before.
//
//   1. The answer is what the rule makes of the parts of those who are listed as voters. The rules are
//   written
//      down here once more, naively; nothing of the combiner is used.
//   2. The label is the first of the largest numbers.
//   3. A member's part on rows that it has seen before any fault is the same, bit for bit: an answer that
//   mixes
//      two requests, or was torn, differs. Members that did not repeat themselves even then are let off this.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "supervisor/config/config.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

class Checker {
 public:
  /// `trusted` says which members' parts are compared with earlier ones; a stand-in's are not.
  Checker(const EnsembleConfig& config, std::vector<bool> trusted, std::size_t inputs);

  /// Before any fault: remembers what the members answer to an input. To be called twice for each.
  void learn(std::size_t input, const Prediction& prediction);

  /// "" if it is right, else what is wrong. `changed` means that the rows were not quite those of the input.
  /// May be called from several threads.
  [[nodiscard]] std::string check(std::size_t input, bool changed, const Prediction& prediction) const;

 private:
  [[nodiscard]] std::string check_form(const Prediction& prediction) const;
  [[nodiscard]] std::string check_parts(std::size_t input, const Prediction& prediction) const;
  [[nodiscard]] std::string check_row(const Prediction& prediction, std::uint32_t row) const;

  const EnsembleConfig& config_;
  std::vector<bool> trusted_;
  std::vector<std::vector<std::vector<float>>> known_;  // [inputs][members] parts; empty: not seen yet
};

/// What the rule makes of one row. parts[m] is member m's row, and empty if it has no vote.
std::vector<double> recompute(const EnsembleConfig& config, const std::vector<std::vector<double>>& parts);

}  // namespace tutti::stress
