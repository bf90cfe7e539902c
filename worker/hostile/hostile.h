/* What the hostile plug-in does, by request.
 *
 * One source, built twice:
 *   test_plugins/hostile.so   feature 0 of a request's first row, a whole number, says which
 *   hostile.so                with HOSTILE_STAND_IN: the lowest eight bits of that float say which, so that
 * any row of any ensemble can carry it; what `tutti stress` adds to an ensemble Nothing but requests reach
 * it: no file, no variable, no right that another plug-in lacks. The same source built under other names
 * misbehaves earlier; see tests/plugins/CMakeLists.txt. */
#ifndef TUTTI_HOSTILE_H
#define TUTTI_HOSTILE_H

enum hostile_behaviour {
  HOSTILE_NORMAL = 0,  /* regression: 1 + the row's sum; classification: the fixed probability below */
  HOSTILE_SIGKILL = 1, /* raises SIGKILL */
  HOSTILE_SIGSEGV = 2, /* writes to a null pointer */
  HOSTILE_ABORT = 3,
  HOSTILE_EXIT = 4,         /* exit(0) */
  HOSTILE_LOOP = 5,         /* for ever, on the processor */
  HOSTILE_SLEEP = 6,        /* for ever, asleep */
  HOSTILE_NAN = 7,          /* answers NaN */
  HOSTILE_INFINITE = 8,     /* answers +infinity */
  HOSTILE_ERROR = 9,        /* returns 1 with the message HOSTILE_MESSAGE */
  HOSTILE_RUDE_ERROR = 10,  /* returns 2 with escape sequences, newlines and invalid UTF-8 that no NUL ends */
  HOSTILE_SIGSTOP = 11,     /* stops itself; continued, it answers as normal */
  HOSTILE_FLOOD = 12,       /* HOSTILE_FLOOD_LINES lines on stderr, then as normal */
  HOSTILE_SCRIBBLE = 13,    /* random bytes over every writable shared memfd mapping once, then as normal */
  HOSTILE_SCRIBBLE_ON = 14, /* the same from a thread, for ever, while it answers as normal from now on */
  HOSTILE_SLOW = 15,        /* sleeps feature 1 milliseconds, then as normal */
  HOSTILE_FORGET = 16,      /* returns 0 and writes nothing */
  HOSTILE_FORGE = 17,       /* publishes an answer to a request that was never asked, waits, then as normal */
  HOSTILE_RESHAPE = 18,     /* from a thread, for ever: its answers' rows and outputs change; as normal */
  HOSTILE_STORM = 19,       /* from a thread, for ever: rings its doorbell; as normal */
  HOSTILE_OOM = 20, /* writes memory until it is ended, or HOSTILE_OOM_BYTES; then returns 4 and says so */
  HOSTILE_DESCRIPTORS = 21, /* opens descriptors until refused and keeps them, then as normal */
  HOSTILE_FORK_BOMB = 22, /* forks until refused, HOSTILE_FORKS times at most; returns 4 and says how often it
                             worked. Each child ends after HOSTILE_FORK_SECONDS */
  HOSTILE_ESCAPE = 23,    /* tries what no model may do, harmlessly; returns 4 and says what worked */
  HOSTILE_SPIN = 24,      /* for ever, on every processor: HOSTILE_SPINNERS threads */
  HOSTILE_BEHAVIOURS = 25
};

#define HOSTILE_MESSAGE "hostile: refused as asked"
/* What the message begins with when an attack was not stopped. */
#define HOSTILE_UNSTOPPED "not stopped: "
/* Of the last class; the first has the rest, those between have 0. */
#define HOSTILE_PROBABILITY 0.75F
#define HOSTILE_FLOOD_LINES 100000
#define HOSTILE_SPINNERS 8
#define HOSTILE_OOM_BYTES (512ul << 20)
#define HOSTILE_FORKS 64
#define HOSTILE_FORGE_MILLISECONDS 20
#define HOSTILE_FORK_SECONDS 5

/* What a build of it does before any request: the value of HOSTILE_OPEN. */
#define HOSTILE_OPEN_NORMAL 0
#define HOSTILE_OPEN_NO_SYMBOL 1    /* no_symbol.so: exports nothing */
#define HOSTILE_OPEN_WRONG_ABI 2    /* wrong_abi.so: ABI 99 */
#define HOSTILE_OPEN_CRASH 3        /* crash_at_open.so: SIGSEGV */
#define HOSTILE_OPEN_HANG 4         /* hang_at_open.so: sleeps for ever */
#define HOSTILE_OPEN_WRONG_SHAPE 5  /* wrong_shape.so: one feature more than asked for */
#define HOSTILE_OPEN_FAIL 6         /* fail_at_open.so: returns 3 with HOSTILE_MESSAGE */
#define HOSTILE_OPEN_NO_OUTPUTS 7   /* no_outputs.so: reports 0 outputs */
#define HOSTILE_OPEN_NULL_PREDICT 8 /* null_predict.so: the table lacks predict */
#define HOSTILE_OPEN_NULL_TABLE 9   /* null_table.so: returns no table */

#endif
