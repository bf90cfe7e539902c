// What tests of any model format need: answers in batches of any size, and files with a few bytes wrong.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/unit/npy_fixture.hpp"
#include "worker/model.hpp"

namespace tutti::fixture {

/// All answers of a model, asked `batch` rows at a time.
inline std::vector<float> answers(Model& model, const Npy<float>& x, std::uint32_t batch) {
  const std::uint32_t outputs = model.shape().outputs;
  std::vector<float> out(std::size_t{x.rows} * outputs, -12345.0F);
  for (std::uint32_t row = 0; row < x.rows; row += batch) {
    const std::uint32_t rows = std::min(batch, x.rows - row);
    const Result<void> done = model.predict({x.values.data() + std::size_t{row} * x.columns, rows, x.columns},
                                            {out.data() + std::size_t{row} * outputs, rows, outputs});
    REQUIRE(done.has_value());
  }
  return out;
}

/// The bytes with 1 to `changes_max` changes: bits, bytes, stretches taken out or doubled, seldom a cut.
inline std::string mutated(std::string bytes, std::size_t changes_max, std::mt19937_64& random) {
  const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random() % end); };
  for (std::size_t change = 0, changes = 1 + below(changes_max); change < changes && !bytes.empty();
       ++change) {
    const std::size_t at = below(bytes.size());
    switch (below(5)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2:
        bytes.erase(at, 1 + below(16));
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, 1 + below(16)));
        break;
      default:
        if (below(8) == 0) bytes.resize(at);
    }
  }
  return bytes;
}

}  // namespace tutti::fixture
