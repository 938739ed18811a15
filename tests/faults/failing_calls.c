/* Preloaded into a process of a test: system calls and allocations that fail, and a clock that jumps, as the numbers say that the
 * test writes into a file, which is mapped. The numbers stand in failing_calls.py in the same order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct numbers {
    volatile int64_t sync_errno;   /* of fsync and fdatasync; 0: they work */
    volatile int64_t rename_errno; /* of rename and its kin */
    volatile int64_t write_errno;  /* of writing to a file (not to a socket, not to standard output and error) */
    volatile int64_t clock_ns;     /* what the clock of day is ahead */
    volatile int64_t memory_pid;   /* the process whose allocations are counted; 0: nobody's */
    volatile int64_t memory_left;  /* allocations that succeed before one fails */
    volatile int64_t memory_on;    /* 0: only that one fails; 1: all after it as well */
    volatile int64_t failed;       /* calls that have failed so far */
    volatile int64_t uptime_ns;    /* what the clocks that count from the machine's start are ahead */
};

static struct numbers none;
static struct numbers *numbers = &none;

__attribute__((constructor)) static void map_numbers(void)
{
    const char *path = getenv("FAILING_CALLS");
    const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof(struct numbers), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED) {
            numbers = mapped;
        }
        close(fd);
    }
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (real == NULL) { \
        real = (__typeof__(&name)) dlsym(RTLD_NEXT, #name); \
    }

static int fails(int64_t with)
{
    if (with == 0) {
        return 0;
    }
    __atomic_add_fetch(&numbers->failed, 1, __ATOMIC_SEQ_CST);
    errno = (int) with;
    return 1;
}

/* Files. */

int fsync(int fd)
{
    REAL(fsync)
    return fails(numbers->sync_errno) ? -1 : real(fd);
}

int fdatasync(int fd)
{
    REAL(fdatasync)
    return fails(numbers->sync_errno) ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
    REAL(rename)
    return fails(numbers->rename_errno) ? -1 : real(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    REAL(renameat)
    return fails(numbers->rename_errno) ? -1 : real(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    REAL(renameat2)
    return fails(numbers->rename_errno) ? -1 : real(from_fd, from, to_fd, to, flags);
}

static int write_fails(int fd)
{
    struct stat info;
    return numbers->write_errno != 0 && fd > STDERR_FILENO && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
           fails(numbers->write_errno);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(write)
    return write_fails(fd) ? -1 : real(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    REAL(pwrite)
    return write_fails(fd) ? -1 : real(fd, bytes, size, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    REAL(pwrite64)
    return write_fails(fd) ? -1 : real(fd, bytes, size, at);
}

/* The clock of day, and those that do not follow it. */

int clock_gettime(clockid_t which, struct timespec *now)
{
    REAL(clock_gettime)
    const int result = real(which, now);
    if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += (time_t) (numbers->clock_ns / 1000000000);
    } else if (result == 0 && (which == CLOCK_MONOTONIC || which == CLOCK_MONOTONIC_COARSE)) {
        now->tv_sec += (time_t) (numbers->uptime_ns / 1000000000);
    }
    return result;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec precise;
    (void) zone;
    if (clock_gettime(CLOCK_REALTIME, &precise) != 0) {
        return -1;
    }
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to != NULL) {
        *to = now.tv_sec;
    }
    return now.tv_sec;
}

/* Memory. */

static int memory_fails(void)
{
    if (numbers->memory_pid == 0 || numbers->memory_pid != getpid()) {
        return 0;
    }
    const int64_t left = __atomic_fetch_sub(&numbers->memory_left, 1, __ATOMIC_SEQ_CST);
    return (left == 0 || (left < 0 && numbers->memory_on != 0)) && fails(ENOMEM);
}

void *malloc(size_t size)
{
    REAL(malloc)
    return memory_fails() ? NULL : real(size);
}

void *realloc(void *block, size_t size)
{
    REAL(realloc)
    return memory_fails() ? NULL : real(block, size);
}

int posix_memalign(void **block, size_t align, size_t size)
{
    REAL(posix_memalign)
    return memory_fails() ? ENOMEM : real(block, align, size);
}

/* dlsym itself may want this one before it can be found. */
void *calloc(size_t count, size_t size)
{
    static void *(*real)(size_t, size_t);
    static int looking;
    static char early[4096];
    static size_t used;
    if (real == NULL && !looking) {
        looking = 1;
        real = (void *(*)(size_t, size_t)) dlsym(RTLD_NEXT, "calloc");
        looking = 0;
    }
    if (real == NULL) {
        void *block = early + used;
        used += (count * size + 15) / 16 * 16;
        return used <= sizeof(early) ? block : NULL;
    }
    return memory_fails() ? NULL : real(count, size);
}
