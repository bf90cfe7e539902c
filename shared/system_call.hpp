// Names of system calls, for people who read why a worker was ended.
#pragma once

#include <string>

namespace tutti {

/// "execve" for 59 on x86-64; "system call 4711" for a number that the kernel headers of the build do not
/// name.
std::string system_call_name(int number);

}  // namespace tutti
