// The consumer of an isolate's answers against memory that changes between any two loads.
//
// Input: a header byte (lines, what is expected), then a schedule. Every load of shared memory first takes
// the next step of the schedule, which may rewrite any bytes of the ring or of the output slots. What must
// hold:
//   - nothing outside the shared bytes is read (they are heap blocks of the exact size, under ASan),
//   - a vote that counts has only valid numbers, whatever happened while it was copied,
//   - an answer is taken only when one is expected, and never more than one a call.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "supervisor/consume.hpp"

namespace tutti {
namespace {

struct Schedule {
  std::span<const std::uint8_t> bytes;
  std::byte* memory = nullptr;  // ring lines, then output slots
  std::size_t size = 0;

  std::uint8_t next() {
    if (bytes.empty()) return 0;
    const std::uint8_t value = bytes.front();
    bytes = bytes.subspan(1);
    return value;
  }
  // One step: nothing, or some bytes of the shared memory get new values.
  void strike() {
    const std::uint8_t kind = next();
    if (kind < 128 || size == 0) return;
    const std::size_t place = (std::size_t{next()} << 8U | next()) % size;
    const std::size_t length = std::min<std::size_t>(1 + kind % 8, size - place);
    for (std::size_t i = 0; i < length; ++i) memory[place + i] = std::byte{next()};
  }
};

Schedule* g_schedule = nullptr;  // loads are static functions; a fuzzer has one thread

struct HostileLoad {
  static std::uint64_t relaxed(const std::atomic<std::uint64_t>& word) {
    g_schedule->strike();
    return word.load(std::memory_order_relaxed);
  }
  static std::uint64_t acquire(const std::atomic<std::uint64_t>& word) {
    g_schedule->strike();
    return word.load(std::memory_order_acquire);
  }
  static void copy(void* to, const void* from, std::size_t bytes) {
    for (std::size_t done = 0; done < bytes;) {
      g_schedule->strike();
      const std::size_t piece = std::min<std::size_t>(16, bytes - done);
      std::memcpy(static_cast<std::byte*>(to) + done, static_cast<const std::byte*>(from) + done, piece);
      done += piece;
    }
  }
};

void check(bool holds) {
  if (!holds) std::abort();
}

constexpr std::uint32_t kRows = 3;
constexpr std::uint32_t kOutputs = 2;
constexpr std::size_t kSlotBytes = kAnswerTextMax;

// The right answer, as a correct worker would write it: most steps start from a valid state.
void publish_right(RingLine& line, std::uint64_t position, std::uint64_t id) {
  const Answer answer{.id = id,
                      .status = static_cast<std::uint32_t>(AnswerStatus::ok),
                      .rows = kRows,
                      .outputs = kOutputs,
                      .text_bytes = 0,
                      .compute_ns = 1,
                      .reserved = {}};
  const auto words = std::bit_cast<std::array<std::uint64_t, 7>>(answer);
  for (std::size_t i = 0; i < words.size(); ++i) line.words[i].store(words[i]);
  line.sequence.store(position + 1);
}

void run(std::span<const std::uint8_t> input) {
  Schedule schedule{.bytes = input};
  const std::uint8_t header = schedule.next();
  const std::size_t count = std::size_t{1} << (1U + header % 3U);
  std::vector<RingLine> lines(count);
  std::vector<std::unique_ptr<float[]>> outputs;
  for (std::size_t i = 0; i < count; ++i)
    outputs.push_back(std::make_unique<float[]>(kSlotBytes / sizeof(float)));
  g_schedule = &schedule;
  RingReader<Answer, HostileLoad> ring(lines);
  const AnswerForm form{.outputs = kOutputs, .probabilities = (header & 16U) != 0};
  std::array<float, kRows * kOutputs> part{};

  for (std::uint64_t position = 0; position < 12; ++position) {
    const std::uint8_t what = schedule.next();
    const std::uint64_t id = request_id(1, static_cast<std::uint32_t>(position % count), 7);
    const std::size_t line = position & (count - 1);
    if ((what & 1U) == 0) publish_right(lines[line], position, id);
    // The rewritten bytes belong to the line or to its output slot, in turn.
    schedule.memory = (what & 2U) != 0 ? reinterpret_cast<std::byte*>(outputs[line].get())
                                       : reinterpret_cast<std::byte*>(&lines[line]);
    schedule.size = (what & 2U) != 0 ? kSlotBytes : sizeof(RingLine);
    std::optional<Expected> expected;
    if ((what & 4U) == 0) expected = Expected{.id = id, .slot = 0, .rows = kRows, .wanted = (what & 8U) == 0};

    const std::uint64_t taken = ring.taken();
    (void)ring.has_news();
    const Consumed consumed = consume(ring, expected, form, outputs[line].get(), part.data());
    check(ring.taken() - taken <= 1);
    if (consumed.kind == Consumed::Kind::answer) {
      check(expected.has_value() && ring.taken() == taken + 1);
      if (consumed.fate.state == VoteState::voted) {
        check(expected->wanted && all_valid(part.data(), part.size(), form.probabilities));
      }
      check(consumed.text.size() <= kAnswerTextMax);
      for (const char c : consumed.text) check(c >= ' ' && c <= '~');
    } else {
      break;  // nothing there, or a violation: the supervisor reads no further
    }
  }
}

}  // namespace
}  // namespace tutti

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tutti::run({data, size});
  return 0;
}
