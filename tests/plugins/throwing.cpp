// A plug-in in C++ that lets exceptions out through the C interface.
// Feature 0 of the first row: 0 answers 1, 1 throws a std::runtime_error, 2 throws an int.
// Built with THROW_AT_OPEN it throws in open().
#include <cstddef>
#include <stdexcept>

#include "tutti_plugin.h"

namespace {

int open_model(const tutti_open*, tutti_shape*, void** state, char*, size_t) {
#ifdef THROW_AT_OPEN
  throw std::runtime_error("thrown at open");
#endif
  *state = nullptr;
  return 0;
}

int predict(void*, const float* x, uint32_t rows, float* out, char*, size_t) {
  if (x[0] == 1) throw std::runtime_error("thrown\nin predict");
  if (x[0] == 2) throw 2;
  for (std::size_t row = 0; row < rows; ++row) out[row] = 1;
  return 0;
}

void close_model(void*) { throw std::runtime_error("thrown at close"); }

}  // namespace

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table{TUTTI_PLUGIN_ABI, "throwing", open_model, predict, close_model};
  return &table;
}
