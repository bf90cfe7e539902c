/* What the evil test plug-in tries, one attack a request: feature 0 of the first row says which.
 *
 * The probability that it answers is 0 when the attack got through, else the errno that stopped it divided by
 * EVIL_ERROR_SCALE; an attack that costs it its life leaves no answer. The same attempts are made by
 * cage_test.cpp without a supervisor. */
#ifndef TUTTI_TESTS_EVIL_H
#define TUTTI_TESTS_EVIL_H

#ifdef __cplusplus
extern "C" {
#endif

#define EVIL_ERROR_SCALE 256.0F

enum evil_attack {
  EVIL_NOTHING = 0, /* behaves: answers 0 */
  /* files */
  EVIL_READ_CANARY,  /* a file beside its model, readable for everybody */
  EVIL_WRITE_CANARY, /* the same, for writing */
  EVIL_CHMOD_CANARY,
  EVIL_STAT_CANARY,
  EVIL_READ_SHADOW,
  EVIL_READ_ENVIRONMENT, /* /proc/1/environ */
  EVIL_OWN_MEMORY_FILE,  /* /proc/self/mem, for writing */
  EVIL_MAKE_TEMPORARY,   /* a file in /tmp */
  EVIL_MAKE_SHARED,      /* a file in /dev/shm */
  EVIL_LEAVE_ROOT,       /* chroot(".") */
  /* processes */
  EVIL_EXEC, /* /bin/sh */
  EVIL_FORK,
  EVIL_VFORK_CALL, /* clone with CLONE_VM and CLONE_VFORK */
  EVIL_THREAD,     /* a thread: no attack; models that may start threads get one */
  EVIL_KILL_ALL,   /* kill(-1) */
  EVIL_KILL_PARENT,
  EVIL_KILL_FIRST, /* process 1 */
  EVIL_TGKILL_FIRST,
  EVIL_PTRACE,          /* attaches to the parent */
  EVIL_READ_OTHER,      /* process_vm_readv of process 1 */
  EVIL_WRITE_OWN,       /* process_vm_writev of itself */
  EVIL_TAKE_DESCRIPTOR, /* pidfd_open and pidfd_getfd of the parent */
  EVIL_RENICE,
  EVIL_RAISE_LIMIT, /* RLIMIT_NOFILE to the hard limit and beyond */
  /* network */
  EVIL_TCP,
  EVIL_UDP,
  EVIL_UNIX,
  EVIL_NETLINK,
  EVIL_VSOCK,
  EVIL_SOCKETPAIR,
  /* kernel interfaces */
  EVIL_IO_URING,
  EVIL_USERFAULTFD,
  EVIL_BPF,
  EVIL_PERF,
  EVIL_KEYCTL,
  EVIL_UNSHARE_USER,
  EVIL_CLONE_USER, /* clone(CLONE_NEWUSER) */
  EVIL_CLONE3,
  EVIL_SETUID,
  EVIL_MEMFD,
  EVIL_SHMGET,
  EVIL_MESSAGE_QUEUE,
  /* itself */
  EVIL_MAP_EXECUTABLE,
  EVIL_PROTECT_EXECUTABLE,
  EVIL_CATCH_SIGSYS, /* a handler of its own for the signal that forbidden calls bring */
  EVIL_DUMPABLE,
  EVIL_PUNCH_HOLES,        /* madvise(MADV_REMOVE) over its inputs */
  EVIL_INT80,              /* the 32-bit door */
  EVIL_X32,                /* the x32 door */
  EVIL_USE_UP_DESCRIPTORS, /* dup until it is refused */
  EVIL_MAP_SHARED,         /* memory that its limit does not count */
  EVIL_MAP_GROWS_DOWN,     /* the same, as a stack that grows */
  EVIL_FORGET_DEATH,       /* to outlive who made it */
  EVIL_ATTACK_COUNT
};

/* Tries one. 0: it got through. Else the errno that stopped it. */
int evil_try(int attack, void* inputs);

#ifdef __cplusplus
}
#endif
#endif
