#include "supervisor/guide/random_product.hpp"

namespace tutti {

#if defined(__x86_64__)
extern const RandomProductKernels<double> avx512_f64;
extern const RandomProductKernels<float> avx512_f32;
extern const RandomProductKernels<double> avx2_f64;
extern const RandomProductKernels<float> avx2_f32;
#endif
extern const RandomProductKernels<double> portable_f64;
extern const RandomProductKernels<float> portable_f32;

namespace {

// SplitMix64 (Steele, Lea, Flood 2014): what the authors of xoshiro recommend for seeds.
std::uint64_t split_mix(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15U;
  std::uint64_t z = state;
  z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31U);
}

}  // namespace

template <class Real>
GeneratorState<Real>::GeneratorState(std::uint64_t seed) {
  for (auto& word : words) {
    for (Word& lane : word) lane = static_cast<Word>(split_mix(seed) >> (64 - 8 * sizeof(Word)));
  }
}
template struct GeneratorState<double>;
template struct GeneratorState<float>;

std::vector<RandomProduct> random_products() {
  std::vector<RandomProduct> products;
#if defined(__x86_64__)
  // What -march=skylake-avx512 and haswell take for granted beyond these came with the same processors.
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("fma"))
    products.push_back({"avx512", avx512_f64, avx512_f32});
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    products.push_back({"avx2", avx2_f64, avx2_f32});
#endif
  products.push_back({"portable", portable_f64, portable_f32});
  return products;
}

}  // namespace tutti
