// Waking a peer without a system call a message.
//
//   about to sleep:  raise own flag ── fence ── look once more ── sleep
//   publishing:      publish ── fence ── peer's flag raised? ── only then wake
//
// The fence (seq_cst), the order and the second look are each necessary: tests/model shows a lost wake-up
// without any one of them. Each flag lies in the region of the side that raises it; the worker sleeps on a
// futex word in `down`, the supervisor in epoll on an eventfd that it never reads (a worker can make a read
// block). A hostile flag can only delay its owner's own answers: deadlines do not hang on doorbells.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "shared/limits.hpp"

namespace tutti {

/// A flag or a futex word, alone in its cache line.
struct alignas(kCacheLine) WakeWord {
  std::atomic<std::uint32_t> value;
};
static_assert(sizeof(WakeWord) == kCacheLine && std::atomic<std::uint32_t>::is_always_lock_free);

/// Orders a publish before the look at the peer's flag, and a raised flag before the second look.
/// Pairs with itself on the other side.
inline void wake_fence() noexcept {
#if defined(__SANITIZE_THREAD__)
  // TSan does not model fences; the read-modify-write is as strong and is modelled.
  static std::atomic<std::uint32_t> order{0};
  order.fetch_add(0, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// Sleeps while `word` holds `expected`, until woken or the time is over. Works on a read-only mapping.
/// A time below zero means no limit. Returns at once when the word differs; may return early.
void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::nanoseconds timeout) noexcept;

/// Wakes whoever sleeps on `word`, in any process that maps it.
void futex_wake(const std::atomic<std::uint32_t>& word) noexcept;

/// One step of a busy wait: a pause instruction, or the core given away.
void wait_step(bool yields) noexcept;

}  // namespace tutti
