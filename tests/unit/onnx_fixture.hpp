// ONNX files for tests: those of tests/data/onnx, and models asked in batches.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/model_fixture.hpp"
#include "tests/unit/npy_fixture.hpp"
#include "worker/onnx.hpp"

namespace tutti::fixture {

inline std::string onnx_path(const std::string& name) {
  return std::string(TUTTI_TEST_DATA) + "/onnx/" + name;
}

/// Parses a model whose errors call it "model.onnx".
inline Result<std::unique_ptr<Model>> parse_onnx(std::string_view bytes, const JitSettings& jit = {}) {
  ModelSource source;
  source.path = "model.onnx";
  source.features = 5;
  source.jit = jit;
  return tutti::parse_onnx(std::as_bytes(std::span(bytes)), source);
}

/// The rows of `x` over and over, until there are that many.
inline Npy<float> repeat_rows(const Npy<float>& x, std::uint32_t rows) {
  Npy<float> more{{}, rows, x.columns};
  for (std::size_t index = 0; index < std::size_t{rows} * x.columns; ++index) {
    more.values.push_back(x.values[index % x.values.size()]);
  }
  return more;
}

}  // namespace tutti::fixture
