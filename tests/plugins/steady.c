/* A member that always behaves: it gives both classes one half, whatever it is asked. */
#include <stdint.h>

#include "tutti_plugin.h"

static int steady_open(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
                       size_t message_bytes) {
  (void)ask, (void)message, (void)message_bytes;
  shape->outputs = 1;
  shape->means = TUTTI_MEANS_PROBABILITY;
  *state = NULL;
  return 0;
}

static int steady_predict(void* state, const float* x, uint32_t rows, float* out, char* message,
                          size_t message_bytes) {
  (void)state, (void)x, (void)message, (void)message_bytes;
  for (uint32_t row = 0; row < rows; ++row) out[row] = 0.5F;
  return 0;
}

static void steady_close(void* state) { (void)state; }

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table = {TUTTI_PLUGIN_ABI, "steady 1", steady_open, steady_predict, steady_close};
  return &table;
}
