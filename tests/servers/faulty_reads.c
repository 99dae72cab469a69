/* Preloaded: of three reads at an offset the first is interrupted by a signal, and the second gives
   less than was asked for; of two calls that have pages mapped the first is interrupted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>

enum { POPULATE_READ = 22 };
int faults; /* how often that was so */

ssize_t preadv64v2(int file, const struct iovec *into, int count, off64_t offset, int flags) {
    static ssize_t (*read)(int, const struct iovec *, int, off64_t, int);
    if (!read) read = dlsym(RTLD_NEXT, "preadv64v2");
    struct iovec less = into[0];
    static int calls;
    int now = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST) % 3;
    if (now == 0) return faults++, errno = EINTR, -1;
    if (now == 1 && less.iov_len > 1000) faults++, less.iov_len = 1000, into = &less, count = 1;
    return read(file, into, count, offset, flags);
}

int madvise(void *address, size_t length, int advice) {
    static int (*advise)(void *, size_t, int);
    if (!advise) advise = dlsym(RTLD_NEXT, "madvise");
    static int calls;
    if (advice == POPULATE_READ && __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST) % 2 == 0)
        return faults++, errno = EINTR, -1;
    return advise(address, length, advice);
}
