// Breaks a program at a chosen one of its writes. Loaded into it by LD_PRELOAD; what it starts is left alone.
//
//   FAULTS_UNDER=directories  the calls that count are those that change something below them; ':' between
//   FAULTS_AT=n               the call to break, from 1; 0 or nothing breaks none
//   FAULTS_DO=kill            the program is killed before that call
//             full            that call and every later one that takes space fail: ENOSPC
//   FAULTS_LOG=file           one line a call that counts: number, what, path
//
// What is written through a mapping (SQLite's shared index) is not seen.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long at;
static int full;
static int log_fd = -1;
static char under[8][PATH_MAX];
static int under_count;

__attribute__((constructor)) static void begin(void) {
  unsetenv("LD_PRELOAD");
  const char *text = getenv("FAULTS_AT");
  at = text ? atol(text) : 0;
  text = getenv("FAULTS_DO");
  full = text && strcmp(text, "full") == 0;
  char *copy = strdup(getenv("FAULTS_UNDER") ? getenv("FAULTS_UNDER") : "");
  for (char *one = strtok(copy, ":"); one && under_count < 8; one = strtok(NULL, ":"))
    snprintf(under[under_count++], PATH_MAX, "%s/", one);
  free(copy);
  if ((text = getenv("FAULTS_LOG")))
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

// Whether the call shall fail for lack of space. `frees` says that it gives space back, so it never does.
static int breaks(const char *what, const char *path, int frees) {
  int counts = 0;
  for (int i = 0; i < under_count; ++i) counts |= strncmp(path, under[i], strlen(under[i])) == 0;
  if (!counts) return 0;
  const long number = ++calls;
  if (log_fd >= 0) {
    char line[PATH_MAX + 64];
    const int size = snprintf(line, sizeof line, "%ld %s %s\n", number, what, path);
    syscall(SYS_write, log_fd, line, size);
  }
  if (at == 0 || number < at) return 0;
  if (!full) syscall(SYS_kill, getpid(), SIGKILL);
  if (frees) return 0;
  errno = ENOSPC;
  return 1;
}

static int fd_breaks(const char *what, int fd, int frees) {
  char link[64], path[PATH_MAX];
  const int kept = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  errno = kept;
  if (size <= 0) return 0;
  path[size] = 0;
  return breaks(what, path, frees);
}

static int name_breaks(const char *what, int directory, const char *name, int frees) {
  char path[2 * PATH_MAX], link[64];
  const int kept = errno;
  path[0] = 0;
  if (name[0] != '/') {
    if (directory == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    const ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size > 0 ? size : 0] = 0;
    strcat(path, "/");
  }
  strncat(path, name, PATH_MAX - 1);
  errno = kept;
  return breaks(what, path, frees);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) { return fd_breaks("write", fd, 0) ? -1 : REAL(write)(fd, data, size); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
  return fd_breaks("writev", fd, 0) ? -1 : REAL(writev)(fd, parts, count);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return fd_breaks("pwrite", fd, 0) ? -1 : REAL(pwrite)(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  return fd_breaks("pwrite", fd, 0) ? -1 : REAL(pwrite64)(fd, data, size, offset);
}
ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size, unsigned flags) {
  return fd_breaks("copy_file_range", out, 0) ? -1 : REAL(copy_file_range)(in, in_at, out, out_at, size, flags);
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) {
  return fd_breaks("sendfile", out, 0) ? -1 : REAL(sendfile)(out, in, offset, size);
}
int ftruncate(int fd, off_t size) { return fd_breaks("ftruncate", fd, 0) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fd_breaks("ftruncate", fd, 0) ? -1 : REAL(ftruncate64)(fd, size); }
int fallocate(int fd, int mode, off_t offset, off_t size) {
  return fd_breaks("fallocate", fd, mode != 0) ? -1 : REAL(fallocate)(fd, mode, offset, size);
}
int fsync(int fd) { return fd_breaks("fsync", fd, 0) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fd_breaks("fdatasync", fd, 0) ? -1 : REAL(fdatasync)(fd); }
int mkdir(const char *path, mode_t mode) {
  return name_breaks("mkdir", AT_FDCWD, path, 0) ? -1 : REAL(mkdir)(path, mode);
}
int rename(const char *from, const char *to) {
  return name_breaks("rename", AT_FDCWD, to, 0) ? -1 : REAL(rename)(from, to);
}
int link(const char *from, const char *to) { return name_breaks("link", AT_FDCWD, to, 0) ? -1 : REAL(link)(from, to); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
  return name_breaks("linkat", to_at, to, 0) ? -1 : REAL(linkat)(from_at, from, to_at, to, flags);
}
int symlink(const char *target, const char *path) {
  return name_breaks("symlink", AT_FDCWD, path, 0) ? -1 : REAL(symlink)(target, path);
}
int unlink(const char *path) { return name_breaks("unlink", AT_FDCWD, path, 1) ? -1 : REAL(unlink)(path); }
int unlinkat(int directory, const char *path, int flags) {
  return name_breaks("unlinkat", directory, path, 1) ? -1 : REAL(unlinkat)(directory, path, flags);
}
int rmdir(const char *path) { return name_breaks("rmdir", AT_FDCWD, path, 1) ? -1 : REAL(rmdir)(path); }
int ioctl(int fd, unsigned long request, ...) {
  va_list rest;
  va_start(rest, request);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  const unsigned long reflink = _IOW(0x94, 9, int), reflink_part = 0x4020940d;
  if ((request == reflink || request == reflink_part) && fd_breaks("reflink", fd, 0)) return -1;
  return REAL(ioctl)(fd, request, argument);
}

static int creates(const char *what, int directory, const char *path, int flags) {
  return (flags & O_CREAT) && (flags & O_ACCMODE) != O_RDONLY && name_breaks(what, directory, path, 0);
}

#define OPENS(name)                                                                              \
  int name(const char *path, int flags, ...) {                                                   \
    va_list rest;                                                                                \
    va_start(rest, flags);                                                                       \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;              \
    va_end(rest);                                                                                \
    return creates("open", AT_FDCWD, path, flags) ? -1 : REAL(name)(path, flags, mode);          \
  }
#define OPENS_AT(name)                                                                           \
  int name(int directory, const char *path, int flags, ...) {                                    \
    va_list rest;                                                                                \
    va_start(rest, flags);                                                                       \
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;              \
    va_end(rest);                                                                                \
    return creates("openat", directory, path, flags) ? -1 : REAL(name)(directory, path, flags, mode); \
  }
OPENS(open)
OPENS(open64)
OPENS_AT(openat)
OPENS_AT(openat64)
