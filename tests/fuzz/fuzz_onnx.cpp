// Any bytes as an ONNX model: an error that says what and where, or a model whose answers depend neither on
// the batch a row stands in nor on the tier: together they are asked of tier 1, alone of the interpreter.
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>
#include <vector>

#include "worker/onnx.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kRows = 41;  // lanes of all kinds, and some left over
  constexpr float kNumbers[] = {
      0.0F, -0.0F, 1.0F, 2.5F, -3.0F, 1e9F, std::numeric_limits<float>::quiet_NaN()};
  tutti::ModelSource source{.path = "fuzz.onnx", .features = 5, .rows_max = kRows, .jit = {.threshold = 0}};
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto model = tutti::parse_onnx(bytes, source);
  if (!model) {
    const tutti::Error& error = model.error();
    assert(error.code == tutti::Errc::bad_model && !error.what.empty() && !error.hint.empty());
    assert(error.where.starts_with("fuzz.onnx"));
    return 0;
  }
  const tutti::ModelShape shape = (*model)->shape();
  if (shape.features > 4096 || shape.outputs > 4096) return 0;  // allowed, but filling its rows finds nothing
  std::vector<float> x(std::size_t{shape.features} * kRows);
  for (std::size_t index = 0; index < x.size(); ++index) x[index] = kNumbers[index % std::size(kNumbers)];
  std::vector<float> together(std::size_t{shape.outputs} * kRows);
  std::vector<float> alone(together.size());
  source.jit = {.mode = tutti::JitSettings::Mode::off};
  const auto interpreter = tutti::parse_onnx(bytes, source);
  assert(interpreter.has_value());
  const auto answered =
      (*model)->predict({x.data(), kRows, shape.features}, {together.data(), kRows, shape.outputs});
  for (std::uint32_t row = 0; row < kRows; ++row) {
    const auto one = (*interpreter)
                         ->predict({&x[std::size_t{row} * shape.features], 1, shape.features},
                                   {&alone[std::size_t{row} * shape.outputs], 1, shape.outputs});
    // Layers refuse a missing number; then all rows together were refused, too.
    assert(one.has_value() || !answered.has_value());
  }
  if (!answered) return 0;
  for (std::size_t index = 0; index < alone.size(); ++index) {
    // NaN apart, whose sign and payload may differ: sums of finite leaves may overflow.
    assert(std::bit_cast<std::uint32_t>(alone[index]) == std::bit_cast<std::uint32_t>(together[index]) ||
           (alone[index] != alone[index] && together[index] != together[index]));
  }
  return 0;
}
