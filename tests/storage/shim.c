// Preloaded into a process under test: records every change below $SHIM_ROOT with its bytes into
// $SHIM_TRACE, in the order in which they happen, and lets the n-th write ($SHIM_FAIL_WRITE, half
// written) or sync ($SHIM_FAIL_SYNC) fail with EIO.
//
// A record: op u8 | a u64 | b u64 | path length u16 | path | second path length u16 | second path
// | data length u32 | data, little-endian. Paths are relative to $SHIM_ROOT.
// C create file, T truncate to a, W write at a, S sync, R rename, U unlink, M mkdir, X rmdir.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH_MAX];
static size_t root_len;
static int trace = -1;
static long fail_write = -1, fail_sync = -1, writes, syncs;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("SHIM_ROOT"), *to = getenv("SHIM_TRACE");
    if (!dir) return;
    strncpy(root, dir, sizeof root - 1);
    root_len = strlen(root);
    if (to) trace = REAL(open)(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (getenv("SHIM_FAIL_WRITE")) fail_write = atol(getenv("SHIM_FAIL_WRITE"));
    if (getenv("SHIM_FAIL_SYNC")) fail_sync = atol(getenv("SHIM_FAIL_SYNC"));
}

// The path below the root, or NULL.
static const char *below(const char *path) {
    if (!root_len || strncmp(path, root, root_len) || path[root_len] != '/') return NULL;
    return path + root_len + 1;
}

static const char *of_fd(int fd, char *buffer) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buffer, PATH_MAX - 1);
    if (n < 0) return NULL;
    buffer[n] = 0;
    if (n > 10 && !strcmp(buffer + n - 10, " (deleted)")) return NULL;
    return below(buffer);
}

static void put(const void *bytes, size_t n) {
    ssize_t (*real)(int, const void *, size_t) = REAL(write);
    while (n > 0) {
        ssize_t done = real(trace, bytes, n);
        if (done <= 0) abort();
        bytes = (const char *)bytes + done;
        n -= done;
    }
}

static void record(char op, uint64_t a, const char *path, const char *path2, const struct iovec *parts, int count, size_t length) {
    if (trace < 0) return;
    uint64_t b = 0;
    uint16_t n1 = strlen(path), n2 = path2 ? strlen(path2) : 0;
    uint32_t n3 = length;
    put(&op, 1); put(&a, 8); put(&b, 8);
    put(&n1, 2); put(path, n1);
    put(&n2, 2); if (n2) put(path2, n2);
    put(&n3, 4);
    for (int i = 0; i < count && length > 0; i++) {
        size_t part = parts[i].iov_len < length ? parts[i].iov_len : length;
        put(parts[i].iov_base, part);
        length -= part;
    }
}

static int open_any(int dirfd, const char *path, int flags, mode_t mode) {
    int (*real)(int, const char *, int, ...) = REAL(openat);
    const char *name = below(path);
    if (!name || !(flags & (O_CREAT | O_TRUNC))) return real(dirfd, path, flags, mode);
    pthread_mutex_lock(&turn);
    struct stat st;
    int existed = stat(path, &st) == 0;
    int fd = real(dirfd, path, flags, mode);
    int error = errno;
    if (fd >= 0) {
        if (!existed) record('C', 0, name, NULL, NULL, 0, 0);
        else if (flags & O_TRUNC) record('T', 0, name, NULL, NULL, 0, 0);
    }
    pthread_mutex_unlock(&turn);
    errno = error;
    return fd;
}

static mode_t mode_of(int flags, va_list args) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0; }
#define OPEN(name) int name(const char *path, int flags, ...) { va_list args; va_start(args, flags); mode_t mode = mode_of(flags, args); va_end(args); return open_any(AT_FDCWD, path, flags, mode); }
OPEN(open)
OPEN(open64)
#define OPENAT(name) int name(int dirfd, const char *path, int flags, ...) { va_list args; va_start(args, flags); mode_t mode = mode_of(flags, args); va_end(args); return open_any(dirfd, path, flags, mode); }
OPENAT(openat64)

// One write: at an offset, or where the file stands (at < 0).
static ssize_t write_any(int fd, const struct iovec *parts, int count, off_t at) {
    ssize_t (*real)(int, const struct iovec *, int) = REAL(writev);
    ssize_t (*real_at)(int, const struct iovec *, int, off_t) = REAL(pwritev);
    char buffer[PATH_MAX];
    const char *name = root_len ? of_fd(fd, buffer) : NULL;
    if (!name) return at < 0 ? real(fd, parts, count) : real_at(fd, parts, count, at);
    pthread_mutex_lock(&turn);
    struct stat st;
    off_t place = at;
    if (at < 0) {
        if (fcntl(fd, F_GETFL) & O_APPEND) place = fstat(fd, &st) ? 0 : st.st_size;
        else place = lseek(fd, 0, SEEK_CUR);
    }
    int fails = ++writes == fail_write;
    struct iovec half = parts[0];
    if (fails) {
        half.iov_len /= 2;
        parts = &half;
        count = 1;
    }
    ssize_t done = at < 0 ? real(fd, parts, count) : real_at(fd, parts, count, at);
    int error = errno;
    if (done > 0) record('W', place, name, NULL, parts, count, done);
    pthread_mutex_unlock(&turn);
    errno = fails ? EIO : error;
    return fails ? -1 : done;
}

ssize_t write(int fd, const void *bytes, size_t n) {
    if (!root_len || fd == trace) return REAL(write)(fd, bytes, n);
    struct iovec part = {(void *)bytes, n};
    return write_any(fd, &part, 1, -1);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return root_len ? write_any(fd, parts, count, -1) : REAL(writev)(fd, parts, count);
}
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) {
    struct iovec part = {(void *)bytes, n};
    return write_any(fd, &part, 1, at);
}
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return pwrite64(fd, bytes, n, at); }

static int sync_any(int fd, int (*real)(int)) {
    char buffer[PATH_MAX];
    const char *name = root_len ? of_fd(fd, buffer) : NULL;
    if (!name) return real(fd);
    pthread_mutex_lock(&turn);
    int fails = ++syncs == fail_sync;
    int done = fails ? -1 : real(fd);
    int error = fails ? EIO : errno;
    if (done == 0) record('S', 0, name, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}
int fsync(int fd) { return sync_any(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_any(fd, REAL(fdatasync)); }

int ftruncate64(int fd, off64_t length) {
    int (*real)(int, off64_t) = REAL(ftruncate64);
    char buffer[PATH_MAX];
    const char *name = root_len ? of_fd(fd, buffer) : NULL;
    if (!name) return real(fd, length);
    pthread_mutex_lock(&turn);
    int done = real(fd, length), error = errno;
    if (done == 0) record('T', length, name, NULL, NULL, 0, 0);
    pthread_mutex_unlock(&turn);
    errno = error;
    return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

#define NAMED(call, op, path, path2)                                   \
    const char *name = below(path), *name2 = path2 ? below(path2) : NULL; \
    if (!name) return call;                                            \
    pthread_mutex_lock(&turn);                                         \
    int done = call, error = errno;                                    \
    if (done == 0) record(op, 0, name, name2, NULL, 0, 0);             \
    pthread_mutex_unlock(&turn);                                       \
    errno = error;                                                     \
    return done;

int rename(const char *from, const char *to) { const char *second = to; NAMED(REAL(rename)(from, to), 'R', from, second) }
int unlink(const char *path) { const char *none = NULL; NAMED(REAL(unlink)(path), 'U', path, none) }
int rmdir(const char *path) { const char *none = NULL; NAMED(REAL(rmdir)(path), 'X', path, none) }
int mkdir(const char *path, mode_t mode) { const char *none = NULL; NAMED(REAL(mkdir)(path, mode), 'M', path, none) }

int unlinkat(int dirfd, const char *path, int flags) {
    char full[2 * PATH_MAX], buffer[PATH_MAX];
    const char *dir = path[0] == '/' || dirfd == AT_FDCWD ? NULL : of_fd(dirfd, buffer);
    if (dir) snprintf(full, sizeof full, "%s/%s", buffer, path);
    else snprintf(full, sizeof full, "%s", path);
    const char *none = NULL;
    NAMED(REAL(unlinkat)(dirfd, path, flags), flags & AT_REMOVEDIR ? 'X' : 'U', full, none)
}
