/* Faults below a process, by LD_PRELOAD: a sync that is slow or fails, a record of what has been synced, a wall clock that jumps.
 *
 * FAULT_CONTROL names a file of three 64-bit numbers that tests write and every process maps: milliseconds that a sync takes longer,
 * an errno that the next sync fails with (once), seconds by which the wall clock is off. FAULT_SYNC_LOG names a file to which each sync
 * that succeeded appends (inode, size when it was asked for). Syncs are touched in the program whose name begins with FAULT_PROGRAM only.
 */
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
#include <time.h>
#include <unistd.h>

struct control {
    int64_t sync_delay_ms;
    int64_t sync_errno;
    int64_t clock_shift_s;
};

static struct control nothing;
static struct control *control = &nothing;
static int sync_log = -1;
static int is_program = 0;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_CONTROL"), *log = getenv("FAULT_SYNC_LOG"), *program = getenv("FAULT_PROGRAM");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapped != MAP_FAILED) control = mapped;
        close(fd);
    }
    is_program = program != NULL && strncmp(program_invocation_short_name, program, strlen(program)) == 0;
    if (is_program && log != NULL) sync_log = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int sync_by(int (*real)(int), int fd) {
    struct stat before;
    int64_t wait_ms, failure;
    int known, answer;
    if (!is_program) return real(fd);
    failure = __atomic_exchange_n(&control->sync_errno, 0, __ATOMIC_SEQ_CST);
    if (failure != 0) {
        errno = (int)failure;
        return -1;
    }
    wait_ms = __atomic_load_n(&control->sync_delay_ms, __ATOMIC_SEQ_CST);
    if (wait_ms > 0) {
        struct timespec wait = {wait_ms / 1000, (wait_ms % 1000) * 1000000};
        nanosleep(&wait, NULL);
    }
    known = fstat(fd, &before) == 0;
    answer = real(fd);
    if (answer == 0 && known && sync_log >= 0) {
        int64_t entry[2] = {(int64_t)before.st_ino, (int64_t)before.st_size};
        if (write(sync_log, entry, sizeof entry) != sizeof entry) abort();
    }
    return answer;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return sync_by(real, fd);
}

int fsync(int fd) {
    static int (*real)(int);
    if (real == NULL) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return sync_by(real, fd);
}

int clock_gettime(clockid_t which, struct timespec *found) {
    static int (*real)(clockid_t, struct timespec *);
    int answer;
    if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    answer = real(which, found);
    if (answer == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) found->tv_sec += control->clock_shift_s;
    return answer;
}

int gettimeofday(struct timeval *restrict found, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    found->tv_sec = now.tv_sec;
    found->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *found) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
    if (found != NULL) *found = now.tv_sec;
    return now.tv_sec;
}
