// The memory between the supervisor and one isolate, and where everything lies in it.
//
//   down (supervisor writes)  [StartBlock … page][bell][supervisor sleeps][request ring: lines]
//   up   (worker writes)      [HelloBlock … TierBlock … page][hello state][worker sleeps][answer ring: lines]
//                             [outputs: lines × slot]
//
// Line i of the answer ring and output slot i belong to line i of the request ring. Both sides compute these
// places from numbers that the supervisor chose (StartBlock); nothing about the layout is ever read from
// `up`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include "shared/doorbell.hpp"
#include "shared/limits.hpp"
#include "shared/message.hpp"
#include "shared/ring.hpp"
#include "shared/tiers.hpp"

namespace tutti {

/// The numbers that decide both layouts.
struct ChannelShape {
  std::uint32_t lines = 0;  // a power of two
  std::uint32_t rows_max = 0;
  std::uint32_t outputs = 0;

  /// Bytes of one output slot: f32 [rows_max][outputs] or a message, a multiple of the cache line.
  [[nodiscard]] constexpr std::size_t output_slot_bytes() const noexcept {
    const std::size_t bytes = std::size_t{rows_max} * outputs * sizeof(float);
    return round_up(bytes < kAnswerTextMax ? kAnswerTextMax : bytes, kCacheLine);
  }
  [[nodiscard]] constexpr std::size_t down_bytes() const noexcept {
    return round_up(kDownRing + lines * sizeof(RingLine), kPage);
  }
  [[nodiscard]] constexpr std::size_t outputs_offset() const noexcept {
    return round_up(kUpRing + lines * sizeof(RingLine), kPage);
  }
  [[nodiscard]] constexpr std::size_t up_bytes() const noexcept {
    return round_up(outputs_offset() + lines * output_slot_bytes(), kPage);
  }

  static constexpr std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept {
    return (bytes + unit - 1) / unit * unit;
  }
  static constexpr std::size_t kDownBell = kPage;
  static constexpr std::size_t kDownSleeping = kDownBell + kCacheLine;
  static constexpr std::size_t kDownRing = kDownSleeping + kCacheLine;
  static constexpr std::size_t kUpTiers = kPage / 2;
  static constexpr std::size_t kUpState = kPage;
  static constexpr std::size_t kUpSleeping = kUpState + kCacheLine;
  static constexpr std::size_t kUpRing = kUpSleeping + kCacheLine;
};
static_assert(sizeof(StartBlock) <= kPage && sizeof(HelloBlock) <= ChannelShape::kUpTiers);
static_assert(ChannelShape::kUpTiers + sizeof(TierBlock) <= kPage);

/// `down` as its bytes lie; Byte is std::byte for the supervisor, const std::byte for the worker.
template <class Byte>
class DownView {
  template <class T>
  using Like = std::conditional_t<std::is_const_v<Byte>, const T, T>;

 public:
  DownView() = default;
  DownView(Byte* base, std::uint32_t lines) noexcept : base_(base), lines_(lines) {}

  [[nodiscard]] Like<StartBlock>& start() const noexcept { return at<StartBlock>(0); }
  /// The futex word that the worker sleeps on.
  [[nodiscard]] Like<std::atomic<std::uint32_t>>& bell() const noexcept {
    return at<WakeWord>(ChannelShape::kDownBell).value;
  }
  /// Raised while the supervisor sleeps.
  [[nodiscard]] Like<std::atomic<std::uint32_t>>& sleeping() const noexcept {
    return at<WakeWord>(ChannelShape::kDownSleeping).value;
  }
  [[nodiscard]] std::span<Like<RingLine>> requests() const noexcept {
    return {&at<RingLine>(ChannelShape::kDownRing), lines_};
  }

 private:
  template <class T>
  [[nodiscard]] Like<T>& at(std::size_t offset) const noexcept {
    return *std::launder(reinterpret_cast<Like<T>*>(base_ + offset));
  }
  Byte* base_ = nullptr;
  std::uint32_t lines_ = 0;
};

/// `up` as its bytes lie; Byte is std::byte for the worker, const std::byte for the supervisor.
template <class Byte>
class UpView {
  template <class T>
  using Like = std::conditional_t<std::is_const_v<Byte>, const T, T>;

 public:
  UpView() = default;
  UpView(Byte* base, const ChannelShape& shape) noexcept : base_(base), shape_(shape) {}

  [[nodiscard]] Like<HelloBlock>& hello() const noexcept { return at<HelloBlock>(0); }
  [[nodiscard]] Like<TierBlock>& tiers() const noexcept { return at<TierBlock>(ChannelShape::kUpTiers); }
  /// HelloState; stored last.
  [[nodiscard]] Like<std::atomic<std::uint32_t>>& hello_state() const noexcept {
    return at<WakeWord>(ChannelShape::kUpState).value;
  }
  /// Raised while the worker sleeps.
  [[nodiscard]] Like<std::atomic<std::uint32_t>>& sleeping() const noexcept {
    return at<WakeWord>(ChannelShape::kUpSleeping).value;
  }
  [[nodiscard]] std::span<Like<RingLine>> answers() const noexcept {
    return {&at<RingLine>(ChannelShape::kUpRing), shape_.lines};
  }
  [[nodiscard]] Like<float>* output(std::size_t line) const noexcept {
    return &at<float>(shape_.outputs_offset() + line * shape_.output_slot_bytes());
  }

 private:
  template <class T>
  [[nodiscard]] Like<T>& at(std::size_t offset) const noexcept {
    return *std::launder(reinterpret_cast<Like<T>*>(base_ + offset));
  }
  Byte* base_ = nullptr;
  ChannelShape shape_;
};

}  // namespace tutti
