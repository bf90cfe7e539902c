// The kernels of the guide's benchmark: what they draw is uniform, and what they multiply is the product.
#include <cmath>
#include <vector>

#include "supervisor/guide/random_product.hpp"
#include "tests/catch.hpp"

namespace tutti {
namespace {

template <class Real>
std::vector<Real> drawn(const RandomProductKernels<Real>& kernels, GeneratorState<Real>& state,
                        std::size_t count) {
  std::vector<Real> numbers(count);
  kernels.generate(state, numbers.data(), count);
  return numbers;
}

template <class Real>
double worst_error(const std::vector<Real>& data, const std::vector<Real>& weights,
                   const std::vector<Real>& result) {
  double worst = 0;
  for (std::size_t row = 0; row < kGuideRows; ++row) {
    for (std::size_t column = 0; column < kGuideColumns; ++column) {
      double sum = 0;
      for (std::size_t k = 0; k < kGuideInner; ++k)
        sum += static_cast<double>(data[row * kGuideInner + k]) *
               static_cast<double>(weights[k * kGuideColumns + column]);
      worst = std::max(worst, std::abs(sum - static_cast<double>(result[row * kGuideColumns + column])));
    }
  }
  return worst;
}

/// The lanes of one vector, told from two drawings of the same state: how far `together` takes rows at once.
template <class Real>
void check_kernels(const RandomProductKernels<Real>& kernels, std::size_t lanes) {
  const double tolerance = sizeof(Real) == 8 ? 1e-10 : 2e-3;
  GeneratorState<Real> state(7);
  const auto data = drawn(kernels, state, kGuideRows * kGuideInner);
  const auto weights = drawn(kernels, state, kGuideInner * kGuideColumns);
  std::vector<Real> result(kGuideRows * kGuideColumns);
  kernels.multiply(data.data(), weights.data(), result.data());
  CHECK(worst_error(data, weights, result) < tolerance);

  // Together draws the weights, then for so many rows as a vector has lanes one column after the other.
  GeneratorState<Real> first(9);
  GeneratorState<Real> second(9);
  std::vector<Real> own_weights(kGuideInner * kGuideColumns);
  kernels.generate_and_multiply(first, own_weights.data(), result.data());
  CHECK(drawn(kernels, second, own_weights.size()) == own_weights);
  std::vector<Real> rows(kGuideRows * kGuideInner);
  for (std::size_t row = 0; row < kGuideRows; row += lanes) {
    const auto block = drawn(kernels, second, kGuideInner * lanes);
    for (std::size_t lane = 0; lane < lanes && row + lane < kGuideRows; ++lane) {
      for (std::size_t k = 0; k < kGuideInner; ++k)
        rows[(row + lane) * kGuideInner + k] = block[k * lanes + lane];
    }
  }
  CHECK(worst_error(rows, own_weights, result) < tolerance);
}

/// How many of the numbers fall into each tenth of [0, 1), against what is likely.
template <class Real>
double chi_squared(const std::vector<Real>& numbers) {
  std::vector<double> tenths(10);
  for (const Real number : numbers) {
    REQUIRE((number >= 0 && number < 1));
    ++tenths[static_cast<std::size_t>(number * 10)];
  }
  const double expected = static_cast<double>(numbers.size()) / 10;
  double sum = 0;
  for (const double count : tenths) sum += (count - expected) * (count - expected) / expected;
  return sum;
}

TEST_CASE("guide: every instruction set multiplies what it draws", "[guide]") {
  const std::vector<RandomProduct> products = random_products();
  REQUIRE(products.back().instruction_set == "portable");
  for (const RandomProduct& product : products) {
    CAPTURE(product.instruction_set);
    const std::size_t bytes = product.instruction_set == "avx512" ? 64
                              : product.instruction_set == "avx2" ? 32
                                                                  : 16;
    check_kernels(product.f64, bytes / sizeof(double));
    check_kernels(product.f32, bytes / sizeof(float));
  }
}

TEST_CASE("guide: what is drawn is uniform in [0, 1)", "[guide]") {
  // Nine degrees of freedom: beyond 40 is one in a hundred thousand, and the seed is fixed.
  for (const RandomProduct& product : random_products()) {
    CAPTURE(product.instruction_set);
    GeneratorState<double> doubles(1);
    CHECK(chi_squared(drawn(product.f64, doubles, 160'000)) < 40);
    GeneratorState<float> floats(1);
    CHECK(chi_squared(drawn(product.f32, floats, 160'000)) < 40);
  }
}

}  // namespace
}  // namespace tutti
