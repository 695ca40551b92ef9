// The agent: runs in a Linux guest and serves Kiln's commands over a virtio-serial port. A program of its own, static
// and small: it is sent into guests of every kind. The protocol is docs/formats/guest-channel.md; types and sizes are
// guest_frames.h's.
//
//   agent [--port PATH]            opens the port, leaves a daemon behind, removes its own file. Not being root it
//                                  tries `sudo -n` first: the daemon is then root, the commands are still the user's.
//   agent --for-caller [--port P]  what sudo starts: stdin says whose commands they are
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
  header_size = 4,
  max_payload = 32 << 10,
  stdin_window = 256 << 10,
  longest_command = (128 << 10) - 1,  // what the kernel takes as one argument
  most_groups = 1024,
  most_environment = 1 << 20,
  seed_size = 4096,
  zeros_of_padding = 64,  // so many are no accident: a host is resynchronising
  grace_ms = 2000,        // from SIGTERM to SIGKILL
  credit_step = 64 << 10,
};

enum {
  frame_padding = 0,
  frame_hello = 1,
  frame_command = 2,
  frame_start = 3,
  frame_input = 4,
  frame_input_end = 5,
  frame_cancel = 6,
  frame_reseed = 7,
  frame_ping = 8,
  frame_quit = 9,
  frame_file = 10,
  frame_flush = 11,
  frame_last = frame_flush,
  frame_answer = 0x81,
  frame_output = 0x82,
  frame_errors = 0x83,
  frame_window = 0x84,
  frame_ended = 0x85,
  frame_reseeded = 0x86,
  frame_pong = 0x87,
  frame_bye = 0x88,
};

enum { answer_root = 1, answer_files = 2 };  // what an agent can

static const char port_name[] = "org.kiln.guest";
static const unsigned char magic[8] = "KILNGST1";

// ---- whose commands these are ---------------------------------------------------------------------------------------

static struct {
  uid_t uid;
  gid_t gid;
  mode_t mask;
  int group_count;
  gid_t groups[most_groups];
  char directory[4096];
  size_t environment_size;
  char environment[most_environment];  // NAME=VALUE strings, each with its NUL
} caller;
static int runs_for_other;  // we are root for the port's sake, the caller may be somebody else

// What shells count or leave behind is no part of what a fresh command finds.
static int belongs_to_a_shell(const char* entry) {
  return !strncmp(entry, "SHLVL=", 6) || !strncmp(entry, "OLDPWD=", 7) || !strncmp(entry, "_=", 2);
}

static int note_caller(void) {
  extern char** environ;
  caller.uid = getuid();
  caller.gid = getgid();
  caller.mask = umask(022);
  umask(caller.mask);
  caller.group_count = getgroups(most_groups, caller.groups);
  if (caller.group_count < 0) return -1;
  if (!getcwd(caller.directory, sizeof caller.directory)) strcpy(caller.directory, "/");
  for (char** entry = environ; *entry; ++entry) {
    size_t size = strlen(*entry) + 1;
    if (belongs_to_a_shell(*entry)) continue;
    if (caller.environment_size + size > most_environment) return -1;
    memcpy(caller.environment + caller.environment_size, *entry, size);
    caller.environment_size += size;
  }
  return 0;
}

static int move_all(ssize_t (*move)(int, void*, size_t), int fd, void* bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = move(fd, (char*)bytes + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    done += (size_t)n;
  }
  return 0;
}
static ssize_t write_some(int fd, void* bytes, size_t size) { return write(fd, bytes, size); }

// The structure as it lies in memory: reader and writer are one program.
static int pass_caller(ssize_t (*move)(int, void*, size_t), int fd) {
  size_t fixed = offsetof(__typeof__(caller), environment);
  if (move_all(move, fd, &caller, fixed) != 0) return -1;
  if (caller.environment_size > most_environment) return -1;
  if (caller.group_count < 0 || caller.group_count > most_groups) return -1;
  return move_all(move, fd, caller.environment, caller.environment_size);
}

// ---- the port -------------------------------------------------------------------------------------------------------

static struct {
  int fd;
  int watch;  // an edge-triggered epoll of fd: tells of the host's coming back, while poll would say "hang-up" for ever
  int away;   // the host is not connected
  int is_terminal;
  unsigned char in[64 << 10];
  unsigned char out[256 << 10];
  size_t out_at, out_end;
} port;

static size_t out_pending(void) { return port.out_end - port.out_at; }
static size_t out_room(void) { return sizeof port.out - out_pending(); }

// Where `size` more bytes go: at the end of what is pending.
static unsigned char* out_space(size_t size) {
  if (port.out_end + size > sizeof port.out) {
    memmove(port.out, port.out + port.out_at, out_pending());
    port.out_end -= port.out_at;
    port.out_at = 0;
  }
  return port.out + port.out_end;
}

static void put_header(unsigned char* at, int type, size_t size) {
  at[0] = (unsigned char)type;
  at[1] = (unsigned char)size;
  at[2] = (unsigned char)(size >> 8);
  at[3] = (unsigned char)(size >> 16);
}

static void put_u32(unsigned char* at, uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = (unsigned char)(value >> (8 * i));
}

static void send_frame(int type, const void* payload, size_t size) {
  if (out_room() < header_size + size) return;  // never so with a host that waits for answers
  unsigned char* at = out_space(header_size + size);
  put_header(at, type, size);
  if (size) memcpy(at + header_size, payload, size);
  port.out_end += header_size + size;
}

static void flush_port(void) {
  while (!port.away && out_pending()) {
    ssize_t n = write(port.fd, port.out + port.out_at, out_pending());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    port.out_at += (size_t)n;
  }
  if (!out_pending()) port.out_at = port.out_end = 0;
}

// ---- the command ----------------------------------------------------------------------------------------------------

static struct {
  char line[longest_command + 1];
  size_t line_size;
  int line_too_long;

  int active;  // started, and its end not yet told
  pid_t pid;   // 0: ended
  int is_file;  // no command: `in` is a file that takes the input
  mode_t mode;  // of the file, when it is whole
  int error;    // of writing it
  int status;
  int cancelled;
  long long kill_at;  // ms; 0: not
  int in, out, err;   // our ends, -1 when closed

  unsigned char input[stdin_window];  // a ring
  size_t input_at, input_size;
  int input_ended;
  size_t credit;  // taken from the ring and not yet told
} command;

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void close_fd(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_pipes(void) {
  close_fd(&command.in);
  close_fd(&command.out);
  close_fd(&command.err);
}

static void child_becomes_command(int in, int out, int err) {
  static char* environment[most_environment / 2];
  const char* shell = "/bin/sh";
  size_t count = 0;
  for (size_t at = 0; at < caller.environment_size; at += strlen(caller.environment + at) + 1) {
    environment[count] = caller.environment + at;
    if (!strncmp(environment[count], "SHELL=/", 7)) shell = environment[count] + 6;
    ++count;
  }
  setsid();
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  umask(caller.mask);
  if (runs_for_other) {
    if (setgroups((size_t)caller.group_count, caller.groups) != 0 || setgid(caller.gid) != 0 ||
        setuid(caller.uid) != 0) {
      dprintf(2, "kiln: cannot become user %u: %s\n", (unsigned)caller.uid, strerror(errno));
      _exit(126);
    }
  }
  if (chdir(caller.directory) != 0 && chdir("/") != 0) _exit(126);
  const char* slash = strrchr(shell, '/');
  char* argv[] = {(char*)slash + 1, "-c", command.line, NULL};
  execve(shell, argv, environment);
  dprintf(2, "%s: %s\n", shell, strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

static void tell_end(int how, uint32_t value, const char* text) {
  unsigned char payload[5 + 200];
  size_t size = strlen(text);
  if (size > 200) size = 200;
  payload[0] = (unsigned char)how;
  put_u32(payload + 1, value);
  memcpy(payload + 5, text, size);
  send_frame(frame_ended, payload, 5 + size);
}

static int make_pipe(int ends[2], int ours) {
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  fcntl(ends[ours], F_SETFL, O_NONBLOCK);
  fcntl(ends[ours], F_SETPIPE_SZ, stdin_window);  // fewer switches between us and the command
  return 0;
}

static void begin_command(pid_t pid) {
  command.active = 1;
  command.pid = pid;
  command.is_file = 0;
  command.error = 0;
  command.cancelled = 0;
  command.kill_at = 0;
  command.input_at = command.input_size = command.credit = 0;
  command.input_ended = 0;
}

static void start_command(void) {
  int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
  if (command.active) return;  // a host waits for the end first
  command.line[command.line_size] = 0;
  command.line_size = 0;
  if (command.line_too_long) {
    command.line_too_long = 0;
    tell_end(2, E2BIG, strerror(E2BIG));
    return;
  }
  pid_t pid = -1;
  if (make_pipe(in, 1) == 0 && make_pipe(out, 0) == 0 && make_pipe(err, 0) == 0) pid = fork();
  if (pid == 0) child_becomes_command(in[0], out[1], err[1]);
  int error = errno;
  close_fd(&in[0]);
  close_fd(&out[1]);
  close_fd(&err[1]);
  command.in = in[1];
  command.out = out[0];
  command.err = err[0];
  if (pid < 0) {
    close_pipes();
    tell_end(2, (uint32_t)error, strerror(error));
    return;
  }
  begin_command(pid);
}

// Files are the caller's, also where we are root for the port's sake.
static void have_rights_of(uid_t uid, gid_t gid, int count, const gid_t* groups) {
  if (!runs_for_other) return;
  if (setgroups((size_t)count, groups) != 0) exit(1);
  setfsgid(gid);
  setfsuid(uid);
}
static void have_rights_of_caller(void) {
  have_rights_of(caller.uid, caller.gid, caller.group_count, caller.groups);
}
static void have_own_rights(void) { have_rights_of(geteuid(), getegid(), 0, NULL); }

static int open_as_caller(const char* path) {
  mode_t mask = umask(caller.mask);
  have_rights_of_caller();
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0666);
  int error = errno;
  have_own_rights();
  umask(mask);
  errno = error;
  return fd;
}

static int chmod_as_caller(int fd, mode_t mode) {
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
  have_rights_of_caller();
  int error = fchmod(fd, mode) != 0 ? errno : 0;
  have_own_rights();
  return error;
}

// u32 mode, then the path. Written in place, as by `cat >`: links are followed, owners of existing files
// stay.
static void start_file(unsigned char* payload, size_t size) {
  char path[4096];
  if (command.active || size < 5) return;
  if (size - 4 >= sizeof path) {
    tell_end(2, ENAMETOOLONG, strerror(ENAMETOOLONG));
    return;
  }
  memcpy(path, payload + 4, size - 4);
  path[size - 4] = 0;
  int fd = open_as_caller(path);
  if (fd < 0) {
    int error = errno;
    tell_end(2, (uint32_t)error, strerror(error));
    return;
  }
  begin_command(0);
  command.is_file = 1;
  command.in = fd;
  command.mode = (mode_t)(payload[0] | (unsigned)payload[1] << 8) & 07777;
}

// A file below `path` that is gone after a boot. What systemd keeps there for running services is none.
static int holds_files(const char* path, int depth) {
  DIR* directory = opendir(path);
  if (!directory) return 0;
  int found = 0;
  for (struct dirent* entry; !found && (entry = readdir(directory));) {
    char inside[4096];
    struct stat status;
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if ((size_t)snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name) >= sizeof inside) continue;
    if (!strncmp(inside, "/tmp/systemd-private-", 21) || lstat(inside, &status) != 0) continue;
    found =
        S_ISREG(status.st_mode) || (S_ISDIR(status.st_mode) && depth < 100 && holds_files(inside, depth + 1));
  }
  closedir(directory);
  return found;
}

// In a process of its own: it may take long, and the host wants signs of life.
static void start_flush(void) {
  if (command.active) return;
  pid_t pid = fork();
  if (pid == 0) {
    sync();
    _exit(holds_files("/tmp", 0) || holds_files("/dev/shm", 0));
  }
  if (pid < 0) {
    tell_end(2, (uint32_t)errno, strerror(errno));
    return;
  }
  begin_command(pid);
}

// Its group is its pid: setsid made it. Until the child has done so there is only the child itself.
static void signal_command(int number) {
  if (command.pid && kill(-command.pid, number) != 0) kill(command.pid, number);
}

static void cancel_command(void) {
  if (!command.active || command.cancelled) return;
  command.cancelled = 1;
  if (!command.pid) return;  // ended, but something else holds its pipes
  signal_command(SIGTERM);
  signal_command(SIGCONT);
  command.kill_at = now_ms() + grace_ms;
}

// Nobody will hear of it any more.
static void forget_command(void) {
  signal_command(SIGKILL);
  close_pipes();
  command.active = 0;
  command.pid = 0;
  command.line_size = 0;
  command.line_too_long = 0;
}

static void reap_children(void) {
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    int ours = command.active && info.si_pid == command.pid;
    if (ours && command.cancelled) signal_command(SIGKILL);  // those of its group that took no notice
    int status = 0;
    if (waitpid(info.si_pid, &status, 0) != info.si_pid || !ours) continue;
    command.pid = 0;
    command.status = status;
    command.kill_at = 0;
  }
}

// As with sshd a command has ended when it exited and nobody holds its output any more.
static void tell_end_when_ended(void) {
  if (!command.active || command.pid) return;
  if (command.is_file) {
    int whole = command.input_ended && !command.input_size;
    if (!whole && !command.cancelled && !command.error) return;
    if (whole && !command.error) command.error = chmod_as_caller(command.in, command.mode);
    close_pipes();
    command.active = 0;
    tell_end(command.error ? 2 : 0, (uint32_t)command.error, command.error ? strerror(command.error) : "");
    return;
  }
  if (!command.cancelled && (command.out >= 0 || command.err >= 0)) return;
  close_pipes();
  command.active = 0;
  if (WIFSIGNALED(command.status)) {
    tell_end(1, (uint32_t)WTERMSIG(command.status), "");
  } else {
    tell_end(0, (uint32_t)WEXITSTATUS(command.status), "");
  }
}

static void take_input(const unsigned char* bytes, size_t size) {
  if (!command.active || size > stdin_window - command.input_size) return;
  size_t at = (command.input_at + command.input_size) % stdin_window;
  size_t first = size < stdin_window - at ? size : stdin_window - at;
  memcpy(command.input + at, bytes, first);
  memcpy(command.input, bytes + first, size - first);
  command.input_size += size;
}

// What the command no longer reads is taken, too: the host must come to the end of its input.
static void feed_command(void) {
  while (command.input_size) {
    size_t size = stdin_window - command.input_at;
    if (size > command.input_size) size = command.input_size;
    ssize_t n = (ssize_t)size;
    if (command.in >= 0) {
      n = write(command.in, command.input + command.input_at, size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0 && command.is_file) command.error = errno;
      if (n < 0) close_fd(&command.in);
      if (n < 0) continue;
    }
    command.input_at = (command.input_at + (size_t)n) % stdin_window;
    command.input_size -= (size_t)n;
    command.credit += (size_t)n;
  }
  if (command.credit >= credit_step || (command.credit && !command.input_size)) {
    unsigned char payload[4];
    put_u32(payload, (uint32_t)command.credit);
    send_frame(frame_window, payload, sizeof payload);
    command.credit = 0;
  }
  if (command.input_ended && !command.input_size && !command.is_file) close_fd(&command.in);
}

// Room is kept for answers.
static int has_room_for_output(void) { return out_room() >= 2 * max_payload; }

static void read_output(int* fd, int type) {
  unsigned char* at = out_space(header_size + max_payload);
  ssize_t n = read(*fd, at + header_size, max_payload);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    close_fd(fd);
    return;
  }
  put_header(at, type, (size_t)n);
  port.out_end += header_size + (size_t)n;
}

// ---- randomness and time --------------------------------------------------------------------------------------------

static int add_randomness(const unsigned char* bytes, size_t size) {
  struct {
    int credit_bits;
    int size;
    unsigned char bytes[seed_size];
  } pool;
  if (size > seed_size) size = seed_size;
  pool.credit_bits = (int)size * 8;
  pool.size = (int)size;
  memcpy(pool.bytes, bytes, size);
  int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = 0;
  if (ioctl(fd, _IOW('R', 0x03, int[2]), &pool) != 0) error = errno;      // RNDADDENTROPY
  if (!error && ioctl(fd, _IO('R', 0x07)) != 0) error = errno;            // RNDRESEEDCRNG
  close(fd);
  return error;
}

// u64 seconds and u32 nanoseconds of the time (all zero: not given), then the bytes.
static void reseed(const unsigned char* payload, size_t size) {
  unsigned char answer[8];
  struct timespec time = {0, 0};
  uint64_t seconds = 0;
  uint32_t nanoseconds = 0;
  if (size < 12) return;
  for (int i = 0; i < 8; ++i) seconds |= (uint64_t)payload[i] << (8 * i);
  for (int i = 0; i < 4; ++i) nanoseconds |= (uint32_t)payload[8 + i] << (8 * i);
  time.tv_sec = (time_t)seconds;
  time.tv_nsec = (long)nanoseconds;
  int clock_error = 0;
  if (seconds && clock_settime(CLOCK_REALTIME, &time) != 0) clock_error = errno;
  put_u32(answer, (uint32_t)add_randomness(payload + 12, size - 12));
  put_u32(answer + 4, (uint32_t)clock_error);
  send_frame(frame_reseeded, answer, sizeof answer);
}

// ---- frames that come in --------------------------------------------------------------------------------------------

static struct {
  int synced;  // a hello was understood since what came made no sense
  unsigned char token[16];
  int lost;  // inside rubbish; waiting for padding
  size_t zeros;
  unsigned char header[header_size];
  size_t header_size;
  size_t size, got;
  unsigned char payload[max_payload];
} in;

static void leave(void) {
  send_frame(frame_bye, NULL, 0);
  long long until = now_ms() + 1000;
  flush_port();
  while (out_pending() && !port.away && now_ms() < until) {
    struct pollfd one = {port.fd, POLLOUT, 0};
    poll(&one, 1, 100);
    flush_port();
  }
  exit(0);
}

static void lose_track(void) {
  in.lost = 1;
  in.synced = 0;
  in.zeros = 0;
  in.header_size = 0;
}

static void greet(void) {
  unsigned char answer[sizeof magic + sizeof in.token + 1];
  if (in.size != sizeof magic + sizeof in.token || memcmp(in.payload, magic, sizeof magic) != 0) {
    lose_track();
    return;
  }
  if (!in.synced || memcmp(in.token, in.payload + sizeof magic, sizeof in.token) != 0) {
    forget_command();
    port.out_at = port.out_end = 0;  // of the session before; the host looks for its token
    memcpy(in.token, in.payload + sizeof magic, sizeof in.token);
    in.synced = 1;
  }
  memcpy(answer, in.payload, sizeof magic + sizeof in.token);
  answer[sizeof answer - 1] = (geteuid() == 0 ? answer_root : 0) | answer_files;
  send_frame(frame_answer, answer, sizeof answer);
}

static void take_line(void) {
  if (command.line_size + in.size > longest_command) {
    command.line_too_long = 1;
  } else {
    memcpy(command.line + command.line_size, in.payload, in.size);
    command.line_size += in.size;
  }
}

static void end_frame(void) {
  in.header_size = 0;
  if (in.header[0] == frame_hello) greet();
  if (!in.synced) return;
  switch (in.header[0]) {
    case frame_command: take_line(); break;
    case frame_start: start_command(); break;
    case frame_input_end: command.input_ended = 1; break;
    case frame_cancel: cancel_command(); break;
    case frame_reseed: reseed(in.payload, in.size); break;
    case frame_ping: send_frame(frame_pong, in.payload, in.size < 64 ? in.size : 64); break;
    case frame_quit: leave(); break;
    case frame_file:
      start_file(in.payload, in.size);
      break;
    case frame_flush:
      start_flush();
      break;
  }
}

static void begin_frame(void) {
  in.size = in.header[1] | (size_t)in.header[2] << 8 | (size_t)in.header[3] << 16;
  in.got = 0;
  if (in.header[0] > frame_last || in.size > max_payload) {
    lose_track();
  } else if (in.size == 0) {
    end_frame();
  }
}

static size_t take_payload(const unsigned char* bytes, size_t size) {
  if (size > in.size - in.got) size = in.size - in.got;
  if (in.header[0] == frame_input) {
    if (in.synced) take_input(bytes, size);
  } else {
    memcpy(in.payload + in.got, bytes, size);
  }
  in.got += size;
  if (in.got == in.size) end_frame();
  return size;
}

static void take_bytes(const unsigned char* bytes, size_t size) {
  for (size_t at = 0; at < size;) {
    if (in.lost) {
      in.zeros = bytes[at] ? 0 : in.zeros + 1;
      if (in.zeros >= zeros_of_padding) in.lost = 0;
      ++at;
    } else if (in.header_size == header_size) {
      at += take_payload(bytes + at, size - at);
    } else if (in.header_size == 0 && bytes[at] == frame_padding) {
      ++at;
    } else {
      in.header[in.header_size++] = bytes[at++];
      if (in.header_size == header_size) begin_frame();
    }
  }
}

static void host_is_away(void) {
  if (port.is_terminal) exit(0);  // it hung up, for good
  port.away = 1;
}

static void read_port(void) {
  for (int rounds = 0; rounds < 16; ++rounds) {  // then it is the command's turn
    ssize_t n = read(port.fd, port.in, sizeof port.in);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0 && errno == ENODEV) exit(0);  // unplugged
    if (n <= 0) {
      host_is_away();
      return;
    }
    take_bytes(port.in, (size_t)n);
  }
}

// ---- the loop -------------------------------------------------------------------------------------------------------

static void see_whether_host_is_back(void) {
  struct epoll_event event;
  struct pollfd one = {port.fd, POLLIN, 0};
  while (epoll_wait(port.watch, &event, 1, 0) > 0) {
  }
  port.away = poll(&one, 1, 0) > 0 && (one.revents & (POLLHUP | POLLERR | POLLNVAL));
}

static int next_timeout(void) {
  long long left = port.away ? 1000 : -1;
  if (command.kill_at) {
    long long until = command.kill_at - now_ms();
    if (until < 0) until = 0;
    if (left < 0 || until < left) left = until;
  }
  return (int)left;
}

static void take_signals(int fd) {
  struct signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) leave();
  }
  reap_children();
}

static void serve(int signals) {
  for (;;) {
    short reads = has_room_for_output() ? POLLIN : 0;
    struct pollfd fds[] = {
        {signals, POLLIN, 0},
        {port.away ? port.watch : port.fd, (short)(POLLIN | (!port.away && out_pending() ? POLLOUT : 0)), 0},
        {command.input_size ? command.in : -1, POLLOUT, 0},
        {reads ? command.out : -1, reads, 0},
        {reads ? command.err : -1, reads, 0},
    };
    int ready = poll(fds, sizeof fds / sizeof *fds, next_timeout());
    if (ready < 0 && errno != EINTR) exit(1);
    if (port.away) {
      see_whether_host_is_back();
    } else if (ready > 0 && fds[1].revents & POLLIN) {
      read_port();
    } else if (ready > 0 && fds[1].revents & (POLLHUP | POLLERR)) {
      host_is_away();
    }
    // What was read above may have closed or replaced the command's pipes: only what is still open is looked at.
    if (ready > 0 && fds[3].revents && command.out == fds[3].fd) read_output(&command.out, frame_output);
    if (ready > 0 && fds[4].revents && command.err == fds[4].fd && has_room_for_output()) {
      read_output(&command.err, frame_errors);
    }
    if (ready > 0 && fds[0].revents) take_signals(signals);
    if (command.kill_at && now_ms() >= command.kill_at) {
      signal_command(SIGKILL);
      command.kill_at = 0;
    }
    if (command.active) feed_command();
    tell_end_when_ended();
    flush_port();
  }
}

// ---- the start ------------------------------------------------------------------------------------------------------

// The port's file, where udev made no link by its name: /sys/class/virtio-ports/vport1p1/name.
static int find_port(char* path, size_t size) {
  DIR* ports = opendir("/sys/class/virtio-ports");
  if (!ports) return -1;
  int found = -1;
  for (struct dirent* entry; found != 0 && (entry = readdir(ports));) {
    char file[512], name[128] = {0};
    snprintf(file, sizeof file, "/sys/class/virtio-ports/%s/name", entry->d_name);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ssize_t n = read(fd, name, sizeof name - 1);
    close(fd);
    if (n <= 0) continue;
    name[strcspn(name, "\n")] = 0;
    if (strcmp(name, port_name) != 0) continue;
    snprintf(path, size, "/dev/%s", entry->d_name);
    found = 0;
  }
  closedir(ports);
  return found;
}

static int open_port(const char* given, int sudo_failed) {
  char path[512];
  snprintf(path, sizeof path, "%s%s", given ? given : "/dev/virtio-ports/", given ? "" : port_name);
  int flags = O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  port.fd = open(path, flags);
  if (port.fd < 0 && errno == ENOENT && !given && find_port(path, sizeof path) == 0) port.fd = open(path, flags);
  if (port.fd < 0) {
    int error = errno;
    if (error == ENOENT && !given) {
      fprintf(stderr, "there is no virtio port named %s\n", port_name);
    } else if (error == EBUSY || error == EMFILE) {
      fprintf(stderr, "another program has %s open\n", path);
    } else {
      fprintf(stderr, "%s: %s%s\n", path, strerror(error), sudo_failed ? ", and `sudo -n` does not work" : "");
    }
    return -1;
  }
  struct termios terminal;
  if (tcgetattr(port.fd, &terminal) == 0) {  // a plain serial line does as well
    port.is_terminal = 1;
    cfmakeraw(&terminal);
    tcsetattr(port.fd, TCSANOW, &terminal);
  }
  port.watch = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
  return port.watch >= 0 && epoll_ctl(port.watch, EPOLL_CTL_ADD, port.fd, &event) == 0 ? 0 : -1;
}

// Starts itself by sudo, with what is noted of the caller on its stdin. 0 when the daemon runs.
static int start_as_root(const char* self, const char* given_port) {
  int ends[2], status = -1;
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDWR);
    dup2(ends[0], 0);
    dup2(null, 1);
    dup2(null, 2);
    char* argv[] = {"sudo", "-n", "--", (char*)self, "--for-caller", given_port ? "--port" : NULL,
                    (char*)given_port, NULL};
    execvp(argv[0], argv);
    _exit(127);
  }
  close(ends[0]);
  if (pid > 0) pass_caller(write_some, ends[1]);
  close(ends[1]);
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void become_daemon(void) {
  if (fork() != 0) _exit(0);
  setsid();
  if (fork() != 0) _exit(0);
  if (chdir("/") != 0) _exit(1);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  for (int fd = 3; fd < 1024; ++fd) {
    if (fd != port.fd && fd != port.watch) close(fd);
  }
}

static int take_signal_fd(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_SETMASK, &set, NULL);
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char** argv) {
  const char* given_port = NULL;
  int for_caller = 0;
  for (int i = 1; i < argc; ++i) {
    if (!strcmp(argv[i], "--port") && i + 1 < argc) {
      given_port = argv[++i];
    } else if (!strcmp(argv[i], "--for-caller")) {
      for_caller = 1;
    } else {
      fprintf(stderr, "usage: %s [--port PATH]\n", argv[0]);
      return 2;
    }
  }
  command.in = command.out = command.err = -1;  // no initializers: the buffers beside them would be in the file
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);  // sudo's terminal may go before the daemon has left its session
  char self[4096] = {0};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0) self[0] = 0;
  if ((for_caller ? pass_caller(read, 0) : note_caller()) != 0) {
    fprintf(stderr, "the environment is too large or cannot be read\n");
    return 1;
  }
  runs_for_other = for_caller && geteuid() == 0;
  int wants_root = !for_caller && geteuid() != 0;
  if (wants_root && start_as_root(self, given_port) == 0) return 0;
  if (open_port(given_port, wants_root) != 0) return 1;
  if (self[0]) unlink(self);
  become_daemon();
  int signals = take_signal_fd();
  if (signals < 0) return 1;
  serve(signals);
}
