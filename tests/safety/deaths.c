/* Counts what a process does to the files below a folder, and at the n-th of it dies, or has no room left.

   Preloaded into a process (LD_PRELOAD); `arm` says where, when and how. A write that is the n-th is done by half. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { COUNT, DIE, FULL, READ_ONLY };

static char folder[PATH_MAX];
static long when, seen;
static enum how way;

void arm(const char *below, long number, int mode) {
    snprintf(folder, sizeof folder, "%s", below);
    when = number;
    seen = 0;
    way = mode;
}

long counted(void) { return seen; }

static int is_below(const char *path) {
    char whole[PATH_MAX];
    if (!folder[0] || !path) return 0;
    if (path[0] != '/') {
        if (!getcwd(whole, sizeof whole)) return 0;
        path = whole;
    }
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int is_ours(int file) {
    char link[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* 1: to die now, 2: to fail, 0: to go on. `takes_room` is false of what a full disk still allows. */
static int struck(int takes_room) {
    seen++;
    if (way == DIE) return seen == when;
    if (way == COUNT || seen < when) return 0;
    if (way == FULL && !takes_room) return 0;
    errno = way == FULL ? ENOSPC : EROFS;
    return 2;
}

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *content, size_t size) {
    REAL(write);
    if (is_ours(file)) switch (struck(1)) {
        case 1: real(file, content, size / 2); die();
        case 2: return -1;
    }
    return real(file, content, size);
}

#define PWRITE(name, offset_type) \
    ssize_t name(int file, const void *content, size_t size, offset_type at) { \
        REAL(name); \
        if (is_ours(file)) switch (struck(1)) { \
            case 1: real(file, content, size / 2, at); die(); \
            case 2: return -1; \
        } \
        return real(file, content, size, at); \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int file, const struct iovec *parts, int count) {
    REAL(writev);
    if (is_ours(file)) switch (struck(1)) {
        case 1: real(file, parts, count / 2); die();
        case 2: return -1;
    }
    return real(file, parts, count);
}

#define SENDFILE(name, offset_type) \
    ssize_t name(int to, int from, offset_type *at, size_t size) { \
        REAL(name); \
        if (is_ours(to)) switch (struck(1)) { \
            case 1: real(to, from, at, size > 4096 ? 4096 : size / 2); die(); \
            case 2: return -1; \
        } \
        return real(to, from, at, size); \
    }
SENDFILE(sendfile, off_t)
SENDFILE(sendfile64, off64_t)

/* What is done to an open file as a whole. */
#define ON_FILE(name, type, parameters, arguments, ours, takes_room) \
    type name parameters { \
        REAL(name); \
        if (ours) switch (struck(takes_room)) { \
            case 1: die(); \
            case 2: return -1; \
        } \
        return real arguments; \
    }
ON_FILE(fsync, int, (int file), (file), is_ours(file), 1)
ON_FILE(fdatasync, int, (int file), (file), is_ours(file), 1)
ON_FILE(ftruncate, int, (int file, off_t size), (file, size), is_ours(file), 0)
ON_FILE(ftruncate64, int, (int file, off64_t size), (file, size), is_ours(file), 0)
ON_FILE(fchmod, int, (int file, mode_t mode), (file, mode), is_ours(file), 0)
ON_FILE(chmod, int, (const char *path, mode_t mode), (path, mode), is_below(path), 0)
ON_FILE(rename, int, (const char *from, const char *to), (from, to), is_below(to), 0)
ON_FILE(renameat, int, (int a, const char *from, int b, const char *to), (a, from, b, to), is_below(to), 0)
ON_FILE(unlink, int, (const char *path), (path), is_below(path), 0)
ON_FILE(unlinkat, int, (int at, const char *path, int flags), (at, path, flags), is_below(path) || is_ours(at), 0)
ON_FILE(rmdir, int, (const char *path), (path), is_below(path), 0)
ON_FILE(mkdir, int, (const char *path, mode_t mode), (path, mode), is_below(path), 1)
ON_FILE(msync, int, (void *at, size_t size, int flags), (at, size, flags), folder[0] != 0, 1)

/* Only opening that makes or empties a file counts; of a file that is there, its flags say so. */
#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (flags & (O_CREAT | O_TRUNC) && is_below(path)) switch (struck(1)) { \
            case 1: die(); \
            case 2: return -1; \
        } \
        return real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
