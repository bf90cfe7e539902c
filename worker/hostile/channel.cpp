// Attacks on the channel by somebody who knows its layout as well as we do: a plug-in that was compiled with
// it.
//
//   predict()'s out ──backwards, page by page──▶ the hello's magic: the start of `up` ──layout──▶ its ring
//
// Nothing here is given to it that any other plug-in would not have: the address of its answer.
#include "worker/hostile/channel.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "shared/channel.hpp"

namespace tutti {
namespace {

constexpr std::size_t kPagesMax = 65'536;
constexpr int kDescriptorsMax = 256;

unsigned char* find_region(float* out) {
  auto* start = reinterpret_cast<unsigned char*>(out) - reinterpret_cast<std::uintptr_t>(out) % kPage;
  for (std::size_t i = 0; i < kPagesMax; ++i, start -= kPage) {
    std::uint64_t magic = 0;
    std::memcpy(&magic, start, sizeof magic);
    if (magic == kProtocolMagic) return start;
  }
  return nullptr;
}

/// The ring that belongs to an answer's place.
struct Ring {
  RingLine* lines = nullptr;
  std::uint32_t count = 0;
  std::uint32_t next = 0;  // the line that the answer in the making will be published in
};

// How many lines there are follows from where the answer lies: only one number of them puts it on a slot
// whose line before it was published last.
Ring find_ring(const hostile_place& place) {
  unsigned char* const start = find_region(place.out);
  if (start == nullptr) return {};
  const auto offset = static_cast<std::size_t>(reinterpret_cast<unsigned char*>(place.out) - start);
  auto* const lines = reinterpret_cast<RingLine*>(start + ChannelShape::kUpRing);
  for (std::uint32_t count = 2 * kInFlightMin; count <= 2 * kInFlightMax; count *= 2) {
    const ChannelShape shape{.lines = count, .rows_max = place.rows_max, .outputs = place.outputs};
    if (offset < shape.outputs_offset()) continue;
    const std::size_t slot = (offset - shape.outputs_offset()) / shape.output_slot_bytes();
    if ((offset - shape.outputs_offset()) % shape.output_slot_bytes() != 0 || slot >= count) continue;
    const auto next = static_cast<std::uint32_t>(slot);
    const std::uint64_t before = lines[(next + count - 1) % count].sequence.load(std::memory_order_relaxed);
    const std::uint64_t here = lines[next].sequence.load(std::memory_order_relaxed);
    const bool first_lap = before < count && here == 0 && before == next;
    if (first_lap || here + count == before + 1) return {.lines = lines, .count = count, .next = next};
  }
  return {};
}

// Once for each attack.
template <void* (*run)(void*)>
int start_thread(void* argument) {
  static std::atomic<bool> started{false};
  if (started.exchange(true)) return 0;
  pthread_t thread{};
  if (pthread_create(&thread, nullptr, run, argument) != 0) return -1;
  pthread_detach(thread);
  return 0;
}

void* reshape_on(void* argument) {
  const Ring& ring = *static_cast<Ring*>(argument);
  constexpr std::size_t kRowsAndOutputs = 1 + offsetof(Answer, rows) / sizeof(std::uint64_t);
  for (std::uint64_t huge = 0xffff'ffff'0000'0001U;; huge = huge * 3 + 1) {
    for (std::uint32_t line = 0; line < ring.count; ++line) {
      for (std::size_t word = 1; word <= kRowsAndOutputs; ++word) {
        ring.lines[line].words[word].store(huge, std::memory_order_relaxed);
      }
    }
  }
  return nullptr;
}

// A doorbell is an anonymous descriptor; whatever else is one of those does not mind eight bytes.
void* storm_on(void* /*unused*/) {
  const std::uint64_t one = 1;
  for (;;) {
    for (int descriptor = 3; descriptor < kDescriptorsMax; ++descriptor) {
      struct stat facts{};
      if (::fstat(descriptor, &facts) != 0 || (facts.st_mode & S_IFMT) != 0) continue;
      for (int i = 0; i < 64; ++i) {
        if (::write(descriptor, &one, sizeof one) < 0) break;
      }
    }
  }
  return nullptr;
}

}  // namespace
}  // namespace tutti

unsigned char* hostile_region(const hostile_place* place, size_t* bytes) {
  unsigned char* const start = tutti::find_region(place->out);
  const auto* const end = reinterpret_cast<unsigned char*>(place->out + place->outputs);
  *bytes = start == nullptr ? 0 : static_cast<std::size_t>(end - start);
  return start;
}

int hostile_forge(const hostile_place* place) {
  using namespace tutti;
  const Ring ring = find_ring(*place);
  if (ring.lines == nullptr) return -1;
  const std::uint64_t before =
      ring.lines[(ring.next + ring.count - 1) % ring.count].sequence.load(std::memory_order_relaxed);
  const Answer forged{.id = request_id(0xffff, 0xffff, 0xffff'ffff),
                      .status = static_cast<std::uint32_t>(AnswerStatus::ok),
                      .rows = 1,
                      .outputs = place->outputs,
                      .text_bytes = 0,
                      .compute_ns = 1,
                      .reserved = {}};
  RingLine& line = ring.lines[ring.next];
  const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(forged);
  for (std::size_t i = 0; i < words.size(); ++i) line.words[i].store(words[i], std::memory_order_relaxed);
  line.sequence.store(before + 1, std::memory_order_release);
  return 0;
}

int hostile_reshape(const hostile_place* place) {
  static tutti::Ring ring;
  ring = tutti::find_ring(*place);
  return ring.lines == nullptr ? -1 : tutti::start_thread<tutti::reshape_on>(&ring);
}

int hostile_storm(void) { return tutti::start_thread<tutti::storm_on>(nullptr); }
