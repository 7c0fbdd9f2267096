// The disk and the clock of one process, with faults: preloaded (LD_PRELOAD), it stands between the program
// and the C library. It writes down what reached the disk and in which order, so that a test can take away
// what a power cut would have (cut-power.ts), and it can be told, while the program runs, to fail syncs, to
// lie about them, to slow them down, or to shift the clocks (disk-shim.ts, which knows the layout of the control file).
//
// Log, one line an event, in the order in which they took effect (the inode names the file):
//
//   C <inode> <inode of its directory> <name>   a file was made
//   N <inode> <inode of its directory> <name>   a file or directory was renamed to a name that was free
//   R <inode> <inode of its directory> <name>   a file was renamed over another
//   M <inode> <inode of its directory> <name>   a directory was made
//   S <inode> <bytes>   a file was synced, when it had so many bytes
//   D <inode>           a directory was synced
//   F <inode>           a sync was failed, with EIO
//
// It is right for files that are only appended to. A rename over a file that exists counts as lasting at
// once, and so does an unlink; O_DSYNC, msync and io_uring are not seen, so that what was written with
// them counts as never synced.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
  int64_t fail_from;          // syncs fail from this one on, counted from 1; 0: none
  int64_t lies;               // syncs are neither done nor written down, and called good
  int64_t monotonic_shift_ns; // added to the clocks that never jump
  int64_t wall_shift_ns;      // added to the time of day
  int64_t syncs;              // how many there were
  int64_t sync_ns;            // each takes so much longer, before it does anything
};

static struct control idle;
static struct control *control = &idle;
static int log_fd = -1;

static int (*real_open)(const char *, int, ...);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_rename)(const char *, const char *);
static FILE *(*real_fopen)(const char *, const char *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

// Others' constructors may come here before ours has run.
static void find_real(void) {
  if (real_open != NULL) return;
  real_mkdir = dlsym(RTLD_NEXT, "mkdir");
  real_rename = dlsym(RTLD_NEXT, "rename");
  real_fopen = dlsym(RTLD_NEXT, "fopen");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  real_open = dlsym(RTLD_NEXT, "open");
}

__attribute__((constructor)) static void start(void) {
  const char *control_path = getenv("DISK_SHIM_CONTROL");
  const char *log_path = getenv("DISK_SHIM_LOG");
  find_real();
  if (control_path != NULL) {
    int fd = real_open(control_path, O_RDWR | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED
                       : mmap(NULL, sizeof idle, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) abort();
    control = map;
    close(fd);
  }
  if (log_path != NULL) {
    log_fd = real_open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
  }
}

// One write a line, to a file opened for appending: lines of several threads do not mix.
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...) {
  char line[512];
  va_list values;
  if (log_fd < 0) return;
  va_start(values, format);
  int length = vsnprintf(line, sizeof line, format, values);
  va_end(values);
  if (write(log_fd, line, length) != length) abort();
}

static void note_name(char kind, const char *path) {
  char directory[4096];
  struct stat file, parent;
  const char *slash = strrchr(path, '/');
  if (slash == NULL) strcpy(directory, ".");
  else snprintf(directory, sizeof directory, "%.*s", (int)(slash - path) + 1, path);
  if (stat(path, &file) != 0 || stat(directory, &parent) != 0) return;
  note("%c %llu %llu %s\n", kind, (unsigned long long)file.st_ino,
       (unsigned long long)parent.st_ino, slash == NULL ? path : slash + 1);
}

static int is_missing(const char *path) {
  int kept = errno;
  int missing = access(path, F_OK) != 0;
  errno = kept;
  return missing;
}

int open(const char *path, int flags, ...) {
  va_list values;
  va_start(values, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(values, mode_t) : 0;
  va_end(values);
  int makes = (flags & O_CREAT) != 0 && is_missing(path);
  find_real();
  int fd = real_open(path, flags, mode);
  if (makes && fd >= 0) note_name('C', path);
  return fd;
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

FILE *fopen(const char *path, const char *mode) {
  int makes = mode[0] != 'r' && is_missing(path);
  find_real();
  FILE *file = real_fopen(path, mode);
  if (makes && file != NULL) note_name('C', path);
  return file;
}

FILE *fopen64(const char *path, const char *mode) __attribute__((alias("fopen")));

int mkdir(const char *path, mode_t mode) {
  find_real();
  int result = real_mkdir(path, mode);
  if (result == 0) note_name('M', path);
  return result;
}

int rename(const char *from, const char *to) {
  int makes = is_missing(to);
  find_real();
  int result = real_rename(from, to);
  if (result == 0) note_name(makes ? 'N' : 'R', to);
  return result;
}

static int synced(int fd, int (*real)(int)) {
  struct stat file;
  int64_t number = __atomic_add_fetch(&control->syncs, 1, __ATOMIC_SEQ_CST);
  int64_t fail_from = __atomic_load_n(&control->fail_from, __ATOMIC_SEQ_CST);
  // What is appended while the sync runs need not be in it.
  if (fstat(fd, &file) != 0) return real(fd);
  unsigned long long inode = file.st_ino;
  if (fail_from > 0 && number >= fail_from) {
    note("F %llu\n", inode);
    errno = EIO;
    return -1;
  }
  if (__atomic_load_n(&control->lies, __ATOMIC_SEQ_CST)) return 0;
  int64_t sync_ns = __atomic_load_n(&control->sync_ns, __ATOMIC_SEQ_CST);
  if (sync_ns > 0) nanosleep(&(struct timespec){sync_ns / 1000000000, sync_ns % 1000000000}, NULL);
  int result = real(fd);
  if (result != 0) return result;
  if (S_ISDIR(file.st_mode)) note("D %llu\n", inode);
  else note("S %llu %lld\n", inode, (long long)file.st_size);
  return 0;
}

int fsync(int fd) {
  find_real();
  return synced(fd, real_fsync);
}

int fdatasync(int fd) {
  find_real();
  return synced(fd, real_fdatasync);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  find_real();
  int result = real_clock_gettime(clock, time);
  int64_t shift = 0;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
    shift = __atomic_load_n(&control->wall_shift_ns, __ATOMIC_RELAXED);
  } else if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE) {
    shift = __atomic_load_n(&control->monotonic_shift_ns, __ATOMIC_RELAXED);
  }
  if (result == 0 && shift != 0) {
    int64_t ns = time->tv_nsec + shift % 1000000000;
    time->tv_sec += shift / 1000000000 + (ns >= 1000000000) - (ns < 0);
    time->tv_nsec = (ns + 1000000000) % 1000000000;
  }
  return result;
}

int gettimeofday(struct timeval *restrict value, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  value->tv_sec = now.tv_sec;
  value->tv_usec = now.tv_nsec / 1000;
  return 0;
}
