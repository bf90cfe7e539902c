#include "worker/last_words.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <string_view>

namespace tutti {
namespace {

// What a signal handler can reach. A model can change it as all memory of its process: at worst it dies
// without a word.
std::atomic<std::uint32_t*> words{nullptr};
static_assert(std::atomic<std::uint32_t*>::is_always_lock_free);

}  // namespace

void keep_last_words(std::uint32_t& place) noexcept { words.store(&place, std::memory_order_relaxed); }

void tell_violation(int system_call) noexcept {
  if (std::uint32_t* place = words.load(std::memory_order_relaxed)) {
    *static_cast<volatile std::uint32_t*>(place) = static_cast<std::uint32_t>(system_call) + 1;
  }
  constexpr std::string_view kText = "tutti: forbidden system call ";
  std::array<char, kText.size() + 16> line{};
  char* end = std::copy(kText.begin(), kText.end(), line.data());
  end = std::to_chars(end, line.data() + line.size() - 1, system_call).ptr;
  *end++ = '\n';
  [[maybe_unused]] const ssize_t written =
      ::write(STDERR_FILENO, line.data(), static_cast<std::size_t>(end - line.data()));
}

}  // namespace tutti
