// Any bytes as a dense model file: an error or a model that answers, never anything else.
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "worker/dense.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const tutti::ModelSource source{.path = "fuzz.safetensors",
                                  .kind = "dense",
                                  .classification = true,
                                  .features = 4,
                                  .outputs = 3,
                                  .rows_max = 5};
  const auto model = tutti::dense_from_bytes(std::as_bytes(std::span(data, size)), source);
  if (!model) {
    assert(model.error().code == tutti::Errc::bad_model && !model.error().hint.empty());
    return 0;
  }
  const tutti::ModelShape shape = (*model)->shape();
  const std::vector<float> x(std::size_t{shape.features} * source.rows_max, 0.5F);
  std::vector<float> out(std::size_t{shape.outputs} * source.rows_max);
  const auto answered = (*model)->predict({x.data(), source.rows_max, shape.features},
                                          {out.data(), source.rows_max, shape.outputs});
  assert(answered.has_value());
  // Equal rows have equal answers, NaN apart (weights may overflow).
  for (std::size_t index = shape.outputs; index < out.size(); ++index) {
    const float first = out[index % shape.outputs];
    assert(out[index] == first || (out[index] != out[index] && first != first));
  }
  return 0;
}
