// The words that supervisor and worker exchange: what is said at start, per request and per answer.
//
//   StartBlock   supervisor → worker, over the control socket for a template and in `down` for an isolate:
//                which model, which shapes
//   HelloBlock   isolate → supervisor, in `up`, once: ready with these shapes, or why not
//   Request      supervisor → worker, in a ring line: rows at this offset of `input`, due by then
//   Answer       worker → supervisor, in a ring line: done, or not, and how long it took
//
// Two binaries map these bytes: changing a struct below changes the protocol. Raise kProtocolVersion;
// message_test fails until you do. The worker trusts `down`; the supervisor trusts nothing in `up`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "shared/cage.hpp"
#include "shared/limits.hpp"

namespace tutti {

inline constexpr std::uint64_t kProtocolMagic = 0x697474'75742e31;  // "1.tutti" read as bytes
inline constexpr std::uint32_t kProtocolVersion = 5;

/// A text of bounded length in shared memory; not NUL-terminated.
template <std::size_t Bytes>
struct BoundedText {
  std::uint32_t size;
  std::array<char, Bytes> bytes;

  void assign(std::string_view text) noexcept {
    size = static_cast<std::uint32_t>(text.size() < Bytes ? text.size() : Bytes);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = text[i];
  }
  /// The text; a size that lies is cut to the array.
  [[nodiscard]] std::string_view view() const noexcept { return {bytes.data(), size < Bytes ? size : Bytes}; }
};

/// How far a model of ours may leave its interpreter.
enum class JitLevel : std::uint32_t { off = 0, tier1 = 1, full = 2 };
inline constexpr std::uint32_t kJitByItself = 0xffff'ffff;

/// What a worker must know to start. Written once by the supervisor, before the worker reads it.
struct StartBlock {
  std::uint64_t magic;
  std::uint32_t version;
  std::int32_t supervisor_pid;
  std::uint32_t features;
  std::uint32_t outputs;
  std::uint32_t lines;     // of each ring, a power of two
  std::uint32_t rows_max;  // of one request
  std::uint64_t input_bytes;
  std::uint64_t down_bytes;
  std::uint64_t up_bytes;
  std::int64_t spin_ns;          // how long to look before sleeping
  std::uint32_t yields;          // 1: give the core away between looks (more isolates than cores)
  std::uint32_t classification;  // 1: classification, 0: regression
  std::uint32_t generation;      // of this isolate or template; an isolate's is carried in every id
  std::uint32_t forks;           // 1: fork an isolate for each order; 0: become the first one ordered
  JitLevel jit;
  std::uint32_t jit_threshold;  // calls before tier 1; kJitByItself: as the model sees fit
  std::uint32_t jit_compile;    // 1: tier 2 is compiled while the model is loaded
  std::uint32_t reserved;
  CageRequest cage;                        // the walls to stand behind
  BoundedText<kNameMax> name;              // "boosted/0"
  BoundedText<kPathMax> model;             // absolute path
  BoundedText<kNameMax> kind;              // "" recognises it
  BoundedText<kReadableTextMax> readable;  // paths beside the model, each followed by a newline
  BoundedText<kNameMax> fault;             // a fault point to arm; read only by workers built for tests
};

enum class HelloState : std::uint32_t { none = 0, ready = 1, failed = 2 };

/// What a worker says once. `state` lies apart, in UpHeader, and is stored last.
struct HelloBlock {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t features;
  std::uint32_t outputs;
  std::uint32_t error_code;  // Errc, when failed
  std::uint64_t load_ns;     // time from the order to ready
  BoundedText<kWorkerTextMax> what;
  BoundedText<kWorkerTextMax> where;
  BoundedText<kWorkerTextMax> hint;
  std::uint32_t forbidden_call;  // one more than the number of the call that a filter ended it for; 0: none
  std::uint32_t reserved;
};

/// One request: read these rows, answer by then. Fills a ring line's 56 bytes.
struct Request {
  std::uint64_t id;            // request_id() below; echoed in the answer
  std::uint64_t input_offset;  // bytes into `input` of f32 [rows][features]
  std::int64_t deadline_ns;    // CLOCK_MONOTONIC; work past it is answered `expired`, unrun
  std::uint32_t rows;
  std::uint32_t reserved0;
  std::array<std::uint64_t, 3> reserved;
};

enum class AnswerStatus : std::uint32_t {
  ok = 1,       // f32 [rows][outputs] lies in this line's output slot
  failed = 2,   // the model refused; the output slot holds its message, `text_bytes` long
  expired = 3,  // the deadline had passed before the work began
};

/// One answer. Fills a ring line's 56 bytes. Its output lies where the line says: no offset is sent.
struct Answer {
  std::uint64_t id;
  std::uint32_t status;  // AnswerStatus
  std::uint32_t rows;
  std::uint32_t outputs;
  std::uint32_t text_bytes;
  std::uint64_t compute_ns;  // time inside the model
  std::array<std::uint64_t, 3> reserved;
};

inline constexpr std::size_t kDescriptorBytes = 56;
static_assert(sizeof(Request) == kDescriptorBytes && std::is_trivially_copyable_v<Request>);
static_assert(sizeof(Answer) == kDescriptorBytes && std::is_trivially_copyable_v<Answer>);
static_assert(std::is_trivially_copyable_v<StartBlock> && std::is_standard_layout_v<StartBlock>);
static_assert(std::is_trivially_copyable_v<HelloBlock> && std::is_standard_layout_v<HelloBlock>);

/// id = generation (16 bits) · slot (16) · counter (32): names one request on one incarnation of an isolate.
constexpr std::uint64_t request_id(std::uint32_t generation, std::uint32_t slot,
                                   std::uint32_t counter) noexcept {
  return (std::uint64_t{generation & 0xffffU} << 48U) | (std::uint64_t{slot & 0xffffU} << 32U) | counter;
}

}  // namespace tutti
