// A process of the ensemble, held so that a signal can strike nobody else: its number may be given to another
// process once it is dead and reaped, its descriptor never is.
#pragma once

#include <string>

#include "shared/region.hpp"
#include "supervisor/tutti.hpp"

namespace tutti::stress {

class Victim {
 public:
  /// Holds the process of `isolate` ("boosted/0"), or the template of a member for a name without '/', as it
  /// is now. Not open if there is none.
  static Victim hold(const Ensemble& ensemble, const std::string& name);

  [[nodiscard]] bool held() const noexcept { return descriptor_.is_open(); }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// Of an isolate.
  [[nodiscard]] std::uint16_t generation() const noexcept { return generation_; }
  /// False if it is gone.
  [[nodiscard]] bool strike(int signal) const;

 private:
  Descriptor descriptor_;
  std::string name_;
  std::uint16_t generation_ = 0;
};

}  // namespace tutti::stress
