/* A model that does nothing, so that what is measured is everything else. */
#include "tutti_plugin.h"

static int idle_open(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
                     size_t message_bytes) {
  (void)ask, (void)shape, (void)message, (void)message_bytes;
  *state = NULL;
  return 0;
}

static int idle_predict(void* state, const float* x, uint32_t rows, float* out, char* message,
                        size_t message_bytes) {
  (void)state, (void)x, (void)message, (void)message_bytes;
  for (uint32_t row = 0; row < rows; ++row) out[row] = 0.5F;
  return 0;
}

static void idle_close(void* state) { (void)state; }

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table = {TUTTI_PLUGIN_ABI, "idle 1", idle_open, idle_predict, idle_close};
  return &table;
}
