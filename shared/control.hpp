// The control socket: how a worker is told what to be, and how it says what became of that.
//
//   supervisor ──StartBlock + input──────────────────▶ worker       once, before anything else
//   worker     ──Notice loading──────────────────────▶ supervisor   once: this process loads the model
//   worker     ──Notice loaded or failed─────────────▶ supervisor   once: it is a template from now on
//   supervisor ──ForkOrder + down, up, bell, output──▶ template     for each isolate
//   isolate    ──Notice born─────────────────────────▶ supervisor   once, before it touches anything
//
// A pair of SOCK_SEQPACKET sockets: a message comes whole or not at all, and the end of either side is seen
// by the other. The kernel adds the sender's pid to what the supervisor receives, so nobody can speak for
// another process. All messages have one size each; the supervisor believes none of their numbers before
// checking.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "shared/error.hpp"
#include "shared/message.hpp"
#include "shared/region.hpp"

namespace tutti {

/// The one descriptor that a worker is started with, beside 0, 1 and 2.
inline constexpr int kControlDescriptor = 3;

/// What comes with a StartBlock and with a ForkOrder, in this order.
inline constexpr std::size_t kStartDescriptors = 1;  // input
inline constexpr std::size_t kForkDescriptors = 4;   // down, up, bell, output

/// Be this isolate: fork one, or, if you cannot, become it.
struct ForkOrder {
  std::uint64_t magic;
  std::uint32_t isolate;
  std::uint32_t generation;
};

enum class NoticeKind : std::uint32_t {
  loading = 1,  // the sender is the one that loads the model
  loaded = 2,   // it has the model and waits for orders
  failed = 3,   // it could not load it: what, where, hint
  born = 4,     // the sender is this generation of this isolate
};

struct Notice {
  std::uint64_t magic;
  std::uint32_t version;
  NoticeKind kind;
  std::uint32_t isolate;     // born
  std::uint32_t generation;  // born
  std::uint64_t walls;       // loading: what the sender says holds it (Walls)
  std::uint64_t load_ns;     // loaded
  std::uint32_t may_fork;    // loaded: 0 when the model says that a fork of it would not work
  std::uint32_t error_code;  // failed: Errc
  BoundedText<kWorkerTextMax> what;
  BoundedText<kWorkerTextMax> where;
  BoundedText<kWorkerTextMax> hint;
};
static_assert(std::is_trivially_copyable_v<ForkOrder> && std::is_trivially_copyable_v<Notice>);

/// Both ends of a new control socket: the supervisor's does not block and names senders.
struct ControlPair {
  Descriptor supervisor;
  Descriptor worker;
};
/// Errors: system.
Result<ControlPair> make_control_pair();

/// Sends a message with copies of `descriptors`. Never blocks, never raises SIGPIPE. False: the peer is gone
/// or does not read.
bool send_message(int socket, std::span<const std::byte> message, std::span<const int> descriptors) noexcept;

struct Received {
  enum class Kind : std::uint8_t { message, nothing, closed } kind = Kind::nothing;
  std::size_t bytes = 0;        // of the whole message, also when it was longer than the buffer
  pid_t sender = 0;             // 0 where the socket does not name senders
  std::size_t descriptors = 0;  // that came, also those beyond `descriptors`, which are closed
};
/// Receives a message; waits for one if the socket blocks. Descriptors are close-on-exec.
Received receive_message(int socket, std::span<std::byte> message,
                         std::span<Descriptor> descriptors) noexcept;

/// A value as the bytes of a message.
template <class T>
std::span<const std::byte> bytes_of(const T& value) noexcept {
  return std::as_bytes(std::span(&value, 1));
}
template <class T>
std::span<std::byte> writable_bytes_of(T& value) noexcept {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace tutti
