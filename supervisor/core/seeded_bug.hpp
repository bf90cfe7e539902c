// Mistakes put in on purpose, so that the simulation can show that it would find them.
//
// In every program but the simulation there are none: has_bug() is the constant false and leaves no code. The
// simulation compiles a core of its own with TUTTI_SEEDED_BUGS and chooses one mistake at a time by number.
#pragma once

namespace tutti {

#ifdef TUTTI_SEEDED_BUGS
inline int seeded_bug = 0;  // none
inline bool has_bug(int number) noexcept { return seeded_bug == number; }
#else
constexpr bool has_bug(int /*number*/) noexcept { return false; }
#endif

}  // namespace tutti
