// The kernels of the guide's benchmark, compiled once for each instruction set: each of random_product_*.cpp
// includes this with flags and a name of its own (TUTTI_KERNELS), and with the width of its registers
// (TUTTI_VECTOR_BYTES). Nothing here may call a function that other files could share, the standard library's
// inline ones above all: the linker keeps one copy of those, and that one could need instructions that the
// machine does not have.
#pragma once

#include "supervisor/guide/random_product.hpp"

// Inlined into their callers: a vector is never passed, whatever the instruction set passes it in.
#define TUTTI_INLINE [[gnu::always_inline]] inline

namespace tutti {
namespace {

template <class Real>
struct Lanes {
  static constexpr std::size_t kCount = TUTTI_VECTOR_BYTES / sizeof(Real);
  using Word = typename GeneratorState<Real>::Word;
  using Signed = std::conditional_t<sizeof(Real) == 8, std::int64_t, std::int32_t>;
  typedef Real Vector [[gnu::vector_size(TUTTI_VECTOR_BYTES)]];
  typedef Word Bits [[gnu::vector_size(TUTTI_VECTOR_BYTES)]];
  typedef Signed SignedBits [[gnu::vector_size(TUTTI_VECTOR_BYTES)]];
};

/// A generator whose state is in registers; it goes back where it came from at the end. Narrow registers use
/// the first lanes only.
template <class Real>
class Draw {
 public:
  using Vector = typename Lanes<Real>::Vector;
  using Bits = typename Lanes<Real>::Bits;
  using Word = typename Lanes<Real>::Word;

  TUTTI_INLINE explicit Draw(GeneratorState<Real>& state) : state_(state) {
    __builtin_memcpy(&s0_, state.words[0], sizeof s0_);
    __builtin_memcpy(&s1_, state.words[1], sizeof s1_);
    __builtin_memcpy(&s2_, state.words[2], sizeof s2_);
    __builtin_memcpy(&s3_, state.words[3], sizeof s3_);
  }
  Draw(const Draw&) = delete;
  Draw& operator=(const Draw&) = delete;
  TUTTI_INLINE ~Draw() {
    __builtin_memcpy(state_.words[0], &s0_, sizeof s0_);
    __builtin_memcpy(state_.words[1], &s1_, sizeof s1_);
    __builtin_memcpy(state_.words[2], &s2_, sizeof s2_);
    __builtin_memcpy(state_.words[3], &s3_, sizeof s3_);
  }

  TUTTI_INLINE Vector next() {
    constexpr bool kDoubles = sizeof(Real) == 8;
    const Bits sum = s0_ + s3_;
    const Bits drawn = kDoubles ? sum : rotated<7>(sum) + s0_;
    const Bits t = s1_ << Word{kDoubles ? 17 : 9};
    s2_ ^= s0_;
    s3_ ^= s1_;
    s1_ ^= s2_;
    s0_ ^= s3_;
    s2_ ^= t;
    s3_ = rotated<kDoubles ? 45 : 11>(s3_);
    if constexpr (kDoubles) {
      // The bits of a number in [1, 2), less one.
      const Bits bits = (drawn >> 12U) | Word{0x3ff0'0000'0000'0000};
      Vector number;
      __builtin_memcpy(&number, &bits, sizeof number);
      return number - 1.0;
    } else {
      using SignedBits = typename Lanes<Real>::SignedBits;
      return __builtin_convertvector((SignedBits)(drawn >> 8U), Vector) * 0x1p-24F;
    }
  }

 private:
  template <unsigned kBits>
  TUTTI_INLINE static Bits rotated(Bits x) {
    return (x << Word{kBits}) | (x >> Word{8 * sizeof(Word) - kBits});
  }

  GeneratorState<Real>& state_;
  Bits s0_, s1_, s2_, s3_;
};

template <class Real>
TUTTI_INLINE void generate_with(Draw<Real>& draw, Real* numbers, std::size_t count) {
  for (std::size_t at = 0; at < count; at += Lanes<Real>::kCount) {
    const auto drawn = draw.next();
    __builtin_memcpy(numbers + at, &drawn, sizeof drawn);
  }
}

template <class Real>
TUTTI_INLINE void multiply_with(const Real* data, const Real* weights, Real* result) {
  using Vector = typename Lanes<Real>::Vector;
  constexpr std::size_t kLanes = Lanes<Real>::kCount;
  constexpr std::size_t kVectors = (kGuideColumns + kLanes - 1) / kLanes;
  constexpr std::size_t kStride = kVectors * kLanes;
  // So many sums hide the latency of an addition, and fit in the registers.
  constexpr std::size_t kTogether = kVectors == 1 ? 10 : kVectors == 2 ? 5 : 2;
  static_assert(kGuideRows % kTogether == 0);
  // A row of weights, filled up to whole vectors.
  alignas(kVectorBytes) static thread_local Real padded[kGuideInner * kStride];
  for (std::size_t k = 0; k < kGuideInner; ++k)
    __builtin_memcpy(&padded[k * kStride], weights + k * kGuideColumns, kGuideColumns * sizeof(Real));
  for (std::size_t row = 0; row < kGuideRows; row += kTogether) {
    Vector sums[kTogether][kVectors] = {};
    for (std::size_t k = 0; k < kGuideInner; ++k) {
      Vector weight[kVectors];
      __builtin_memcpy(weight, &padded[k * kStride], sizeof weight);
      for (std::size_t r = 0; r < kTogether; ++r) {
        const Real x = data[(row + r) * kGuideInner + k];
        for (std::size_t v = 0; v < kVectors; ++v) sums[r][v] += x * weight[v];
      }
    }
    for (std::size_t r = 0; r < kTogether; ++r)
      __builtin_memcpy(result + (row + r) * kGuideColumns, sums[r], kGuideColumns * sizeof(Real));
  }
}

template <class Real>
TUTTI_INLINE void together_with(Draw<Real>& draw, Real* weights, Real* result) {
  using Vector = typename Lanes<Real>::Vector;
  constexpr std::size_t kLanes = Lanes<Real>::kCount;
  generate_with(draw, weights, kGuideInner * kGuideColumns);
  for (std::size_t row = 0; row < kGuideRows; row += kLanes) {
    Vector sums[kGuideColumns] = {};
    for (std::size_t k = 0; k < kGuideInner; ++k) {
      const Vector x = draw.next();
      for (std::size_t column = 0; column < kGuideColumns; ++column)
        sums[column] += x * weights[k * kGuideColumns + column];
    }
    const std::size_t rows = row + kLanes <= kGuideRows ? kLanes : kGuideRows - row;
    for (std::size_t lane = 0; lane < rows; ++lane) {
      for (std::size_t column = 0; column < kGuideColumns; ++column)
        result[(row + lane) * kGuideColumns + column] = sums[column][lane];
    }
  }
}

template <class Real>
constexpr RandomProductKernels<Real> kKernels{
    .generate =
        [](GeneratorState<Real>& state, Real* numbers, std::size_t count) {
          Draw<Real> draw(state);
          generate_with(draw, numbers, count);
        },
    .multiply = [](const Real* data, const Real* weights,
                   Real* result) { multiply_with(data, weights, result); },
    .generate_and_multiply =
        [](GeneratorState<Real>& state, Real* weights, Real* result) {
          Draw<Real> draw(state);
          together_with(draw, weights, result);
        },
};

}  // namespace

extern const RandomProductKernels<double> TUTTI_KERNELS(f64) = kKernels<double>;
extern const RandomProductKernels<float> TUTTI_KERNELS(f32) = kKernels<float>;

}  // namespace tutti
