// Places where a test can make the worker die or stop. They exist only in the worker that tests build
// (TUTTI_FAULT_POINTS); in the one that users run they are nothing at all.
//
// A fault is "action@step:n=COUNT": action kill, segv, abort, stop or exit; the step is passed COUNT times
// before it strikes (default 0, the first time).
#pragma once

#include <string_view>

namespace tutti {

#if defined(TUTTI_FAULT_POINTS)

/// Arms the fault in `spec`; an empty one disarms. Ends the process when the spec cannot be read.
void arm_fault(std::string_view spec) noexcept;

/// Strikes if this step is armed and its count has run out.
void fault_point(std::string_view step) noexcept;

#else

inline void arm_fault(std::string_view /*spec*/) noexcept {}
inline void fault_point(std::string_view /*step*/) noexcept {}

#endif

}  // namespace tutti
