/* A disk that is full at one write of a process and of those that it forks, or from there on. Preloaded, and told by Python.
 *
 * What can find a disk full is counted: writes to plain files, forcing them to disk, names that are made or moved. The first write
 * that there is no room for may still write half. Programs that are started have a disk of their own. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct disk {
    uint64_t count, first, last;    /* of the calls from `first` on and before `last`, none succeeds */
    int half;
} *disk;

__attribute__((constructor)) static void make_disk(void)
{
    disk = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void disk_full(uint64_t first, uint64_t last, int half) { *disk = (struct disk){0, first, last, half}; }

uint64_t disk_count(void) { return disk->count; }

/* 0: there is room; 1: there is none; -1: there is room for half. */
static int is_full(void)
{
    uint64_t number = __atomic_fetch_add(&disk->count, 1, __ATOMIC_SEQ_CST);

    if (number < disk->first || number >= disk->last)
        return 0;
    errno = ENOSPC;
    return number == disk->first && disk->half ? -1 : 1;
}

static int is_plain(int file)
{
    struct stat status;

    return !fstat(file, &status) && S_ISREG(status.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *from, size_t bytes)
{
    int full = is_plain(file) ? is_full() : 0;

    return full > 0 || (full && bytes < 2) ? -1 : REAL(write)(file, from, full ? bytes / 2 : bytes);
}

ssize_t pwrite(int file, const void *from, size_t bytes, off_t place)
{
    int full = is_plain(file) ? is_full() : 0;

    return full > 0 || (full && bytes < 2) ? -1 : REAL(pwrite)(file, from, full ? bytes / 2 : bytes, place);
}

ssize_t pwrite64(int file, const void *from, size_t bytes, off64_t place) { return pwrite(file, from, bytes, place); }

int fsync(int file) { return is_full() ? -1 : REAL(fsync)(file); }

int rename(const char *from, const char *to) { return is_full() ? -1 : REAL(rename)(from, to); }

int mkdir(const char *path, mode_t mode) { return is_full() ? -1 : REAL(mkdir)(path, mode); }

static int mode_of(int flags, va_list more) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, int) : 0; }

static int open_file(int directory, const char *path, int flags, int mode)
{
    return flags & (O_CREAT | __O_TMPFILE) && is_full() ? -1 : REAL(openat)(directory, path, flags, mode);
}

#define OPEN(name, parameters, directory)                                                                                         \
    int name parameters                                                                                                           \
    {                                                                                                                             \
        va_list more;                                                                                                             \
        va_start(more, flags);                                                                                                    \
        int mode = mode_of(flags, more);                                                                                          \
        va_end(more);                                                                                                             \
        return open_file(directory, path, flags, mode);                                                                           \
    }

OPEN(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN(openat, (int directory, const char *path, int flags, ...), directory)
OPEN(openat64, (int directory, const char *path, int flags, ...), directory)
