/* The attempts themselves. Each is made as directly as it can be, and so that one that gets through does no
 * harm: signals are number 0, which asks for the right to send one and sends none. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "evil.h"

/* 0, or why a call failed. */
static int outcome(long result) { return result < 0 ? errno : 0; }

static int opened(const char* path, int flags) {
  const int file = open(path, flags, 0600);
  const int stopped = outcome(file);
  if (file >= 0) close(file);
  return stopped;
}

/* A file that was made is taken away again: what counts is that it could be made. */
static int made(const char* path) {
  const int stopped = opened(path, O_CREAT | O_WRONLY | O_EXCL);
  if (stopped == 0) unlink(path);
  return stopped;
}

static int made_socket(int family, int type) {
  const int descriptor = socket(family, type, 0);
  const int stopped = outcome(descriptor);
  if (descriptor >= 0) close(descriptor);
  return stopped;
}

static int child_of(long flags) {
  const long child = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) _exit(0);
  const int stopped = outcome(child);
  if (child > 0) waitpid((pid_t)child, NULL, 0);
  return stopped;
}

static void* do_nothing(void* unused) { return unused; }

static int started_thread(void) {
  pthread_t thread;
  const int stopped = pthread_create(&thread, NULL, do_nothing, NULL);
  if (stopped == 0) pthread_join(thread, NULL);
  return stopped;
}

static int wrote_own_memory(void) {
  static volatile int target = 1;
  int value = 2;
  struct iovec from = {&value, sizeof value};
  struct iovec to = {(void*)&target, sizeof value};
  return outcome(process_vm_writev(getpid(), &from, 1, &to, 1, 0));
}

static int read_first_process(void) {
  char byte;
  struct iovec here = {&byte, 1};
  struct iovec there = {(void*)0x400000, 1};
  return outcome(process_vm_readv(1, &here, 1, &there, 1, 0));
}

static int took_descriptor(void) {
  const int process = (int)syscall(SYS_pidfd_open, getppid() > 0 ? getppid() : 1, 0);
  if (process < 0) return errno;
  const int stopped = outcome(syscall(SYS_pidfd_getfd, process, 1, 0));
  close(process);
  return stopped;
}

static int raised_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return errno;
  limit.rlim_max += 1;
  limit.rlim_cur = limit.rlim_max;
  return outcome(setrlimit(RLIMIT_NOFILE, &limit));
}

static int mapped_executable(int with_protect) {
  const int rights = with_protect ? PROT_READ | PROT_WRITE : PROT_READ | PROT_WRITE | PROT_EXEC;
  void* page = mmap(NULL, 4096, rights, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno;
  const int stopped = with_protect ? outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC)) : 0;
  munmap(page, 4096);
  return stopped;
}

static int mapped(int flags) {
  void* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return errno;
  munmap(page, 4096);
  return 0;
}

static void survive(int signal_number) { (void)signal_number; }

static int caught_violations(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = survive;
  return outcome(sigaction(SIGSYS, &action, NULL));
}

/* getpid by the doors beside the common one. A number back means that it was open. */
static int other_door(int x32) {
#if defined(__x86_64__)
  long result;
  if (x32) {
    __asm__ volatile("syscall" : "=a"(result) : "a"(39L | 0x40000000L) : "rcx", "r11", "memory");
  } else {
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
  }
  return result > 0 ? 0 : (int)-result;
#else
  (void)x32;
  return ENOSYS;
#endif
}

static int used_up_descriptors(void) {
  static int taken[70000];
  int count = 0;
  int stopped = 0;
  while (count < 70000 && stopped == 0) {
    taken[count] = dup(2);
    stopped = outcome(taken[count]);
    if (stopped == 0) ++count;
  }
  while (count > 0) close(taken[--count]);
  return stopped;
}

static int try_file(int attack) {
  struct stat status;
  switch (attack) {
    case EVIL_READ_CANARY:
      return opened(EVIL_CANARY, O_RDONLY);
    case EVIL_WRITE_CANARY:
      return opened(EVIL_CANARY, O_WRONLY | O_TRUNC);
    case EVIL_CHMOD_CANARY:
      return outcome(chmod(EVIL_CANARY, 0777));
    case EVIL_STAT_CANARY:
      return outcome(stat(EVIL_CANARY, &status));
    case EVIL_READ_SHADOW:
      return opened("/etc/shadow", O_RDONLY);
    case EVIL_READ_ENVIRONMENT:
      return opened("/proc/1/environ", O_RDONLY);
    case EVIL_OWN_MEMORY_FILE:
      return opened("/proc/self/mem", O_RDWR);
    case EVIL_MAKE_TEMPORARY:
      return made("/tmp/tutti-evil");
    case EVIL_MAKE_SHARED:
      return made("/dev/shm/tutti-evil");
    default:
      return outcome(chroot("."));
  }
}

static int try_process(int attack) {
  static char* const arguments[] = {"/bin/sh", "-c", "exit 0", NULL};
  switch (attack) {
    case EVIL_EXEC:
      execv(arguments[0], arguments);
      return errno;
    case EVIL_FORK:
      return child_of(0);
    case EVIL_VFORK_CALL:
      return child_of(CLONE_VM | CLONE_VFORK);
    case EVIL_THREAD:
      return started_thread();
    case EVIL_KILL_ALL:
      return outcome(kill(-1, 0));
    case EVIL_KILL_PARENT:
      /* In a pid namespace of one's own the parent has no number. */
      return getppid() == 0 ? ESRCH : outcome(kill(getppid(), 0));
    case EVIL_KILL_FIRST:
      return outcome(kill(1, 0));
    case EVIL_TGKILL_FIRST:
      return outcome(syscall(SYS_tgkill, 1, 1, 0));
    case EVIL_PTRACE:
      return outcome(syscall(SYS_ptrace, 0x4206 /* PTRACE_SEIZE: stops nobody */, getppid(), 0, 0));
    case EVIL_READ_OTHER:
      return read_first_process();
    case EVIL_WRITE_OWN:
      return wrote_own_memory();
    case EVIL_TAKE_DESCRIPTOR:
      return took_descriptor();
    case EVIL_RENICE:
      return outcome(setpriority(PRIO_PROCESS, 0, -5));
    default:
      return raised_limit();
  }
}

static int try_network(int attack) {
  int pair[2];
  switch (attack) {
    case EVIL_TCP:
      return made_socket(AF_INET, SOCK_STREAM);
    case EVIL_UDP:
      return made_socket(AF_INET6, SOCK_DGRAM);
    case EVIL_UNIX:
      return made_socket(AF_UNIX, SOCK_STREAM);
    case EVIL_NETLINK:
      return made_socket(AF_NETLINK, SOCK_RAW);
    case EVIL_VSOCK:
      return made_socket(AF_VSOCK, SOCK_STREAM);
    default:
      return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  }
}

static int try_kernel(int attack) {
  static char nothing[256];
  switch (attack) {
    case EVIL_IO_URING:
      return outcome(syscall(SYS_io_uring_setup, 4, nothing));
    case EVIL_USERFAULTFD:
      return outcome(syscall(SYS_userfaultfd, 1));
    case EVIL_BPF:
      return outcome(syscall(SYS_bpf, 0, nothing, sizeof nothing));
    case EVIL_PERF:
      return outcome(syscall(SYS_perf_event_open, nothing, 0, -1, -1, 0));
    case EVIL_KEYCTL:
      return outcome(syscall(SYS_keyctl, 0, -3, 0));
    case EVIL_UNSHARE_USER:
      return outcome(unshare(CLONE_NEWUSER));
    case EVIL_CLONE_USER:
      return child_of(CLONE_NEWUSER);
    case EVIL_CLONE3:
      return outcome(syscall(SYS_clone3, nothing, 64));
    case EVIL_SETUID:
      return outcome(syscall(SYS_setuid, getuid() + 1));
    case EVIL_MEMFD:
      return outcome(memfd_create("evil", 0));
    case EVIL_SHMGET:
      return outcome(syscall(SYS_shmget, 0, 4096, 01600));
    default:
      return outcome(syscall(SYS_mq_open, "evil", O_CREAT | O_RDWR, 0600, NULL));
  }
}

int evil_try(int attack, void* inputs) {
  errno = 0;
  if (attack <= EVIL_NOTHING || attack >= EVIL_ATTACK_COUNT) return 0;
  if (attack <= EVIL_LEAVE_ROOT) return try_file(attack);
  if (attack <= EVIL_RAISE_LIMIT) return try_process(attack);
  if (attack <= EVIL_SOCKETPAIR) return try_network(attack);
  if (attack <= EVIL_MESSAGE_QUEUE) return try_kernel(attack);
  switch (attack) {
    case EVIL_MAP_EXECUTABLE:
      return mapped_executable(0);
    case EVIL_PROTECT_EXECUTABLE:
      return mapped_executable(1);
    case EVIL_CATCH_SIGSYS:
      return caught_violations();
    case EVIL_DUMPABLE:
      return outcome(syscall(SYS_prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0, 0));
    case EVIL_PUNCH_HOLES:
      return outcome(madvise((void*)((uintptr_t)inputs & ~(uintptr_t)4095), 4096, MADV_REMOVE));
    case EVIL_MAP_SHARED:
      return mapped(MAP_SHARED);
    case EVIL_MAP_GROWS_DOWN:
      return mapped(MAP_PRIVATE | MAP_GROWSDOWN);
    case EVIL_FORGET_DEATH:
      return outcome(syscall(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, 0, 0, 0, 0));
    case EVIL_INT80:
      return other_door(0);
    case EVIL_X32:
      return other_door(1);
    default:
      return used_up_descriptors();
  }
}
