/* Attacks on the memory and the doorbell between an isolate and its supervisor, for hostile.c. */
#ifndef TUTTI_HOSTILE_CHANNEL_H
#define TUTTI_HOSTILE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the answer in the making lies: `out` as predict() got it, and the shape that open() was told. */
typedef struct hostile_place {
  float* out;
  uint32_t rows_max;
  uint32_t outputs;
} hostile_place;

/* The writable region around the answer. The size is that of the part from its start to the answer's end. */
unsigned char* hostile_region(const hostile_place* place, size_t* bytes);
/* Publishes an answer to a request that was never asked. Returns 0 if the ring was found. */
int hostile_forge(const hostile_place* place);
/* From now on, in a thread: every answer's rows and outputs change all the time. Returns 0 if it was started.
 */
int hostile_reshape(const hostile_place* place);
/* From now on, in a thread: rings every doorbell that this process has, without an answer. */
int hostile_storm(void);

#ifdef __cplusplus
}
#endif

#endif
