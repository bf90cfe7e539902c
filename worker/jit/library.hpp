// The one function of libtutti-jit.so, for both of its sides.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "worker/jit/compiler.hpp"

namespace tutti::jit {

inline constexpr const char* kLibraryName = "libtutti-jit.so";
inline constexpr const char* kFunctionName = "tutti_jit_compile";

/// As compile(); `problem` is empty where it went well.
using CompileFunction = void(std::string_view table, std::span<const Order> orders, Code& code,
                             std::string& problem);

}  // namespace tutti::jit

extern "C" [[gnu::visibility("default")]] tutti::jit::CompileFunction tutti_jit_compile;
