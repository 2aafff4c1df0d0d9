/* Death, or a failing disk, at the n-th write that a process makes under one folder.
 *
 * Preloaded into an unchanged program (LD_PRELOAD). Counted are the calls that change what a disk holds: write,
 * pwrite, ftruncate, fsync, fdatasync, rename, link, symlink, unlink; SQLite's are among them. At the n-th one:
 *   before   the process is killed instead of the call
 *   half     half of the bytes are written, then it is killed (a call without bytes: as before)
 *   after    the call is made, then the process is killed
 *   fail     the call fails, once, as on a full or broken disk, and the process lives on
 * Environment: FAULT_UNDER (folder), FAULT_AT (n, from 1), FAULT_HOW, FAULT_TOLD (file that is told where).
 * A process that forks may instead call fault_arm() in the child.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char under[PATH_MAX];
static size_t under_length;
static char how;
static int told = -1;
static atomic_long left;

void fault_arm(const char *folder, long at, const char *way, const char *tell)
{
    snprintf(under, sizeof under, "%s", folder);
    under_length = strlen(under);
    how = way[0];
    if (told >= 0)
        close(told);
    told = tell && *tell ? open(tell, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    atomic_store(&left, at);
}

/* How many of the counted calls were not made before the fault was due; negative: it is behind us. */
long fault_left(void) { return atomic_load(&left); }

__attribute__((constructor)) static void from_environment(void)
{
    const char *folder = getenv("FAULT_UNDER"), *at = getenv("FAULT_AT"), *way = getenv("FAULT_HOW");
    if (folder && at && way)
        fault_arm(folder, atol(at), way, getenv("FAULT_TOLD"));
}

static int due(const char *path)
{
    if (!under_length || strncmp(path, under, under_length) != 0)
        return 0;
    return atomic_fetch_sub(&left, 1) == 1;
}

static int due_at(int fd, char *path, size_t size)
{
    char link[64];
    if (!under_length || atomic_load(&left) <= 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    return due(path);
}

static void tell(const char *call, const char *path)
{
    char line[PATH_MAX + 64];
    int length = snprintf(line, sizeof line, "%s %c %s\n", call, how, path);
    if (told >= 0)
        (void)!syscall(SYS_write, told, line, (size_t)length);
}

static void die(void)
{
    syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    for (;;)
        pause();
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
    real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* With bytes: `less` makes the call with half of them. */
#define AT(fd, call, whole, less) \
    char path[PATH_MAX]; \
    if (!due_at(fd, path, sizeof path)) \
        return whole; \
    tell(call, path); \
    if (how == 'f') { errno = ENOSPC; return -1; } \
    if (how == 'h') (void)!(less); \
    if (how == 'a') (void)!(whole); \
    die(); \
    return -1

#define NAMED(name_of, call, whole) \
    if (!due(name_of)) \
        return whole; \
    tell(call, name_of); \
    if (how == 'f') { errno = EIO; return -1; } \
    if (how == 'a') (void)!(whole); \
    die(); \
    return -1

ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(write);
    AT(fd, "write", real(fd, bytes, size), real(fd, bytes, size / 2));
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    REAL(pwrite);
    AT(fd, "pwrite", real(fd, bytes, size, at), real(fd, bytes, size / 2, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    REAL(pwrite64);
    AT(fd, "pwrite", real(fd, bytes, size, at), real(fd, bytes, size / 2, at));
}

int ftruncate(int fd, off_t size)
{
    REAL(ftruncate);
    AT(fd, "ftruncate", real(fd, size), 0);
}

int ftruncate64(int fd, off64_t size)
{
    REAL(ftruncate64);
    AT(fd, "ftruncate", real(fd, size), 0);
}

int fsync(int fd)
{
    REAL(fsync);
    AT(fd, "fsync", real(fd), 0);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    AT(fd, "fdatasync", real(fd), 0);
}

int rename(const char *from, const char *to)
{
    REAL(rename);
    NAMED(to, "rename", real(from, to));
}

int link(const char *from, const char *to)
{
    REAL(link);
    NAMED(to, "link", real(from, to));
}

int linkat(int at, const char *from, int to_at, const char *to, int flags)
{
    REAL(linkat);
    NAMED(to, "link", real(at, from, to_at, to, flags));
}

int symlink(const char *to, const char *name)
{
    REAL(symlink);
    NAMED(name, "symlink", real(to, name));
}

int unlink(const char *name)
{
    REAL(unlink);
    NAMED(name, "unlink", real(name));
}
