// A small process that cleans up after a supervisor that was killed and could not do it itself.
//
//   supervisor ──pipe: paths of what it is about to make──▶ janitor ── waits for the pipe's end
//        └── ends in any way ──────────────────────────────▶    └── removes what is dead, and ends
//
// What is dead: a status socket that it was told of and nobody listens at, control groups of supervisors that
// are gone. It sleeps in one read() for as long as the supervisor lives, holds nothing but that pipe, and
// does not know in which way the supervisor ended: of one that cleaned up itself it finds nothing. Killed, it
// is missed only by a supervisor that is killed as well; the next `tutti status` then does its work.
#pragma once

#include <sys/types.h>

#include <string>

#include "shared/region.hpp"

namespace tutti::cli {

class Janitor {
 public:
  /// Starts one: this program, exec'ed anew. Without one if that cannot be: everything else works.
  Janitor();
  Janitor(Janitor&& other) noexcept;
  Janitor& operator=(Janitor&&) = delete;
  Janitor(const Janitor&) = delete;
  Janitor& operator=(const Janitor&) = delete;
  /// Lets it end, and sees to it.
  ~Janitor();

  /// To be told before there is anything at `path`: a status socket, that is to go when nobody listens.
  void note(const std::string& path);

 private:
  pid_t pid_ = -1;
  Descriptor pipe_;
};

/// The only argument that the janitor is started with.
inline constexpr const char* kJanitorArgument = "--janitor";

/// The janitor itself. Returns the exit code.
int be_janitor();

}  // namespace tutti::cli
