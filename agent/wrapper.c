/* wrapper.c
 *
 * The wrapper of wrapper.ts as a program, which does the same in the same order and leaves the same files. To start a shell takes
 * longer than all that the shell does then: it is loaded, linked with the C library, and copied to become the command. This is one
 * page without a library, and the command's process borrows its memory (vfork).
 *
 *   wrapper ANY ATTEMPT_DIR KILL_FILE|"" DEADLINE_FILE|"" "BOOT_ID MS_SINCE_EPOCH" PROCS_FILE... -- COMMAND ARG...
 *
 * What differs from the shell: variables with odd names need no special shell, and SIGINT and SIGPIPE are told as signals, like all others. And
 * the command is born into its v2 group, which the wrapper itself joins later, unless all is over by then (join_or_open says why).
 *
 * tools/build.mjs compiles it where there is a compiler; native-wrapper.ts finds it. For Linux, on x86-64 and 64-bit ARM.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define PATH_BYTES 4096
#define FAILED 125
/* Not for speed: where the command's process comes back from clone, it must leave the wrapper's stack as it is, return addresses included. */
#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n hlt\n");
INLINE long syscall5(long number, long a, long b, long c, long d, long e) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n mov x29, #0\n mov x30, #0\n mov x0, sp\n bl begin\n brk #1\n");
INLINE long syscall5(long number, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
#else
#error "no system calls for this machine"
#endif

static __attribute__((noreturn)) void end(int code) {
  for (;;) syscall5(SYS_exit_group, code, 0, 0, 0, 0);
}

static long open_file(const char *path, int flags) {
  return syscall5(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0600, 0);
}

/* Whether all of it was written. */
static int put(long file, const char *text, size_t length) {
  return syscall5(SYS_write, file, (long)text, (long)length, 0, 0) == (long)length;
}

static int put_file(const char *path, const char *text, size_t length) {
  long file = open_file(path, O_WRONLY);
  int done = file >= 0 && put(file, text, length);
  if (file >= 0) syscall5(SYS_close, file, 0, 0, 0, 0);
  return done;
}

/*
 * The kernel lets a process join a group only when nobody forks or exits meanwhile, and to make sure of that waits for a grace period of RCU: 5 to 15 ms
 * on an idle machine. Two ways lead around: a v1 group takes the one thread that asks for itself, and a v2 group has processes born into it.
 * https://docs.kernel.org/admin-guide/cgroup-v2.html, https://man7.org/linux/man-pages/man2/clone.2.html (CLONE_INTO_CGROUP)
 *
 * Joins the v1 group of the cgroup.procs file. Returns 0 when that was done, the descriptor of its directory when it is for children to be born into,
 * and -1 when there is no such group or the kernel refuses.
 */
static long join_or_open(char *procs_file, const char *pid, size_t length) {
  char *end_of_directory = procs_file;
  for (char *at = procs_file; *at; at++)
    if (*at == '/') end_of_directory = at;
  *end_of_directory = 0;
  long directory = open_file(procs_file, O_RDONLY | O_DIRECTORY);
  *end_of_directory = '/';
  if (directory < 0) return -1;
  long tasks = syscall5(SYS_openat, directory, (long)"tasks", O_WRONLY | O_CLOEXEC, 0, 0);
  if (tasks == -ENOENT) return directory;
  syscall5(SYS_close, directory, 0, 0, 0, 0);
  int joined = tasks >= 0 && put(tasks, "0", 1);
  if (tasks >= 0) syscall5(SYS_close, tasks, 0, 0, 0, 0);
  return joined || put_file(procs_file, pid, length) ? 0 : -1;
}

/* Returns where the text ends now, or NULL when it would not fit. */
static char *append(char *at, const char *limit, const char *text) {
  for (; at && *text; text++) {
    if (at >= limit) return NULL;
    *at++ = *text;
  }
  return at;
}

static char *append_number(char *at, const char *limit, unsigned long number) {
  char digits[24];
  char *first = digits + sizeof digits - 1;
  *first = 0;
  do *--first = (char)('0' + number % 10);
  while (number /= 10);
  return append(at, limit, first);
}

static int is_equal(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

/* Hundredths of a second since boot, as in /proc/uptime, are less than the number in the file. */
static int before_deadline(const char *path) {
  char text[32];
  struct timespec now;
  unsigned long deadline = 0;
  long file = open_file(path, O_RDONLY);
  long length = file < 0 ? 0 : syscall5(SYS_read, file, (long)text, sizeof text, 0, 0);
  if (file >= 0) syscall5(SYS_close, file, 0, 0, 0, 0);
  for (long i = 0; i < length && text[i] >= '0' && text[i] <= '9'; i++) deadline = deadline * 10 + (unsigned long)(text[i] - '0');
  if (syscall5(SYS_clock_gettime, CLOCK_BOOTTIME, (long)&now, 0, 0, 0) != 0) return 0;
  return (unsigned long)now.tv_sec * 100 + (unsigned long)now.tv_nsec / 10000000 < deadline;
}

/* Whether the file may be a script: shells look at its first line, too, lest they take a program of another machine for one. */
static int is_script(const char *path) {
  char start[128];
  long file = open_file(path, O_RDONLY);
  long length = file < 0 ? -1 : syscall5(SYS_read, file, (long)start, sizeof start, 0, 0);
  if (file >= 0) syscall5(SYS_close, file, 0, 0, 0, 0);
  for (long i = 0; i < length && start[i] != '\n'; i++)
    if (!start[i]) return 0;
  return length >= 0;
}

/* Becomes the command, in memory that the wrapper waits to have back: writes to nothing but its own stack, and that it has begun. */
static __attribute__((noinline, noreturn)) void become(char **command, char **environment, const unsigned long *mask, volatile char *begun) {
  size_t count = 0;
  *begun = 1;
  syscall5(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, 0, sizeof *mask, 0);
  long error = syscall5(SYS_execve, (long)command[0], (long)command, (long)environment, 0, 0);
  if (error == -ENOEXEC && is_script(command[0])) {
    /* A script that does not say by what: shells take it for one of theirs. */
    while (command[count]) count++;
    char *script[count + 2];
    script[0] = "/bin/sh";
    for (size_t i = 0; i <= count; i++) script[i + 1] = command[i];
    error = syscall5(SYS_execve, (long)script[0], (long)script, (long)environment, 0, 0);
  }
  char text[PATH_BYTES + 64];
  char *limit = text + sizeof text;
  char *at = append(text, limit - 32, command[0]);
  if (!at) at = append(text, limit, "the command");
  at = append(at, limit, error == -ENOENT ? ": not found\n" : error == -EACCES ? ": permission denied\n" : ": cannot be executed\n");
  put(2, text, (size_t)(at - text));
  end(error == -ENOENT ? 127 : 126);
}

__attribute__((noreturn, used)) void begin(long *stack) {
  char **arguments = (char **)(stack + 1);
  char **environment = arguments + stack[0] + 1;
  char text[PATH_BYTES];
  const char *limit = text + sizeof text - 1;
  char *at;
  /* Left pending for ever here, and unblocked in the command: a signal to the whole process group must not end the wrapper first. */
  const unsigned long blocked = 1UL << (SIGHUP - 1) | 1UL << (SIGINT - 1) | 1UL << (SIGQUIT - 1) | 1UL << (SIGUSR1 - 1) | 1UL << (SIGUSR2 - 1) | 1UL << (SIGPIPE - 1) |
                                1UL << (SIGALRM - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);
  const unsigned long ends = 1UL << (SIGCHLD - 1);
  const struct timespec briefly = {.tv_nsec = 20000000};
  unsigned long mask = 0;
  syscall5(SYS_rt_sigprocmask, SIG_BLOCK, (long)&blocked, (long)&mask, sizeof mask, 0);
  if (stack[0] < 8) end(FAILED);
  const char *directory = arguments[2], *kill_file = arguments[3], *fence = arguments[4], *boot = arguments[5];
  char **command = arguments + 6;

  long pid = syscall5(SYS_getpid, 0, 0, 0, 0, 0);
  /* The group that the command is to be born into: its cgroup.procs, and the descriptor of its directory. */
  const char *births = NULL;
  long group = 0;
  char pid_text[24];
  size_t pid_length = (size_t)(append_number(pid_text, pid_text + sizeof pid_text, (unsigned long)pid) - pid_text);
  for (; *command && !is_equal(*command, "--"); command++) {
    long found = join_or_open(*command, pid_text, pid_length);
    if (found < 0) end(FAILED);
    if (found > 0) group = found, births = *command;
  }
  if (!*command || !*++command) end(FAILED);

  at = append(append(text, limit, directory), limit, "/run");
  if (!at) end(FAILED);
  *at = 0;
  long run = open_file(text, O_WRONLY | O_CREAT | O_EXCL | O_APPEND);
  if (run < 0) end(FAILED);
  at = append(append(append(append_number(text, limit, (unsigned long)pid), limit, " "), limit, boot), limit, "\n");
  if (!at || !put(run, text, (size_t)(at - text))) end(FAILED);
  if (*fence && !before_deadline(fence)) end(FAILED);

  long child = -ENOSYS;
  int joined = 1, status = 126 << 8;
  volatile char begun = 0;
  if (births) {
    struct clone_args how;
    /* Not an initializer, for which compilers may call a memset that nobody has. */
    for (__u64 *field = (__u64 *)&how; field < (__u64 *)(&how + 1); field++) *field = 0;
    how.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP;
    how.exit_signal = SIGCHLD;
    how.cgroup = (__u64)group;
    child = syscall5(SYS_clone3, (long)&how, sizeof how, 0, 0, 0);
    if (child == 0) become(command, environment, &mask, &begun);
    /*
     * Linux (6.18 for one) kills at birth when cgroup.kill was ever written in our own group, or in the new one: to find a kill during the birth it
     * compares how many there were, in the one before and in the other after. Such a child has not run an instruction; and agent and watchdog end the
     * wrapper before they kill the group.
     */
    if (child > 0 && !begun) {
      while (syscall5(SYS_wait4, child, 0, 0, 0, 0) == -EINTR) continue;
      child = -EAGAIN;
    }
    /* The wrapper follows, unless it is all over by then. It goes first where the kernel (before 5.7) or a sandbox does not know of births, too. */
    if (child > 0) syscall5(SYS_rt_sigtimedwait, (long)&ends, 0, (long)&briefly, sizeof ends, 0);
    if (child < 0 || syscall5(SYS_wait4, child, (long)&status, WNOHANG, 0, 0) == 0) joined = put_file(births, pid_text, pid_length);
    else child = 0;
  }
  /* The arguments of clone are the same on both machines as long as only the first two are used. */
  if (child < 0 && joined) {
    child = syscall5(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) become(command, environment, &mask, &begun);
  }
  /* No command has ended, so there is no exit code: the attempt is lost, as it is when a shell cannot fork. */
  if (child < 0) {
    put(run, joined ? "cannot fork\n" : "cannot join its cgroup\n", joined ? 12 : 23);
    end(FAILED);
  }
  while (child > 0 && syscall5(SYS_wait4, child, (long)&status, 0, 0, 0) == -EINTR) continue;

  int signal = status & 0x7f;
  at = text;
  if (signal) at = append(append_number(append(at, limit, "signal "), limit, (unsigned long)signal), limit, "\n");
  at = append(append_number(at, limit, (unsigned long)(signal ? 128 + signal : status >> 8 & 0xff)), limit, "\n");
  put(run, text, (size_t)(at - text));
  if (*kill_file) put_file(kill_file, "1", 1);
  syscall5(SYS_kill, 0, SIGKILL, 0, 0, 0);
  end(FAILED);
}
