// The dense kernels of every instruction set against their definition in kernels.hpp and softmax.hpp, written
// out number by number.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <span>
#include <type_traits>
#include <vector>

#include "tests/catch.hpp"
#include "worker/aligned.hpp"
#include "worker/dense/instruction_set.hpp"
#include "worker/dense/layer.hpp"

namespace {

using namespace tutti;
using namespace tutti::dense;

template <class T>
bool same_bits(T left, T right) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
  // NaN apart, whose sign and payload may differ.
  return std::bit_cast<Bits>(left) == std::bit_cast<Bits>(right) || (std::isnan(left) && std::isnan(right));
}

/// Numbers whose sums depend on their order and on every rounding, some of them at the ends of their range.
template <class T>
class NumberMaker {
 public:
  explicit NumberMaker(std::uint32_t seed) : generator_(seed) {}

  std::uint32_t below(std::uint32_t end) { return static_cast<std::uint32_t>(generator_()) % end; }

  T number(std::uint32_t special_percent) {
    constexpr std::array kSpecial{T{0},
                                  -T{0},
                                  std::numeric_limits<T>::denorm_min(),
                                  -std::numeric_limits<T>::denorm_min(),
                                  std::numeric_limits<T>::min(),
                                  -std::numeric_limits<T>::min() * 3,
                                  std::numeric_limits<T>::max(),
                                  -std::numeric_limits<T>::max() / 2,
                                  std::numeric_limits<T>::epsilon(),
                                  1 + std::numeric_limits<T>::epsilon()};
    if (below(100) < special_percent) return kSpecial[below(kSpecial.size())];
    return std::ldexp(normal_(generator_), static_cast<int>(below(8)) - 4);
  }

  AlignedVector<T> numbers(std::size_t count, std::uint32_t special_percent) {
    AlignedVector<T> all(count);
    for (T& one : all) one = number(special_percent);
    return all;
  }

 private:
  std::mt19937 generator_;
  std::normal_distribution<T> normal_;
};

constexpr double kUntouched = -77;

template <class T>
T defined_sum(const LayerView<T>& view, std::uint32_t row, std::uint32_t output) {
  const T* const weights =
      view.weights + std::size_t{output / kPanel<T>} * view.panel_stride + output % kPanel<T>;
  T sum = 0;
  for (std::uint32_t input = 0; input < view.inputs; ++input) {
    sum = std::fma(weights[std::size_t{input} * kPanel<T>], view.x[std::size_t{row} * view.x_stride + input],
                   sum);
  }
  sum += view.bias[output];
  return view.relu != 0 && sum < 0 ? T{0} : sum;
}

template <class T>
void check_layer(NumberMaker<T>& maker, std::uint32_t inputs, std::uint32_t outputs, std::uint32_t rows) {
  const std::uint32_t special = maker.below(2) * maker.below(30);
  Layer<T> layer =
      make_layer<T>(inputs, outputs, maker.below(2) == 0 ? Activation::identity : Activation::relu);
  for (std::uint32_t output = 0; output < outputs; ++output) {
    for (std::uint32_t input = 0; input < inputs; ++input) {
      set_weight(layer, output, input, maker.number(special));
    }
    layer.bias[output] = maker.number(special);
  }
  const std::uint32_t x_stride = inputs + maker.below(3);
  const std::uint32_t y_stride = outputs + maker.below(3);
  const AlignedVector<T> x = maker.numbers(std::size_t{rows} * x_stride, special);
  AlignedVector<T> y(std::size_t{rows} * y_stride);
  const LayerView<T> view = layer.view(x.data(), x_stride, rows, y.data(), y_stride);
  std::vector<T> wanted(y.size(), static_cast<T>(kUntouched));
  for (std::uint32_t row = 0; row < rows; ++row) {
    for (std::uint32_t output = 0; output < outputs; ++output) {
      wanted[std::size_t{row} * y_stride + output] = defined_sum(view, row, output);
    }
  }
  for (const DenseKernels* const kernels : runnable_kernels()) {
    INFO(kernels->name << ": " << inputs << " inputs, " << outputs << " outputs, " << rows << " rows of "
                       << sizeof(T) << " bytes a number");
    std::ranges::fill(y, static_cast<T>(kUntouched));
    kernels->multiply(view);
    CHECK(std::ranges::equal(y, wanted, same_bits<T>));
  }
}

/// The largest number and the sum of a row in the order of softmax.hpp: sixteen lanes, then halves of them.
template <class Operation>
float folded(std::span<const float> numbers, float rest, Operation operation) {
  std::array<float, 16> lanes{};
  lanes.fill(rest);
  for (std::size_t index = 0; index < numbers.size(); ++index) {
    lanes[index % 16] = index < 16 ? numbers[index] : operation(lanes[index % 16], numbers[index]);
  }
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] = operation(lanes[lane], lanes[lane + half]);
  }
  return lanes[0];
}

/// The definition of e^x in softmax.hpp.
float defined_exponential(float x) {
  if (x < -87.0F) return 0;
  const float whole = std::fma(x, 1.44269502F, 12582912.0F) - 12582912.0F;
  const float r = std::fma(whole, 2.12194442e-4F, std::fma(whole, -0.693359375F, x));
  float power = 0x1.6d117cp-10F;
  for (const float coefficient : {0x1.120be2p-7F, 0x1.555518p-5F, 0x1.5554dcp-3F, 0.5F, 1.0F, 1.0F}) {
    power = std::fma(power, r, coefficient);
  }
  return std::ldexp(power, static_cast<int>(whole));
}

std::vector<float> defined_softmax(std::span<const float> row) {
  const float largest = folded(row, -std::numeric_limits<float>::infinity(),
                               [](float left, float right) { return left > right ? left : right; });
  std::vector<float> powers;
  for (const float number : row) powers.push_back(defined_exponential(number - largest));
  const float sum = folded(powers, 0.0F, [](float left, float right) { return left + right; });
  for (float& power : powers) power /= sum;
  return powers;
}

TEMPLATE_TEST_CASE("dense kernels: every instruction set gives the bits of the definition", "[dense]", float,
                   double) {
  // Method: random sizes round those of panels and tiles, every number of rows up to beyond two tiles,
  // numbers at the ends of their range (sums that overflow and underflow), and memory between the rows of an
  // answer that nobody may write.
  NumberMaker<TestType> maker(20261123);
  for (std::uint32_t rows = 1; rows <= 40; ++rows) {
    check_layer(maker, 1 + maker.below(20), 1 + maker.below(130), rows);
  }
  for (std::uint32_t turn = 0; turn < 200; ++turn) {
    check_layer(maker, 1 + maker.below(130), 1 + maker.below(130), 1 + maker.below(turn % 4 == 0 ? 100 : 13));
  }
  for (const std::uint32_t outputs : {1U, 8U, 16U, 32U, 48U, 64U, 128U, 144U}) {
    for (const std::uint32_t rows : {1U, 2U, 3U, 4U, 6U, 7U, 12U, 13U, 25U})
      check_layer(maker, 64, outputs, rows);
  }
}

TEST_CASE("dense kernels: a softmax has the bits of its definition in every instruction set", "[dense]") {
  NumberMaker<float> maker(11);
  for (std::uint32_t turn = 0; turn < 400; ++turn) {
    const std::uint32_t numbers = 1 + (turn < 100 ? turn : maker.below(20));
    const std::uint32_t rows = 1 + maker.below(5);
    const std::uint32_t x_stride = numbers + maker.below(3);
    const std::uint32_t y_stride = numbers + maker.below(3);
    const float spread = std::ldexp(1.0F, static_cast<int>(maker.below(8)));
    std::vector<float> x;
    for (std::size_t index = 0; index < std::size_t{rows} * x_stride; ++index) {
      x.push_back(maker.number(turn % 5 == 0 ? 5 : 0) * spread);
    }
    std::vector<float> wanted(std::size_t{rows} * y_stride, static_cast<float>(kUntouched));
    for (std::uint32_t row = 0; row < rows; ++row) {
      const std::vector<float> answer =
          defined_softmax(std::span(x).subspan(std::size_t{row} * x_stride, numbers));
      std::ranges::copy(answer, wanted.begin() + static_cast<std::ptrdiff_t>(std::size_t{row} * y_stride));
    }
    for (const DenseKernels* const kernels : runnable_kernels()) {
      INFO(kernels->name << ": " << rows << " rows of " << numbers << " numbers");
      std::vector<float> y(wanted.size(), static_cast<float>(kUntouched));
      kernels->softmax({.x = x.data(),
                        .y = y.data(),
                        .numbers = numbers,
                        .rows = rows,
                        .x_stride = x_stride,
                        .y_stride = y_stride});
      CHECK(std::ranges::equal(y, wanted, same_bits<float>));
    }
  }
}

TEST_CASE("dense kernels: a softmax is the textbook's to the last digits", "[dense]") {
  const DenseKernels& kernels = *runnable_kernels().back();
  double worst = 0;
  for (int step = 0; step < 76'000; ++step) {
    const float x = -1e-8F * std::exp(static_cast<float>(step) * 3e-4F);  // to -80
    const std::array<float, 2> row{0, x};
    std::array<float, 2> answer{};
    kernels.softmax(
        {.x = row.data(), .y = answer.data(), .numbers = 2, .rows = 1, .x_stride = 2, .y_stride = 2});
    const double power = std::exp(static_cast<double>(x));
    const double right = power / (1 + power);
    worst = std::max(worst, std::abs(static_cast<double>(answer[1]) - right) / right);
  }
  CHECK(worst < 4 * 0x1p-24);  // exp, sum and quotient are rounded, each by half a unit or little more

  // No overflow; what is not a number stays none.
  const auto one = [&](std::array<float, 3> row) {
    std::array<float, 3> answer{};
    kernels.softmax(
        {.x = row.data(), .y = answer.data(), .numbers = 3, .rows = 1, .x_stride = 3, .y_stride = 3});
    return answer;
  };
  CHECK(one({3e38F, 3e38F, -3e38F}) == std::array{0.5F, 0.5F, 0.0F});
  for (const DenseKernels* const each : runnable_kernels()) {
    for (std::uint32_t place = 0; place < 40; ++place) {
      std::vector<float> row(40, 1.0F);
      row[place] = std::numeric_limits<float>::quiet_NaN();
      std::vector<float> answer(40);
      each->softmax(
          {.x = row.data(), .y = answer.data(), .numbers = 40, .rows = 1, .x_stride = 40, .y_stride = 40});
      INFO(each->name << ", place " << place);
      CHECK(std::ranges::all_of(answer, [](float number) { return std::isnan(number); }));
    }
  }
}

TEST_CASE("dense kernels: a missing number is found wherever it stands", "[dense]") {
  for (const DenseKernels* const kernels : runnable_kernels()) {
    INFO(kernels->name);
    for (std::size_t count = 0; count < 70; ++count) {
      std::vector<float> numbers(count, std::numeric_limits<float>::infinity());
      REQUIRE_FALSE(kernels->any_nan(numbers.data(), count));
      for (std::size_t place = 0; place < count; ++place) {
        numbers[place] = std::numeric_limits<float>::quiet_NaN();
        REQUIRE(kernels->any_nan(numbers.data(), count));
        numbers[place] = 0;
      }
    }
  }
}

}  // namespace
