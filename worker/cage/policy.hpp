// Which system calls each stage names. Read filter.hpp first.
#pragma once

#include <sys/syscall.h>

#include <initializer_list>

#include "worker/cage/filter.hpp"

namespace tutti::cage {

constexpr void set(Policy& policy, Verdict verdict, std::initializer_list<long> calls) {
  for (const long call : calls) policy[static_cast<std::size_t>(call)] = verdict;
}

/// Only an attack, or a program that is no model, asks for these: death in every stage.
constexpr void name_attacks(Policy& policy) {
  set(policy, Verdict::kill,
      {SYS_ptrace,
       SYS_process_vm_readv,
       SYS_process_vm_writev,
       SYS_pidfd_getfd,
       SYS_pidfd_send_signal,
       SYS_process_madvise,
       SYS_process_mrelease,
       SYS_kcmp,
       SYS_io_uring_setup,
       SYS_io_uring_enter,
       SYS_io_uring_register,
       SYS_userfaultfd,
       SYS_bpf,
       SYS_perf_event_open,
       SYS_mount,
       SYS_umount2,
       SYS_pivot_root,
       SYS_chroot,
       SYS_move_mount,
       SYS_open_tree,
       SYS_fsopen,
       SYS_fsconfig,
       SYS_fsmount,
       SYS_fspick,
       SYS_mount_setattr,
       SYS_unshare,
       SYS_setns,
       SYS_keyctl,
       SYS_add_key,
       SYS_request_key,
       SYS_kexec_load,
       SYS_init_module,
       SYS_finit_module,
       SYS_delete_module,
       SYS_reboot,
       SYS_swapon,
       SYS_swapoff,
       SYS_memfd_create,
       SYS_memfd_secret,
       SYS_personality,
       SYS_quotactl,
       SYS_quotactl_fd,
       SYS_open_by_handle_at,
       SYS_name_to_handle_at,
       SYS_acct,
       SYS_settimeofday,
       SYS_clock_settime,
       SYS_clock_adjtime,
       SYS_adjtimex,
       SYS_sethostname,
       SYS_setdomainname,
       SYS_syslog,
       SYS_vhangup,
       SYS_lookup_dcookie,
       SYS_fanotify_init,
       SYS_fanotify_mark,
       SYS_migrate_pages,
       SYS_move_pages,
       SYS_execve,
       SYS_execveat});
#if defined(__x86_64__)
  set(policy, Verdict::kill, {SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_kexec_file_load});
#endif
}

/// Memory, time, waiting, own threads and signals, descriptors that are there: what serving needs.
constexpr void name_serving(Policy& policy) {
  set(policy, Verdict::allow,
      {SYS_read,
       SYS_write,
       SYS_readv,
       SYS_writev,
       SYS_close,
       SYS_lseek,
       SYS_munmap,
       SYS_mremap,
       SYS_brk,
       SYS_mincore,
       SYS_membarrier,
       SYS_futex,
       SYS_futex_waitv,
       SYS_set_robust_list,
       SYS_get_robust_list,
       SYS_rseq,
       SYS_set_tid_address,
       SYS_clock_gettime,
       SYS_clock_getres,
       SYS_clock_nanosleep,
       SYS_nanosleep,
       SYS_gettimeofday,
       SYS_times,
       SYS_getrusage,
       SYS_sched_yield,
       SYS_sched_getaffinity,
       SYS_sched_getscheduler,
       SYS_sched_getparam,
       SYS_getcpu,
       SYS_getpid,
       SYS_gettid,
       SYS_getppid,
       SYS_getuid,
       SYS_geteuid,
       SYS_getgid,
       SYS_getegid,
       SYS_rt_sigprocmask,
       SYS_rt_sigreturn,
       SYS_rt_sigpending,
       SYS_rt_sigsuspend,
       SYS_rt_sigtimedwait,
       SYS_sigaltstack,
       SYS_restart_syscall,
       SYS_exit,
       SYS_exit_group,
       SYS_ppoll,
       SYS_pselect6,
       SYS_epoll_create1,
       SYS_epoll_ctl,
       SYS_epoll_pwait,
       SYS_getrandom,
       SYS_uname,
       SYS_sysinfo,
       SYS_getpriority});
  set(policy, Verdict::no_execute, {SYS_mprotect});
  set(policy, Verdict::counted_data, {SYS_mmap});
  set(policy, Verdict::not_remove, {SYS_madvise});
  set(policy, Verdict::not_our_handler, {SYS_rt_sigaction});
  set(policy, Verdict::own_process, {SYS_kill, SYS_tgkill});
  set(policy, Verdict::harmless_option, {SYS_prctl});
  set(policy, Verdict::terminal_question, {SYS_ioctl});
  set(policy, Verdict::descriptor_question, {SYS_fcntl});
  set(policy, Verdict::ask_only, {SYS_prlimit64});
  // A model that looks for a file late is told that there is none: it may go on without.
  set(policy, Verdict::no_file,
      {SYS_openat, SYS_openat2, SYS_faccessat, SYS_faccessat2, SYS_newfstatat, SYS_fstat, SYS_statx,
       SYS_statfs, SYS_fstatfs, SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_chdir});
  set(policy, Verdict::refuse,
      {SYS_sched_setaffinity, SYS_sched_setscheduler, SYS_sched_setparam, SYS_setpriority, SYS_mlock,
       SYS_munlock, SYS_mlock2, SYS_mbind, SYS_set_mempolicy, SYS_get_mempolicy, SYS_fsync, SYS_fdatasync,
       SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_dup, SYS_dup3, SYS_pipe2});
  set(policy, Verdict::not_there, {SYS_clone3});
#if defined(__x86_64__)
  set(policy, Verdict::allow,
      {SYS_poll, SYS_select, SYS_epoll_wait, SYS_epoll_create, SYS_pause, SYS_time, SYS_arch_prctl});
  set(policy, Verdict::no_file, {SYS_open, SYS_creat, SYS_access, SYS_stat, SYS_lstat, SYS_readlink});
  set(policy, Verdict::refuse, {SYS_dup2, SYS_pipe});
#endif
}

/// Beside that, what loaders, interpreters and the template itself need. Files are Landlock's and the view's.
constexpr void name_loading(Policy& policy) {
  set(policy, Verdict::allow,
      {SYS_openat,
       SYS_openat2,
       SYS_faccessat,
       SYS_faccessat2,
       SYS_newfstatat,
       SYS_fstat,
       SYS_statx,
       SYS_statfs,
       SYS_fstatfs,
       SYS_readlinkat,
       SYS_getdents64,
       SYS_getcwd,
       SYS_chdir,
       SYS_pread64,
       SYS_preadv,
       SYS_preadv2,
       SYS_pwrite64,
       SYS_mprotect,
       SYS_msync,
       SYS_dup,
       SYS_dup3,
       SYS_pipe2,
       SYS_eventfd2,
       SYS_timerfd_create,
       SYS_timerfd_settime,
       SYS_timerfd_gettime,
       SYS_sendmsg,
       SYS_recvmsg,
       SYS_sendto,
       SYS_recvfrom,
       SYS_getsockopt,
       SYS_getsockname,
       SYS_shutdown,
       SYS_wait4,
       SYS_waitid,
       SYS_setitimer,
       SYS_getitimer,
       SYS_timer_create,
       SYS_timer_settime,
       SYS_timer_gettime,
       SYS_timer_getoverrun,
       SYS_timer_delete,
       SYS_sched_setaffinity,
       SYS_sched_get_priority_max,
       SYS_sched_get_priority_min,
       SYS_sched_getattr,
       SYS_mlock,
       SYS_munlock,
       SYS_mlock2,
       SYS_get_mempolicy,
       SYS_getpgid,
       SYS_getsid,
       SYS_getresuid,
       SYS_getresgid,
       SYS_getgroups,
       SYS_capget,
       SYS_umask,
       SYS_fadvise64,
       SYS_readahead,
       SYS_seccomp,
       SYS_landlock_create_ruleset,
       SYS_landlock_add_rule,
       SYS_landlock_restrict_self,
       SYS_close_range});
  set(policy, Verdict::refuse,
      {SYS_rt_sigqueueinfo, SYS_socket,   SYS_socketpair, SYS_connect,     SYS_bind,          SYS_listen,
       SYS_accept,          SYS_accept4,  SYS_setsockopt, SYS_getpeername, SYS_setuid,        SYS_setgid,
       SYS_setreuid,        SYS_setregid, SYS_setresuid,  SYS_setresgid,   SYS_setgroups,     SYS_capset,
       SYS_mkdirat,         SYS_unlinkat, SYS_renameat2,  SYS_linkat,      SYS_symlinkat,     SYS_mknodat,
       SYS_fchmod,          SYS_fchmodat, SYS_fchown,     SYS_fchownat,    SYS_utimensat,     SYS_setxattr,
       SYS_fsetxattr,       SYS_truncate, SYS_shmget,     SYS_shmat,       SYS_msgget,        SYS_semget,
       SYS_mq_open,         SYS_flock,    SYS_setsid,     SYS_setpgid,     SYS_inotify_init1, SYS_signalfd4,
       SYS_pidfd_open});
  // Pids are bound by namespace, uid and Landlock. Binding them here would bind the isolates, whose filter is
  // laid over this one, to the pid of their template.
  set(policy, Verdict::allow, {SYS_kill, SYS_tgkill});
  // Code generated while loading (trees compiled to machine code) may be mapped; it cannot be once serving
  // begins.
  set(policy, Verdict::counted, {SYS_mmap});
  // Threads, and the fork that makes an isolate; a model has no use for processes of its own.
  set(policy, Verdict::threads_and_isolates, {SYS_clone});
#if defined(__x86_64__)
  set(policy, Verdict::allow,
      {SYS_open, SYS_access, SYS_stat, SYS_lstat, SYS_readlink, SYS_dup2, SYS_pipe, SYS_alarm, SYS_getpgrp});
  set(policy, Verdict::refuse,
      {SYS_creat, SYS_mkdir, SYS_unlink, SYS_rename, SYS_link, SYS_symlink, SYS_chmod, SYS_chown, SYS_lchown,
       SYS_utimes, SYS_fork, SYS_vfork});
#endif
}

constexpr Policy make_policy(Profile profile) {
  Policy policy{};
  if (profile == Profile::companion) {
    set(policy, Verdict::allow, {SYS_ppoll, SYS_exit_group, SYS_exit, SYS_restart_syscall, SYS_rt_sigreturn});
#if defined(__x86_64__)
    set(policy, Verdict::allow, {SYS_poll});
#endif
    return policy;
  }
  name_serving(policy);
  if (profile == Profile::load) name_loading(policy);
  if (profile == Profile::serve_with_threads) set(policy, Verdict::threads_only, {SYS_clone});
  name_attacks(policy);
  return policy;
}

}  // namespace tutti::cage
