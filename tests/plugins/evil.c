/* The evil test plug-in: a model that attacks its host, as asked. See evil.h. */
#include "evil.h"

#include <stdlib.h>

#include "tutti_plugin.h"

static int evil_predict(void* state, const float* x, uint32_t rows, float* out, char* message,
                        size_t message_bytes) {
  const uint32_t features = *(const uint32_t*)state;
  (void)message;
  (void)message_bytes;
  for (uint32_t row = 0; row < rows; ++row) {
    const float asked = x[(size_t)row * features];
    out[row] =
        (float)evil_try(asked >= 0 && asked < EVIL_ATTACK_COUNT ? (int)asked : EVIL_NOTHING, (void*)x) /
        EVIL_ERROR_SCALE;
  }
  return 0;
}

static int evil_open(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
                     size_t message_bytes) {
  (void)ask;
  (void)message;
  (void)message_bytes;
  shape->outputs = 1;
  shape->means = TUTTI_MEANS_PROBABILITY;
  uint32_t* features = malloc(sizeof *features);
  if (features == NULL) return 2;
  *features = shape->features;
  *state = features;
  return 0;
}

static void evil_close(void* state) { free(state); }

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table = {TUTTI_PLUGIN_ABI, "evil", evil_open, evil_predict, evil_close};
  return &table;
}
