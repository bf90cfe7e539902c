// AVX-512 (F): a panel is one register, and 24 of the 32 hold sums.
#include <immintrin.h>

#include <cstdint>

#include "worker/dense/kernels.hpp"
#include "worker/dense/multiply.hpp"
#include "worker/dense/softmax.hpp"

namespace tutti::dense {
namespace {

/// Eight lanes to one: l and l + 4, l and l + 2, l and l + 1.
template <class Operation>
[[gnu::always_inline]] inline float fold_eight(__m256 lanes) {
  __m128 four = Operation::of(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = Operation::of(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(Operation::of(four, _mm_movehdup_ps(four)));
}

struct Floats {
  using Number = float;
  using Lanes = __m512;
  static constexpr int kLanes = 16;
  static constexpr int kSums = 24;
  static constexpr int kManyRowsPanels = 4;

  [[gnu::always_inline]] static inline Lanes load(const float* from) { return _mm512_load_ps(from); }
  [[gnu::always_inline]] static inline Lanes broadcast(const float* from) { return _mm512_set1_ps(*from); }
  [[gnu::always_inline]] static inline Lanes multiply_add(Lanes weight, Lanes x, Lanes sum) {
    return _mm512_fmadd_ps(weight, x, sum);
  }
  // The second operand is the answer where one is NaN, and where both are zeros.
  [[gnu::always_inline]] static inline Lanes at_least_zero(Lanes lanes) {
    return _mm512_max_ps(_mm512_setzero_ps(), lanes);
  }
  [[gnu::always_inline]] static inline void store(float* into, Lanes lanes) { _mm512_storeu_ps(into, lanes); }
  [[gnu::always_inline]] static inline void store_first(float* into, Lanes lanes, std::uint32_t count) {
    _mm512_mask_storeu_ps(into, static_cast<__mmask16>((1U << count) - 1), lanes);
  }

  using Words = std::int32_t __attribute__((vector_size(64)));
  [[gnu::always_inline]] static inline Lanes all(float number) { return _mm512_set1_ps(number); }
  [[gnu::always_inline]] static inline Lanes load_any(const float* from) { return _mm512_loadu_ps(from); }
  [[gnu::always_inline]] static inline Lanes load_first(const float* from, std::uint32_t count, float rest) {
    return _mm512_mask_loadu_ps(all(rest), static_cast<__mmask16>((1U << count) - 1), from);
  }
  template <class Operation>
  [[gnu::always_inline]] static inline float fold(const Lanes* lanes) {
    const __m256 upper = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(*lanes), 1));
    return fold_eight<Operation>(Operation::of(_mm512_castps512_ps256(*lanes), upper));
  }
};

struct Doubles {
  using Number = double;
  using Lanes = __m512d;
  static constexpr int kLanes = 8;
  static constexpr int kSums = 24;
  static constexpr int kManyRowsPanels = 4;

  [[gnu::always_inline]] static inline Lanes load(const double* from) { return _mm512_load_pd(from); }
  [[gnu::always_inline]] static inline Lanes broadcast(const double* from) { return _mm512_set1_pd(*from); }
  [[gnu::always_inline]] static inline Lanes multiply_add(Lanes weight, Lanes x, Lanes sum) {
    return _mm512_fmadd_pd(weight, x, sum);
  }
  [[gnu::always_inline]] static inline Lanes at_least_zero(Lanes lanes) {
    return _mm512_max_pd(_mm512_setzero_pd(), lanes);
  }
  [[gnu::always_inline]] static inline void store(double* into, Lanes lanes) {
    _mm512_storeu_pd(into, lanes);
  }
  [[gnu::always_inline]] static inline void store_first(double* into, Lanes lanes, std::uint32_t count) {
    _mm512_mask_storeu_pd(into, static_cast<__mmask8>((1U << count) - 1), lanes);
  }
};

bool any_nan(const float* x, std::size_t count) {
  __mmask16 found = 0;
  std::size_t index = 0;
  for (; index + 16 <= count; index += 16) {
    const __m512 lanes = _mm512_loadu_ps(x + index);
    found = static_cast<__mmask16>(found | _mm512_cmp_ps_mask(lanes, lanes, _CMP_UNORD_Q));
  }
  const auto rest = static_cast<__mmask16>((1U << (count - index)) - 1);
  const __m512 lanes = _mm512_maskz_loadu_ps(rest, x + index);
  return (found | _mm512_cmp_ps_mask(lanes, lanes, _CMP_UNORD_Q)) != 0;
}

}  // namespace

const DenseKernels kAvx512DenseKernels = {.name = "avx512",
                                          .any_nan = any_nan,
                                          .multiply_narrow = multiply_layer<Floats>,
                                          .multiply_wide = multiply_layer<Doubles>,
                                          .softmax = softmax_rows<Floats>};

}  // namespace tutti::dense
