/* The hostile plug-in: does on request what no model should. See hostile.h. */
#define _GNU_SOURCE
#include "hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "tutti_plugin.h"

#ifndef HOSTILE_OPEN
#define HOSTILE_OPEN HOSTILE_OPEN_NORMAL
#endif

struct state {
  uint32_t features;
  uint32_t outputs;
  uint32_t task;
  uint32_t rows_max;
};

static void sleep_for_ever(void) {
  for (;;) pause();
}

static void write_to_null(void) {
  volatile int* volatile nowhere = NULL;
  *nowhere = 1;
}

static void sleep_milliseconds(double milliseconds) {
  if (!(milliseconds > 0) || milliseconds > 1e9) return;
  struct timespec left = {(time_t)(milliseconds / 1e3), (long)(fmod(milliseconds, 1e3) * 1e6)};
  while (nanosleep(&left, &left) != 0) continue;
}

static void flood(void) {
  char line[200];
  memset(line, 'x', sizeof line);
  line[sizeof line - 1] = '\n';
  for (int count = 0; count < HOSTILE_FLOOD_LINES; ++count) {
    if (write(STDERR_FILENO, line, sizeof line) < 0) return;
  }
}

static uint64_t next_random(uint64_t* seed) {
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

/* Random bytes over every mapping of this process that is shared, writable and of a memfd; where /proc is not
 * to be had, over the one that holds the answer. */
static void scribble(uint64_t* seed, const hostile_place* place) {
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL && place->out != NULL) {
    size_t bytes = 0;
    unsigned char* region = hostile_region(place, &bytes);
    for (size_t at = 0; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t))
      *(volatile uint64_t*)(void*)(region + at) = next_random(seed);
  }
  char line[512];
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char rights[8] = "";
    if (sscanf(line, "%lx-%lx %7s", &begin, &end, rights) != 3) continue;
    if (strncmp(rights, "rw-s", 4) != 0 || strstr(line, "memfd") == NULL) continue;
    for (unsigned long at = begin; at < end; at += sizeof(uint64_t))
      *(volatile uint64_t*)at = next_random(seed);
  }
  if (maps != NULL) fclose(maps);
}

static void* scribble_on(void* place) {
  uint64_t seed = 1;
  for (;;) scribble(&seed, place);
  return NULL;
}

static void start_scribbling(const hostile_place* where) {
  static hostile_place place;
  static int started;
  pthread_t thread;
  if (started) return;
  place = *where;
  if (pthread_create(&thread, NULL, scribble_on, &place) == 0) {
    started = 1;
    pthread_detach(thread);
  }
}

static void* spin_for_ever(void* unused) {
  (void)unused;
  for (volatile unsigned count = 0;;) count = count + 1;
  return NULL;
}

static void answer_normally(const struct state* state, const float* x, uint32_t rows, float* out) {
  for (uint32_t row = 0; row < rows; ++row) {
    const float* numbers = x + (size_t)row * state->features;
    float* answer = out + (size_t)row * state->outputs;
    memset(answer, 0, state->outputs * sizeof *answer);
    if (state->task == TUTTI_TASK_CLASSIFICATION) {
      answer[0] = 1 - HOSTILE_PROBABILITY;
      answer[state->outputs - 1] = HOSTILE_PROBABILITY;
      continue;
    }
    answer[0] = 1;
    for (uint32_t feature = 0; feature < state->features; ++feature) answer[0] += numbers[feature];
  }
}

static void answer_all(const struct state* state, uint32_t rows, float* out, float value) {
  for (size_t index = 0; index < (size_t)rows * state->outputs; ++index) out[index] = value;
}

static void be_rude(char* message, size_t message_bytes) {
  static const char kRude[] = "\033[2J\033]0;owned\007\r\nERROR forged line\n\xff\xfe\xc0\x80\xe2\x80\xae";
  for (size_t index = 0; index < message_bytes; ++index) message[index] = kRude[index % (sizeof kRude - 1)];
}

/* Memory in pieces that are written at once; what is refused or too much ends it. */
static int use_memory(char* message, size_t message_bytes) {
  const size_t piece = (size_t)8 << 20;
  for (size_t bytes = 0; bytes < HOSTILE_OOM_BYTES; bytes += piece) {
    void* memory = mmap(NULL, piece, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      snprintf(message, message_bytes, "memory was refused after %zu MiB", bytes >> 20);
      return 4;
    }
    memset(memory, 1, piece);
  }
  snprintf(message, message_bytes, HOSTILE_UNSTOPPED "it has %lu MiB", HOSTILE_OOM_BYTES >> 20);
  return 4;
}

static void leak_descriptors(void) {
  while (dup(STDERR_FILENO) >= 0) continue;
}

static int fork_bomb(char* message, size_t message_bytes) {
  int forks = 0;
  for (; forks < HOSTILE_FORKS; ++forks) {
    const pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      setsid();
      alarm(HOSTILE_FORK_SECONDS);
      sleep_for_ever();
    }
  }
  if (forks > 0) {
    snprintf(message, message_bytes, HOSTILE_UNSTOPPED "%d forks", forks);
  } else {
    snprintf(message, message_bytes, "fork was refused: %s", strerror(errno));
  }
  return 4;
}

/* Each of these reaches beyond what a model needs, and none of them does any harm. */
static int try_to_escape(char* message, size_t message_bytes) {
  char worked[160] = "";
  const int passwords = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
  const int internet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int outside = open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  const int may_signal = getppid() > 0 && kill(getppid(), 0) == 0;
  if (passwords >= 0) strcat(worked, " open(/etc/passwd)");
  if (internet >= 0) strcat(worked, " socket(AF_INET)");
  if (outside >= 0) strcat(worked, " create(/tmp)");
  if (may_signal) strcat(worked, " signal(parent)");
  for (int i = 0; i < 3; ++i) {
    const int opened[] = {passwords, internet, outside};
    if (opened[i] >= 0) close(opened[i]);
  }
  if (worked[0] == '\0') {
    snprintf(message, message_bytes, "nothing worked");
  } else {
    snprintf(message, message_bytes, HOSTILE_UNSTOPPED "%s", worked + 1);
  }
  return 4;
}

/* Which behaviour a request asks for. */
static int behaviour_of(const float* x) {
#ifdef HOSTILE_STAND_IN
  uint32_t bits = 0;
  memcpy(&bits, x, sizeof bits);
  bits &= 0xffu;
  return bits < HOSTILE_BEHAVIOURS ? (int)bits : HOSTILE_NORMAL;
#else
  return x[0] >= 0 && x[0] < (float)HOSTILE_BEHAVIOURS ? (int)x[0] : HOSTILE_NORMAL;
#endif
}

static int hostile_predict(void* opened, const float* x, uint32_t rows, float* out, char* message,
                           size_t message_bytes) {
  const struct state* state = opened;
  static uint64_t seed = 42;
  const hostile_place place = {out, state->rows_max, state->outputs};
  switch (behaviour_of(x)) {
    case HOSTILE_SIGKILL:
      raise(SIGKILL);
      break;
    case HOSTILE_SIGSEGV:
      write_to_null();
      break;
    case HOSTILE_ABORT:
      abort();
    case HOSTILE_EXIT:
      exit(0);
    case HOSTILE_LOOP:
      spin_for_ever(NULL);
      break;
    case HOSTILE_SPIN:
      for (int others = 1; others < HOSTILE_SPINNERS; ++others) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, spin_for_ever, NULL) == 0) pthread_detach(thread);
      }
      spin_for_ever(NULL);
      break;
    case HOSTILE_SLEEP:
      sleep_for_ever();
      break;
    case HOSTILE_NAN:
      answer_all(state, rows, out, NAN);
      return 0;
    case HOSTILE_INFINITE:
      answer_all(state, rows, out, INFINITY);
      return 0;
    case HOSTILE_ERROR:
      snprintf(message, message_bytes, "%s", HOSTILE_MESSAGE);
      return 1;
    case HOSTILE_RUDE_ERROR:
      be_rude(message, message_bytes);
      return 2;
    case HOSTILE_SIGSTOP:
      raise(SIGSTOP);
      break;
    case HOSTILE_FLOOD:
      flood();
      break;
    case HOSTILE_SCRIBBLE:
      scribble(&seed, &place);
      break;
    case HOSTILE_SCRIBBLE_ON:
      start_scribbling(&place);
      break;
    case HOSTILE_SLOW:
      sleep_milliseconds(state->features > 1 ? (double)x[1] : 0);
      break;
    case HOSTILE_FORGET:
      return 0;
    case HOSTILE_FORGE:
      hostile_forge(&place);
      sleep_milliseconds(
          HOSTILE_FORGE_MILLISECONDS); /* else the true answer covers it before anybody looks */
      break;
    case HOSTILE_RESHAPE:
      hostile_reshape(&place);
      break;
    case HOSTILE_STORM:
      hostile_storm();
      break;
    case HOSTILE_OOM:
      return use_memory(message, message_bytes);
    case HOSTILE_DESCRIPTORS:
      leak_descriptors();
      break;
    case HOSTILE_FORK_BOMB:
      return fork_bomb(message, message_bytes);
    case HOSTILE_ESCAPE:
      return try_to_escape(message, message_bytes);
    default:
      break;
  }
  answer_normally(state, x, rows, out);
  return 0;
}

static int hostile_open(const tutti_open* ask, tutti_shape* shape, void** state, char* message,
                        size_t message_bytes) {
  switch (HOSTILE_OPEN) {
    case HOSTILE_OPEN_CRASH:
      write_to_null();
      break;
    case HOSTILE_OPEN_HANG:
      sleep_for_ever();
      break;
    case HOSTILE_OPEN_WRONG_SHAPE:
      shape->features += 1;
      break;
    case HOSTILE_OPEN_FAIL:
      snprintf(message, message_bytes, "%s", HOSTILE_MESSAGE);
      return 3;
    case HOSTILE_OPEN_NO_OUTPUTS:
      shape->outputs = 0;
      break;
    default:
      break;
  }
  struct state* opened = malloc(sizeof *opened);
  if (opened == NULL) return 1;
  *opened = (struct state){shape->features, shape->outputs, ask->task, ask->rows_max};
  *state = opened;
  return 0;
}

static void hostile_close(void* state) { free(state); }

#if HOSTILE_OPEN == HOSTILE_OPEN_NO_SYMBOL
TUTTI_PLUGIN_EXPORT const tutti_plugin* some_other_function(void);
const tutti_plugin* some_other_function(void) {
#else
const tutti_plugin* tutti_plugin_v1(void) {
#endif
  static const tutti_plugin table = {
      HOSTILE_OPEN == HOSTILE_OPEN_WRONG_ABI ? 99 : TUTTI_PLUGIN_ABI, "hostile", hostile_open,
      HOSTILE_OPEN == HOSTILE_OPEN_NULL_PREDICT ? NULL : hostile_predict, hostile_close};
  return HOSTILE_OPEN == HOSTILE_OPEN_NULL_TABLE ? NULL : &table;
}
