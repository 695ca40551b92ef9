// launch DESCRIPTOR COMMAND...: runs the command and writes to the descriptor its wall time and its user+system time in
// microseconds and its peak memory in KiB. A child inherits the peak of what starts it, and Python's is twice that of
// what is measured here: so this stands between.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char** environ;

static long microseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

int main(int argc, char** argv) {
  pid_t child;
  int status;
  struct rusage used;
  if (argc < 3) return 127;
  int figures = atoi(argv[1]);
  fcntl(figures, F_SETFD, FD_CLOEXEC);
  long start = microseconds();
  if (posix_spawnp(&child, argv[2], NULL, NULL, argv + 2, environ) != 0) return 127;
  if (wait4(child, &status, 0, &used) != child) return 127;
  dprintf(figures, "%ld %ld %ld\n", microseconds() - start,
          (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec,
          used.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
