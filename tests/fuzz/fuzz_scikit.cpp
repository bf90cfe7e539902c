// Any bytes as a scikit-learn model: what fuzz_trees.hpp says.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/fuzz_trees.hpp"
#include "worker/scikit.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tutti::fuzz::check_trees(data, size, tutti::parse_scikit);
  return 0;
}
