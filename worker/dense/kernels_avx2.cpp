// AVX2 with FMA: a panel is two registers, and 12 of the 16 hold sums.
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
  using Lanes = __m256;
  static constexpr int kLanes = 8;
  static constexpr int kSums = 12;
  static constexpr int kManyRowsPanels = 1;

  [[gnu::always_inline]] static inline Lanes load(const float* from) { return _mm256_load_ps(from); }
  [[gnu::always_inline]] static inline Lanes broadcast(const float* from) {
    return _mm256_broadcast_ss(from);
  }
  [[gnu::always_inline]] static inline Lanes multiply_add(Lanes weight, Lanes x, Lanes sum) {
    return _mm256_fmadd_ps(weight, x, sum);
  }
  // The second operand is the answer where one is NaN, and where both are zeros.
  [[gnu::always_inline]] static inline Lanes at_least_zero(Lanes lanes) {
    return _mm256_max_ps(_mm256_setzero_ps(), lanes);
  }
  [[gnu::always_inline]] static inline void store(float* into, Lanes lanes) { _mm256_storeu_ps(into, lanes); }
  [[gnu::always_inline]] static inline __m256i first(std::uint32_t count) {
    const __m256i places = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), places);
  }
  [[gnu::always_inline]] static inline void store_first(float* into, Lanes lanes, std::uint32_t count) {
    _mm256_maskstore_ps(into, first(count), lanes);
  }

  using Words = std::int32_t __attribute__((vector_size(32)));
  [[gnu::always_inline]] static inline Lanes all(float number) { return _mm256_set1_ps(number); }
  [[gnu::always_inline]] static inline Lanes load_any(const float* from) { return _mm256_loadu_ps(from); }
  [[gnu::always_inline]] static inline Lanes load_first(const float* from, std::uint32_t count, float rest) {
    const __m256i mask = first(count);
    return _mm256_blendv_ps(all(rest), _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask));
  }
  template <class Operation>
  [[gnu::always_inline]] static inline float fold(const Lanes* lanes) {
    return fold_eight<Operation>(Operation::of(lanes[0], lanes[1]));
  }
};

struct Doubles {
  using Number = double;
  using Lanes = __m256d;
  static constexpr int kLanes = 4;
  static constexpr int kSums = 12;
  static constexpr int kManyRowsPanels = 1;

  [[gnu::always_inline]] static inline Lanes load(const double* from) { return _mm256_load_pd(from); }
  [[gnu::always_inline]] static inline Lanes broadcast(const double* from) {
    return _mm256_broadcast_sd(from);
  }
  [[gnu::always_inline]] static inline Lanes multiply_add(Lanes weight, Lanes x, Lanes sum) {
    return _mm256_fmadd_pd(weight, x, sum);
  }
  [[gnu::always_inline]] static inline Lanes at_least_zero(Lanes lanes) {
    return _mm256_max_pd(_mm256_setzero_pd(), lanes);
  }
  [[gnu::always_inline]] static inline void store(double* into, Lanes lanes) {
    _mm256_storeu_pd(into, lanes);
  }
  [[gnu::always_inline]] static inline void store_first(double* into, Lanes lanes, std::uint32_t count) {
    const __m256i places = _mm256_setr_epi64x(0, 1, 2, 3);
    _mm256_maskstore_pd(into, _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), places), lanes);
  }
};

bool any_nan(const float* x, std::size_t count) {
  __m256 found = _mm256_setzero_ps();
  std::size_t index = 0;
  for (; index + 8 <= count; index += 8) {
    const __m256 lanes = _mm256_loadu_ps(x + index);
    found = _mm256_or_ps(found, _mm256_cmp_ps(lanes, lanes, _CMP_UNORD_Q));
  }
  bool any = _mm256_movemask_ps(found) != 0;
  for (; index < count; ++index) any |= x[index] != x[index];
  return any;
}

}  // namespace

const DenseKernels kAvx2DenseKernels = {.name = "avx2",
                                        .any_nan = any_nan,
                                        .multiply_narrow = multiply_layer<Floats>,
                                        .multiply_wide = multiply_layer<Doubles>,
                                        .softmax = softmax_rows<Floats>};

}  // namespace tutti::dense
