/* A whole model in C: the second class wins where the first feature is above 0.5.
 *
 *   cc -shared -fPIC -I<tutti's include directory> threshold.c -o threshold.so
 *
 * It holds no state, fits any number of features, and asks for an ensemble of two classes. */
#include <stdio.h>

#include "tutti_plugin.h"

static uint32_t features;

static int threshold_open(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
                          size_t message_bytes) {
  if (ask->task != TUTTI_TASK_CLASSIFICATION || ask->outputs != 2) {
    snprintf(message, message_bytes, "I choose between 2 classes, not %u", (unsigned)ask->outputs);
    return 1;
  }
  features = ask->features;
  shape->outputs = 1; /* the second class's probability says it all */
  shape->means = TUTTI_MEANS_PROBABILITY;
  *state = NULL;
  return 0;
}

static int threshold_predict(void* state, const float* x, uint32_t rows, float* out, char* message,
                             size_t message_bytes) {
  (void)state, (void)message, (void)message_bytes;
  for (uint32_t row = 0; row < rows; ++row) out[row] = x[(size_t)row * features] > 0.5F ? 0.9F : 0.1F;
  return 0;
}

static void threshold_close(void* state) { (void)state; }

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table = {TUTTI_PLUGIN_ABI, "threshold 1", threshold_open, threshold_predict,
                                     threshold_close};
  return &table;
}
