// One-way ring between two processes. One writer, one reader; only the writer's mapping is writable.
//
//   writer ──publish──▶ [line 0][line 1]…[line n-1] ──take──▶ reader
//
// A line is one cache line: 56 bytes of descriptor and the sequence number that publishes them, so handing
// one over costs a single line transfer. Position p lives in line p % n and carries p + 1.
// Nobody shares a read position: line i of the request ring and line i of the answer ring belong together,
// a request holds its line until its answer comes back, so the answer is the credit.
// Invariant, kept by the supervisor: published - answered <= n. Hence neither ring can overflow.
// The peer may be buggy, hostile or dead. A line is copied once and only the copy is checked and used.
// No ring is repaired: a restarted isolate gets new memory.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "shared/limits.hpp"
#include "shared/message.hpp"

namespace tutti {

struct alignas(kCacheLine) RingLine {
  std::array<std::atomic<std::uint64_t>, 7> words;  // the descriptor
  std::atomic<std::uint64_t> sequence;              // stored last, only by the writer
};
// Two binaries map these bytes: changing a line changes the protocol.
static_assert(sizeof(RingLine) == kCacheLine && offsetof(RingLine, sequence) == kDescriptorBytes);
static_assert(std::is_standard_layout_v<RingLine>);
// A lock hidden inside the atomic would live in one process only.
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

/// How a word of shared memory is read. Tests put a loader in its place that changes memory between any two
/// loads; everything that reads a peer's memory in the supervisor goes through one of these.
struct PlainLoad {
  static std::uint64_t relaxed(const std::atomic<std::uint64_t>& word) noexcept {
    return word.load(std::memory_order_relaxed);
  }
  static std::uint64_t acquire(const std::atomic<std::uint64_t>& word) noexcept {
    return word.load(std::memory_order_acquire);
  }
  static std::uint32_t acquire(const std::atomic<std::uint32_t>& word) noexcept {
    return word.load(std::memory_order_acquire);
  }
};

/// The writing end. `lines` must be a power of two and all zero at the start.
template <class Descriptor>
class RingWriter {
  static_assert(sizeof(Descriptor) == kDescriptorBytes && std::is_trivially_copyable_v<Descriptor>);

 public:
  RingWriter() = default;
  explicit RingWriter(std::span<RingLine> lines) noexcept : lines_(lines.data()), mask_(lines.size() - 1) {
    assert(std::has_single_bit(lines.size()));
  }

  /// Makes `descriptor` visible to the reader. The caller keeps the invariant above.
  void publish(const Descriptor& descriptor) noexcept {
    RingLine& line = lines_[published_ & mask_];
    const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(descriptor);
    for (std::size_t i = 0; i < words.size(); ++i) line.words[i].store(words[i], std::memory_order_relaxed);
    ++published_;
    // release: pairs with the acquire in RingReader::take(). Seeing the sequence means seeing the words, and
    // whatever the descriptor points to.
    line.sequence.store(published_, std::memory_order_release);
  }

  [[nodiscard]] std::uint64_t published() const noexcept { return published_; }
  /// The line that the next publish() fills.
  [[nodiscard]] std::size_t next_line() const noexcept { return published_ & mask_; }

 private:
  RingLine* lines_ = nullptr;
  std::size_t mask_ = 0;
  std::uint64_t published_ = 0;
};

enum class Take : std::uint8_t {
  nothing,    // the next line is not published yet
  taken,      // `descriptor` is a private copy of it
  violation,  // the line carries a number that no correct writer can have put there
};

/// The reading end. Never blocks, never trusts the writer.
template <class Descriptor, class Load = PlainLoad>
class RingReader {
  static_assert(sizeof(Descriptor) == kDescriptorBytes && std::is_trivially_copyable_v<Descriptor>);

 public:
  RingReader() = default;
  explicit RingReader(std::span<const RingLine> lines) noexcept
      : lines_(lines.data()), mask_(lines.size() - 1) {
    assert(std::has_single_bit(lines.size()));
  }

  /// Copies the next descriptor out if it is published.
  Take take(Descriptor& descriptor) noexcept {
    const RingLine& line = lines_[taken_ & mask_];
    // acquire: pairs with the release in RingWriter::publish().
    const std::uint64_t sequence = Load::acquire(line.sequence);
    if (sequence != taken_ + 1) {
      // The line still carries what the last lap left there, or nothing on the first lap. Anything else is a
      // lie.
      const std::uint64_t last_lap = taken_ > mask_ ? taken_ - mask_ : 0;
      return sequence == last_lap ? Take::nothing : Take::violation;
    }
    // One load a word. A hostile writer can change the line at any moment; from here on only the copy counts.
    std::array<std::uint64_t, 7> words;
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = Load::relaxed(line.words[i]);
    descriptor = std::bit_cast<Descriptor>(words);
    ++taken_;
    return Take::taken;
  }

  /// True when take() would not answer `nothing`.
  [[nodiscard]] bool has_news() const noexcept {
    const std::uint64_t last_lap = taken_ > mask_ ? taken_ - mask_ : 0;
    return Load::acquire(lines_[taken_ & mask_].sequence) != last_lap;
  }

  [[nodiscard]] std::uint64_t taken() const noexcept { return taken_; }
  /// The line that the last take() read.
  [[nodiscard]] std::size_t last_line() const noexcept { return (taken_ - 1) & mask_; }

 private:
  const RingLine* lines_ = nullptr;
  std::size_t mask_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace tutti
