// Taking an answer from a stranger: the only code of the supervisor that reads `up` while a worker runs.
//
//   ring line ──one copy──▶ check against what was asked ──▶ payload ──one copy──▶ scan ──▶ verdict
//
// The worker may change any byte at any moment. So every value is loaded once into a local, compared with
// numbers that the supervisor itself holds, and only the local is used. Shapes, lengths and places come from
// the private side; of the answer only its id, status and text length are believed, after the check.
// `Load` is how shared memory is read: the fuzzer puts one there that changes memory between any two loads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "shared/channel.hpp"
#include "shared/log.hpp"
#include "supervisor/core/core.hpp"

namespace tutti {

/// Loads for real channels: PlainLoad, and a copy of a payload.
struct ChannelLoad : PlainLoad {
  static void copy(void* to, const void* from, std::size_t bytes) noexcept {
#if defined(__SANITIZE_THREAD__)
    // Word by word, so that a hostile writer is a race that the model of C++ allows. All sizes are multiples
    // of 4.
    auto* target = static_cast<std::uint32_t*>(to);
    const auto* source = static_cast<const std::uint32_t*>(from);
    for (std::size_t i = 0; i < bytes / sizeof(std::uint32_t); ++i) {
      target[i] = __atomic_load_n(source + i, __ATOMIC_RELAXED);
    }
#else
    std::memcpy(to, from, bytes);
    // The copy is made here and not again later, whatever is inlined round it.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    asm volatile("" : : "r"(to) : "memory");
#endif
  }
};

struct Consumed {
  enum class Kind : std::uint8_t { nothing, answer, violation } kind = Kind::nothing;
  VoteFate fate;                 // of an answer
  std::uint64_t compute_ns = 0;  // as the worker says; for statistics only
  std::string text;              // the model's message when fate is `failed`; made printable
};

/// True if all `count` floats are finite and, as probabilities, within [0, 1] but for rounding. No branch
/// inside, so that it vectorises.
inline bool all_valid(const float* values, std::size_t count, bool probabilities) noexcept {
  constexpr float kRounding = 1e-5F;
  const float low = probabilities ? -kRounding : std::numeric_limits<float>::lowest();
  const float high = probabilities ? 1 + kRounding : std::numeric_limits<float>::max();
  std::uint32_t bad = 0;
  // A NaN compares false with everything, so what is asked is whether the value is inside.
  for (std::size_t i = 0; i < count; ++i) {
    bad |= static_cast<std::uint32_t>(!(values[i] >= low)) | static_cast<std::uint32_t>(!(values[i] <= high));
  }
  return bad == 0;
}

/// What every answer of an ensemble is: f32 [rows][outputs], and whether the numbers are probabilities.
struct AnswerForm {
  std::uint32_t outputs = 0;
  bool probabilities = false;
};

/// Takes the next answer of an isolate.
///   expected  what its oldest outstanding request must answer; nothing outstanding: any answer is a
///   violation outputs   columns of an answer output    the output slot of the line that comes next (in `up`)
///   part      where f32 [expected.rows][form.outputs] goes; written when the answer is wanted and ok
template <class Load>
Consumed consume(RingReader<Answer, Load>& ring, const std::optional<Expected>& expected, AnswerForm form,
                 const float* output, float* part) {
  Answer answer{};
  const Take take = ring.take(answer);
  if (take == Take::nothing) return {};
  if (take == Take::violation || !expected || answer.id != expected->id) {
    return {.kind = Consumed::Kind::violation, .fate = {.state = VoteState::protocol_violation}};
  }
  Consumed consumed{.kind = Consumed::Kind::answer, .compute_ns = answer.compute_ns};
  switch (static_cast<AnswerStatus>(answer.status)) {
    case AnswerStatus::expired:
      consumed.fate = {.state = VoteState::late};
      return consumed;
    case AnswerStatus::failed: {
      std::array<char, kAnswerTextMax> text{};
      Load::copy(text.data(), output, text.size());
      consumed.fate = {.state = VoteState::failed};
      consumed.text = printable({text.data(), std::min<std::size_t>(answer.text_bytes, text.size())});
      return consumed;
    }
    case AnswerStatus::ok:
      break;
    default:
      return {.kind = Consumed::Kind::violation, .fate = {.state = VoteState::protocol_violation}};
  }
  if (answer.rows != expected->rows || answer.outputs != form.outputs) {
    consumed.fate = {.state = VoteState::rejected,
                     .detail = static_cast<std::int32_t>(Rejection::wrong_shape)};
    return consumed;
  }
  if (!expected->wanted) {
    consumed.fate = {.state = expected->probe ? VoteState::voted : VoteState::late};
    return consumed;
  }
  const std::size_t count = std::size_t{expected->rows} * form.outputs;
  Load::copy(part, output, count * sizeof(float));
  consumed.fate = {.state = VoteState::voted};
  if (!all_valid(part, count, form.probabilities)) {
    consumed.fate = {.state = VoteState::rejected, .detail = static_cast<std::int32_t>(Rejection::not_valid)};
  }
  return consumed;
}

}  // namespace tutti
