/* A member that always behaves: it gives both classes one half, whatever it is asked.
 *
 * Built under other names it does one thing beside that at open(): see CMakeLists.txt. STEADY_LIE is what it
 * sends over the worker's control socket, as a correct worker never does. Built with STEADY_DIES_OF it aborts
 * over any row whose first number is that. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tutti_plugin.h"

#define STEADY_LIE_SHORT 1      /* five bytes */
#define STEADY_LIE_DESCRIPTOR 2 /* a descriptor */
#define STEADY_LIE_BORN 3       /* that it is an isolate nobody ordered */
#define STEADY_LIE_TWICE 4      /* that it has the model, before it has */
#define STEADY_LIE_LOADING 5    /* that it loads, once more, and has no walls now */

#ifdef STEADY_NEVER_FORK
TUTTI_PLUGIN_EXPORT const uint32_t tutti_plugin_never_fork = 1;
#endif

#ifdef STEADY_NEEDS
/* From library.c, which lies in another folder. */
float steady_answer(void);
#else
static float steady_answer(void) { return 0.5F; }
#endif

#ifdef STEADY_DIES_OF
static uint32_t columns;
#endif

#ifdef STEADY_THREAD
static void* sleep_for_ever(void* nothing) {
  for (;;) pause();
  return nothing;
}
#endif

#ifdef STEADY_LIE
/* The first words of a Notice; see shared/control.hpp. */
struct lie {
  uint64_t magic;
  uint32_t version, kind, isolate, generation;
  char rest[1576];
};

static void tell_lie(void) {
  const uint32_t kind = STEADY_LIE == STEADY_LIE_BORN ? 4 : STEADY_LIE == STEADY_LIE_LOADING ? 1 : 2;
  struct lie lie = {0x69747475742e31u, 5, kind, 999, 1, {0}};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&lie, STEADY_LIE == STEADY_LIE_SHORT ? 5 : sizeof lie};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (STEADY_LIE == STEADY_LIE_DESCRIPTOR) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memset(CMSG_DATA(rights), 0, sizeof(int));
  }
  sendmsg(3, &message, 0);
}
#endif

static int steady_open(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
                       size_t message_bytes) {
  (void)ask, (void)message, (void)message_bytes;
#ifdef STEADY_HIDES
  for (int i = 0; i < 8; ++i) {
    if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL) == 0) {
      for (;;) pause();
    }
  }
#endif
#ifdef STEADY_THREAD
  pthread_t thread;
  pthread_create(&thread, NULL, sleep_for_ever, NULL);
#endif
#ifdef STEADY_LIE
  tell_lie();
#endif
#ifdef STEADY_DIES_OF
  columns = shape->features;
#endif
  shape->outputs = 1;
  shape->means = TUTTI_MEANS_PROBABILITY;
  *state = NULL;
  return 0;
}

static int steady_predict(void* state, const float* x, uint32_t rows, float* out, char* message,
                          size_t message_bytes) {
  (void)state, (void)x, (void)message, (void)message_bytes;
#ifdef STEADY_DIES_OF
  for (uint32_t row = 0; row < rows; ++row) {
    if (x[(size_t)row * columns] == STEADY_DIES_OF) abort();
  }
#endif
  for (uint32_t row = 0; row < rows; ++row) out[row] = steady_answer();
  return 0;
}

static void steady_close(void* state) { (void)state; }

const tutti_plugin* tutti_plugin_v1(void) {
  static const tutti_plugin table = {TUTTI_PLUGIN_ABI, "steady 1", steady_open, steady_predict, steady_close};
  return &table;
}
