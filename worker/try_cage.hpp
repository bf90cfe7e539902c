// A worker without a supervisor, for `tutti doctor`: enters and seals a cage, and prints what holds.
#pragma once

#include <string_view>

namespace tutti {

/// Prints to standard output, a fact a line: "protocol 3", "wall pid_namespace", "missing own_uid: why",
/// "took_ns 1200000". Ends with the exit code; the companion, if there is one, ends with the process group.
int try_cage();

}  // namespace tutti
