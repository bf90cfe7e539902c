/* A model as a shared library: the C interface between tutti and a plug-in.
 *
 *   my_model.so ──dlopen──▶ tutti_plugin_v1() ──▶ tutti_plugin { open, predict, close }
 *
 * Build a shared library that exports `tutti_plugin_v1` and name it as a member's model:
 *
 *   cc -shared -fPIC -I<tutti's include directory> my_model.c -o my_model.so
 *
 * examples/plugin/threshold.c is a whole model in about thirty lines.
 *
 * One process per member loads the library and opens one state in it; each isolate is a fork of that process,
 * with its own copy of the state. One thread makes all calls, one after the other; another isolate's calls
 * happen in another process. A library that does not survive a fork (its state is a connection, a device)
 * exports `const uint32_t tutti_plugin_never_fork = 1;` with TUTTI_PLUGIN_EXPORT; then, and when open()
 * leaves threads running, every isolate loads it for itself. The process has an empty environment and may
 * have no file system and no network, so a plug-in best carries its weights within itself. A plug-in that
 * crashes, hangs or scribbles costs its own isolate and nobody else's.
 *
 * This interface never changes. A later one will have another number and another exported name.
 */
#ifndef TUTTI_PLUGIN_H
#define TUTTI_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TUTTI_PLUGIN_ABI 1u
#define TUTTI_PLUGIN_SYMBOL "tutti_plugin_v1"
#define TUTTI_PLUGIN_NEVER_FORK_SYMBOL "tutti_plugin_never_fork"

/* The tasks of an ensemble. */
#define TUTTI_TASK_CLASSIFICATION 0u
#define TUTTI_TASK_REGRESSION 1u

/* What the numbers of one output row mean. */
#define TUTTI_MEANS_VALUE 0u         /* regression: one number */
#define TUTTI_MEANS_PROBABILITIES 1u /* one number a class, two classes or more, together 1 */
#define TUTTI_MEANS_PROBABILITY 2u   /* one number: the probability of the second of two classes */
#define TUTTI_MEANS_CLASS_INDEX 3u   /* one number: the winning class, counted from 0 */

/* What tutti asks for. Valid during open() only: copy what is needed later. */
typedef struct tutti_open {
  uint32_t abi;       /* TUTTI_PLUGIN_ABI of the tutti that asks */
  uint32_t task;      /* TUTTI_TASK_… */
  uint32_t features;  /* columns of an input row */
  uint32_t outputs;   /* the ensemble's classes, or 1 for regression */
  uint32_t rows_max;  /* predict() is never asked for more rows than this: allocate scratch for it here */
  const char* path;   /* of the shared library, absolute */
  const char* params; /* the member's parameters as text; "" when it has none */
} tutti_open;

/* What the plug-in gives. open() finds in it what the ensemble asks for (classification: probabilities) and
 * changes what differs: a plug-in that fits any ensemble leaves it alone. If features or outputs cannot be
 * matched with the ensemble, the member does not start and the error names both numbers. */
typedef struct tutti_shape {
  uint32_t features;
  uint32_t outputs;
  uint32_t means; /* TUTTI_MEANS_… */
} tutti_shape;

typedef struct tutti_plugin {
  uint32_t abi;     /* TUTTI_PLUGIN_ABI as the plug-in was compiled with */
  const char* name; /* for errors and logs: "my-model 1.2" */

  /* Makes a state. Returns 0 and stores it (NULL will do), or another number and writes why into `message`:
   * text in UTF-8, ended by a NUL, in at most `message_bytes` bytes. After a failure close() is not called.
   */
  int (*open)(const tutti_open* ask, tutti_shape* shape, void** state, char* message, size_t message_bytes);

  /* Predicts.
   *   x     [rows][features], row by row, read-only; NaN is a missing number; rows >= 1
   *   out   [rows][outputs]; every number must be written
   * Returns 0, or another number and writes why, as open() does: the request then fails for this member
   * alone, and the state stays in use. */
  int (*predict)(void* state, const float* x, uint32_t rows, float* out, char* message, size_t message_bytes);

  /* Frees the state. Called once, and not when the process is killed. */
  void (*close)(void* state);
} tutti_plugin;

#define TUTTI_PLUGIN_EXPORT __attribute__((visibility("default")))

/* The one exported function. The table it returns must stay valid as long as the library is loaded. */
TUTTI_PLUGIN_EXPORT const tutti_plugin* tutti_plugin_v1(void);

#ifdef __cplusplus
}
#endif

#endif
