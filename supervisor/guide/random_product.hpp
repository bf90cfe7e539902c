// Random matrices and their product, in vectors of one cache line; compiled for several instruction sets, the
// best of which is chosen at run time. The three kernels are the whole of the guide's benchmark.
//
//   generate   xoshiro256+ (float64) or xoshiro128++ (float32), a generator in each lane (Blackman and Vigna,
//              "Scrambled linear pseudorandom number generators", 2021); 52 and 24 bits a number
//   multiply   a row of weights is one or two vectors; eight rows of data share it
//   together   a lane is a row of data: its numbers are drawn, multiplied and forgotten in registers
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <vector>

namespace tutti {

inline constexpr std::size_t kGuideRows = 100;
inline constexpr std::size_t kGuideInner = 784;
inline constexpr std::size_t kGuideColumns = 10;
inline constexpr std::size_t kVectorBytes = 64;

/// The states of all lanes of a generator: four words a lane, word by word.
template <class Real>
struct GeneratorState {
  using Word = std::conditional_t<sizeof(Real) == 8, std::uint64_t, std::uint32_t>;
  static constexpr std::size_t kLanes = kVectorBytes / sizeof(Real);

  explicit GeneratorState(std::uint64_t seed);
  alignas(kVectorBytes) Word words[4][kLanes];
};

template <class Real>
struct RandomProductKernels {
  /// Fills numbers [count] with uniform numbers in [0, 1); count is a multiple of kLanes.
  void (*generate)(GeneratorState<Real>& state, Real* numbers, std::size_t count);
  /// data [kGuideRows][kGuideInner] times weights [kGuideInner][kGuideColumns] into result
  /// [kGuideRows][kGuideColumns].
  void (*multiply)(const Real* data, const Real* weights, Real* result);
  /// Draws weights [kGuideInner][kGuideColumns], then data: as many rows at a time as the kernels' vectors
  /// have lanes, a column of them at once. Leaves their product in result [kGuideRows][kGuideColumns].
  void (*generate_and_multiply)(GeneratorState<Real>& state, Real* weights, Real* result);
};

/// One set of kernels that this machine can run.
struct RandomProduct {
  std::string_view instruction_set;  // "avx512", "avx2", "portable"
  const RandomProductKernels<double>& f64;
  const RandomProductKernels<float>& f32;
};

/// Those that this machine can run, the best first.
std::vector<RandomProduct> random_products();

}  // namespace tutti
