// Tier 2: tier 1's own kernels, compiled anew with this model's numbers where tier 1 has variables.
//
//   kernels_avx512.cpp ──GCC, for any model──▶ kAvx512Kernels, in the worker                  tier 1
//                      └─clang, when tutti is built──▶ bitcode, in libtutti-jit.so
//                                                      └─ + Order: "planes is 50, groups is 1" ──LLVM──▶ tier
//                                                      2
//
// The kernel is compiled, not the model: a table of nodes takes two bytes a node and code for one 20 to 100,
// so code for every tree is slower as soon as there are many. What an order fixes are sizes, strides and
// counts; loops over them unroll, switches on them go. There is no second description of what a kernel does,
// so there is none that could give other bits.
//
// LLVM is a hundred megabytes: it lives in a library of its own, which is opened only by a template that is
// to compile. Code is written into memory that cannot be executed, which is then made executable and can no
// longer be written. Isolates inherit it when they are forked, after which nothing may be made executable any
// more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tutti::jit {

/// A number that a kernel will always be given: an argument, or 32 bits of its first argument, a view.
struct Known {
  std::uint32_t at = 0;  // which argument; or where in the view
  std::uint32_t value = 0;
};

/// One function to compile: the one whose pointer lies `slot` bytes into the table.
struct Order {
  std::size_t slot = 0;
  std::size_t view_bytes = 0;
  std::vector<Known> fields;  // of the view
  std::vector<Known> arguments;
};

struct Code {
  std::vector<void*> functions;  // one for each order, of the type that the table has there
  std::size_t bytes = 0;         // of instructions and constants
};

/// Opens the compiler. Where files are about to disappear behind a sandbox: before that.
///   room  bytes of memory that the process may use; 0: as many as there are
/// What stands in the way is told by compile().
void open_compiler(std::uint64_t room = 0);

/// Compiles what a table of kernels ("kAvx512Kernels") has in some of its slots. The code stays until the
/// process ends. Takes about half a second. Errors, for people: not opened, too little memory for it, built
/// without.
std::expected<Code, std::string> compile(std::string_view table, std::span<const Order> orders);

}  // namespace tutti::jit
