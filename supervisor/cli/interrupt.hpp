// Ctrl-C and its like: the first ends the work in good order, the second ends the program.
#pragma once

#include <atomic>

namespace tutti::cli {

/// From now on SIGINT, SIGTERM and SIGHUP are noted, unless they were ignored or are handled already.
void handle_signals();

/// The signal's number once it came, else 0.
const std::atomic<int>& interruption() noexcept;
inline int interrupted() noexcept { return interruption().load(); }

/// Whether a signal also ends what is read from standard input.
void end_standard_input_when_interrupted(bool reads);

}  // namespace tutti::cli
