// Any CPU: vectors of sixteen bytes, as the compilers know them without being told an instruction set.
//
// x86 before 2013 has no fma, and what compilers call instead takes 2 to 50 ns a number. In float it is done
// here with what there is: the product of two floats is exact in double, so is the sum but for one rounding,
// and rounding that to float is right, too, unless the double lies exactly between two floats or the answer
// is so small that it has fewer digits. Both are so rare that calling the library for them costs nothing.
#if defined(__x86_64__) && !defined(__FMA__)
#include <emmintrin.h>
#endif

#include <cstdint>

#include "worker/dense/kernels.hpp"
#include "worker/dense/multiply.hpp"
#include "worker/dense/softmax.hpp"

namespace tutti::dense {
namespace {

inline float fused(float weight, float x, float sum) { return __builtin_fmaf(weight, x, sum); }
inline double fused(double weight, double x, double sum) { return __builtin_fma(weight, x, sum); }

template <class Lanes, int kLanes>
[[gnu::always_inline]] inline Lanes fused_each(Lanes weight, Lanes x, Lanes sum) {
  for (int lane = 0; lane < kLanes; ++lane) sum[lane] = fused(weight[lane], x[lane], sum[lane]);
  return sum;
}

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using Type = float __attribute__((vector_size(16)));
};
template <>
struct VectorOf<double> {
  using Type = double __attribute__((vector_size(16)));
};

#if defined(__x86_64__) && !defined(__FMA__)
/// Not in line: hardly ever called, and its calls would cost the loop its registers.
[[gnu::noinline, gnu::cold]] __m128 fused_by_library(__m128 weight, __m128 x, __m128 sum) {
  return fused_each<__m128, 4>(weight, x, sum);
}

[[gnu::always_inline]] inline __m128 fused_lanes(__m128 weight, __m128 x, __m128 sum) {
  const __m128d low = _mm_cvtps_pd(weight) * _mm_cvtps_pd(x) + _mm_cvtps_pd(sum);
  const __m128d high = _mm_cvtps_pd(_mm_movehl_ps(weight, weight)) * _mm_cvtps_pd(_mm_movehl_ps(x, x)) +
                       _mm_cvtps_pd(_mm_movehl_ps(sum, sum));
  const __m128 rounded = _mm_movelh_ps(_mm_cvtpd_ps(low), _mm_cvtpd_ps(high));
  // The 29 bits that a float lacks: 1000… is half way. A sum that begins at 0 was not rounded in double.
  const __m128i ends =
      _mm_castps_si128(_mm_shuffle_ps(_mm_castpd_ps(low), _mm_castpd_ps(high), _MM_SHUFFLE(2, 0, 2, 0)));
  const __m128i half = _mm_cmpeq_epi32(_mm_slli_epi32(ends, 3), _mm_set1_epi32(-0x7fffffff - 1));
  const __m128 magnitude = _mm_andnot_ps(_mm_set1_ps(-0.0F), rounded);
  const __m128 small =
      _mm_and_ps(_mm_cmplt_ps(magnitude, _mm_set1_ps(0x1p-126F)), _mm_cmpneq_ps(sum, _mm_setzero_ps()));
  if (_mm_movemask_ps(_mm_or_ps(_mm_castsi128_ps(half), small)) != 0) [[unlikely]] {
    return fused_by_library(weight, x, sum);
  }
  return rounded;
}
[[gnu::always_inline]] inline __m128d fused_lanes(__m128d weight, __m128d x, __m128d sum) {
  return fused_each<__m128d, 2>(weight, x, sum);
}
#else
template <class Lanes>
[[gnu::always_inline]] inline Lanes fused_lanes(Lanes weight, Lanes x, Lanes sum) {
  return fused_each<Lanes, sizeof(Lanes) / sizeof(sum[0])>(weight, x, sum);
}
#endif

template <class T>
struct Portable {
  using Number = T;
  using Lanes = typename VectorOf<T>::Type;
  static constexpr int kLanes = 16 / sizeof(T);
  static constexpr int kSums = 8;
  static constexpr int kManyRowsPanels = 1;

  static Lanes load(const T* from) { return load_any(from); }
  static Lanes broadcast(const T* from) { return all(*from); }
  [[gnu::always_inline]] static inline Lanes multiply_add(Lanes weight, Lanes x, Lanes sum) {
    return fused_lanes(weight, x, sum);
  }
  static Lanes at_least_zero(Lanes lanes) { return lanes < Lanes{} ? Lanes{} : lanes; }
  static void store(T* into, Lanes lanes) { __builtin_memcpy(into, &lanes, sizeof lanes); }
  static void store_first(T* into, Lanes lanes, std::uint32_t count) {
    for (std::uint32_t lane = 0; lane < count; ++lane) into[lane] = lanes[lane];
  }

  using Words = std::int32_t __attribute__((vector_size(16)));
  static Lanes all(T number) {
    Lanes lanes{};
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = number;  // an addition to 0 would lose -0.0
    return lanes;
  }
  static Lanes load_any(const T* from) {
    Lanes lanes;
    __builtin_memcpy(&lanes, from, sizeof lanes);
    return lanes;
  }
  static Lanes load_first(const T* from, std::uint32_t count, T rest) {
    Lanes lanes = all(rest);
    for (std::uint32_t lane = 0; lane < count; ++lane) lanes[lane] = from[lane];
    return lanes;
  }
  template <class Operation>
  static T fold(const Lanes* lanes) {
    const Lanes four = Operation::of(Operation::of(lanes[0], lanes[2]), Operation::of(lanes[1], lanes[3]));
    return Operation::of(Operation::of(four[0], four[2]), Operation::of(four[1], four[3]));
  }
};

bool any_nan(const float* x, std::size_t count) {
  bool any = false;
  for (std::size_t index = 0; index < count; ++index) any |= x[index] != x[index];
  return any;
}

}  // namespace

const DenseKernels kPortableDenseKernels = {.name = "portable",
                                            .any_nan = any_nan,
                                            .multiply_narrow = multiply_layer<Portable<float>>,
                                            .multiply_wide = multiply_layer<Portable<double>>,
                                            .softmax = softmax_rows<Portable<float>>};

}  // namespace tutti::dense
