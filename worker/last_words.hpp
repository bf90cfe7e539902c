// What a worker says when a filter ends it: which system call it tried.
#pragma once

#include <cstdint>

namespace tutti {

/// Async-signal-safe: a line on standard error, and where `keep_last_words` said.
void tell_violation(int system_call) noexcept;

/// From now on the number of a forbidden call, and one, is also stored here.
void keep_last_words(std::uint32_t& place) noexcept;

}  // namespace tutti
