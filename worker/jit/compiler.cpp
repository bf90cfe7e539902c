// What the worker has of the compiler: the way to libtutti-jit.so. Its one function is llvm.cpp's.
#include "worker/jit/compiler.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>
#include <utility>

#include "shared/region.hpp"
#include "worker/jit/library.hpp"

namespace tutti::jit {
namespace {

// Less than this and LLVM, which ends its process when memory does, might do so.
constexpr std::uint64_t kRoomMin = 1ULL << 30U;

struct Compiler {
  CompileFunction* function = nullptr;
  std::string problem = "the compiler was not opened";
};
Compiler compiler;

/// Beside the program that runs, where it is built; where packages have their libraries, once it is
/// installed.
std::array<std::string, 2> places() {
  std::array<char, PATH_MAX> program{};
  const ssize_t length = ::readlink("/proc/self/exe", program.data(), program.size());
  const std::string path(program.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::string folder = path.substr(0, path.rfind('/'));
  return {fmt::format("{}/{}", folder, kLibraryName),
          fmt::format("{}/../{}/tutti/{}", folder, TUTTI_LIBRARIES, kLibraryName)};
}

/// Whether there is a whole shared library. Of one that was cut short the dynamic linker maps what is not
/// there.
bool is_whole(const std::string& path) {
  // Not blocking: what was put there may be a pipe.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat about{};
  if (!file.is_open() || ::fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) return false;
  Elf64_Ehdr head{};
  if (::read(file.get(), &head, sizeof head) != sizeof head) return false;
  // Linkers put the table of sections last.
  const auto bytes = static_cast<std::uint64_t>(about.st_size);
  return std::memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_shoff < bytes &&
         std::uint64_t{head.e_shnum} * head.e_shentsize <= bytes - head.e_shoff;
}

}  // namespace

void open_compiler(std::uint64_t room) {
#ifndef TUTTI_JIT
  compiler.problem = "this tutti was built with -DTUTTI_JIT=OFF";
  return;
#endif
  if (compiler.function != nullptr) return;
  if (room != 0 && room < kRoomMin) {
    compiler.problem =
        fmt::format("its memory limit leaves a compiler no room: {} of {} MiB", room >> 20U, kRoomMin >> 20U);
    return;
  }
  for (const std::string& place : places()) {
    if (::access(place.c_str(), F_OK) != 0) continue;
    if (!is_whole(place)) {
      compiler.problem = fmt::format("{} is damaged or cannot be read; install tutti again", kLibraryName);
      return;
    }
    // Never closed: the code it makes is the process's.
    void* const library = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) {
      compiler.function = reinterpret_cast<CompileFunction*>(::dlsym(library, kFunctionName));
      if (compiler.function != nullptr) return;
    }
    compiler.problem = fmt::format("the compiler cannot be opened: {}", ::dlerror());
    return;
  }
  compiler.problem = fmt::format("the compiler, {}, is not installed", kLibraryName);
}

std::expected<Code, std::string> compile(std::string_view table, std::span<const Order> orders) {
  if (compiler.function == nullptr) return std::unexpected(compiler.problem);
  Code code;
  std::string problem;
  compiler.function(table, orders, code, problem);
  if (!problem.empty()) return std::unexpected(std::move(problem));
  return code;
}

}  // namespace tutti::jit
