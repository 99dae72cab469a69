/* Checkpoints of other processes. A process's state and what it holds of the device stand in its own
   memory, where the process that makes these calls finds them: in the data of this library, which is
   mapped from the same file. So they are with it when CRIU restores it under another number, and
   what is taken out is really gone: its bytes are scrambled until they are put back. */
#define _GNU_SOURCE
#include "fake.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 4096, ILLEGAL_STATE = 401, NOT_SUPPORTED = 801, LAUNCH_FAILED = 719 };
enum { RUNNING, LOCKED, CHECKPOINTED, FAILED };

static struct process {
    volatile int state;
    volatile int uses; /* whether CUDA was used here at all */
    struct { uint64_t address, size; } held[MANY];
} own;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* As large as no library is that a snapshot takes into its own memory: find() looks for the file. */
__attribute__((used)) static const char size[2 << 20] = {1};

/* Called by whatever hands out device memory. */
void held(CUdeviceptr address, size_t size) {
    pthread_mutex_lock(&lock);
    int i = 0;
    while (own.held[i].size && i < MANY - 1) i++;
    own.held[i].address = address;
    own.held[i].size = size;
    pthread_mutex_unlock(&lock);
}

void let_go(CUdeviceptr address) {
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MANY; i++)
        if (own.held[i].address == address) own.held[i].address = own.held[i].size = 0;
    pthread_mutex_unlock(&lock);
}

/* The allocation that an address is in; 0 where there is none. */
size_t held_around(CUdeviceptr address, CUdeviceptr *start) {
    size_t size = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < MANY && !size; i++)
        if (address - own.held[i].address < own.held[i].size)
            *start = own.held[i].address, size = own.held[i].size;
    pthread_mutex_unlock(&lock);
    return size;
}

size_t held_here(void) {
    size_t sum = 0;
    for (int i = 0; i < MANY; i++) sum += own.held[i].size;
    return sum;
}

/* Every other call than these passes here first, and waits while its process is locked. */
CUresult gate(const char *call) {
    if (!strncmp(call, "cuCheckpoint", 12)) return OK;
    if (strcmp(call, "cuInit") && strcmp(call, "cuDriverGetVersion")) own.uses = 1;
    while (own.state == LOCKED || own.state == CHECKPOINTED)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    return own.state == FAILED ? LAUNCH_FAILED : OK;
}

static CUresult copy(int pid, void *mine, uint64_t theirs, size_t size, int out) {
    struct iovec local = {mine, size}, remote = {(void *)theirs, size};
    ssize_t done = out ? process_vm_writev(pid, &local, 1, &remote, 1, 0)
                       : process_vm_readv(pid, &local, 1, &remote, 1, 0);
    return done == (ssize_t)size ? OK : 304;
}

/* Where a process has `own`; 0 where it does not use this library. */
static uint64_t find(int pid) {
    Dl_info about;
    char path[64], line[4096];
    if (!dladdr(&own, &about)) return 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "r");
    uint64_t base = 0, start, offset;
    while (maps && !base && fgets(line, sizeof line, maps)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "%lx-%*x %*s %lx", &start, &offset) == 2 && !offset &&
            strstr(line, about.dli_fname))
            base = start;
    }
    if (maps) fclose(maps);
    return base ? base + ((char *)&own - (char *)about.dli_fbase) : 0;
}

static CUresult look(int pid, uint64_t *where, struct process *what) {
    *where = find(pid);
    if (!*where) return INVALID_VALUE;
    CUresult code = copy(pid, what, *where, sizeof *what, 0);
    return code ? code : what->uses ? OK : INVALID_VALUE;
}

static CUresult become(int pid, uint64_t where, int state) {
    return copy(pid, &state, where + offsetof(struct process, state), sizeof state, 1);
}

/* What is on the device is not, and the other way round. */
static CUresult move(int pid, const struct process *what) {
    for (int i = 0; i < MANY; i++) {
        uint64_t size = what->held[i].size, address = what->held[i].address;
        unsigned char *bytes = malloc(size ? size : 1);
        CUresult code = copy(pid, bytes, address, size, 0);
        for (uint64_t j = 0; j < size; j++) bytes[j] ^= 0x5a;
        if (!code) code = copy(pid, bytes, address, size, 1);
        free(bytes);
        if (code) return code;
    }
    return OK;
}

/* One step of a process: FAILED is what it is afterwards where it was told to fail. */
static CUresult step(const char *call, int pid, int from, int to, int moves) {
    static struct process what; /* too large for the stack */
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    uint64_t where;
    CUresult told = enter(call, "%d", pid);
    pthread_mutex_lock(&turn);
    CUresult code = look(pid, &where, &what);
    if (!code && told && moves) become(pid, where, FAILED);
    if (!code) code = told;
    if (!code && what.state != from) code = ILLEGAL_STATE;
    if (!code && moves) code = move(pid, &what);
    if (!code) code = become(pid, where, to);
    pthread_mutex_unlock(&turn);
    return code;
}

CUresult cuCheckpointProcessGetState(int pid, CUprocessState *state) {
    static struct process what;
    uint64_t where;
    ENTER("%d", pid);
    CUresult code = look(pid, &where, &what);
    if (!code) *state = what.state;
    return code;
}

CUresult cuCheckpointProcessGetRestoreThreadId(int pid, int *tid) {
    ENTER("%d", pid);
    return *tid = pid, find(pid) ? OK : INVALID_VALUE;
}

CUresult cuCheckpointProcessLock(int pid, CUcheckpointLockArgs *arguments) {
    if (arguments && arguments->reserved0) return INVALID_VALUE;
    return step(__func__, pid, RUNNING, LOCKED, 0);
}

CUresult cuCheckpointProcessCheckpoint(int pid, CUcheckpointCheckpointArgs *arguments) {
    return arguments ? INVALID_VALUE : step(__func__, pid, LOCKED, CHECKPOINTED, 1);
}

CUresult cuCheckpointProcessRestore(int pid, CUcheckpointRestoreArgs *arguments) {
    return arguments ? INVALID_VALUE : step(__func__, pid, CHECKPOINTED, LOCKED, 1);
}

CUresult cuCheckpointProcessUnlock(int pid, CUcheckpointUnlockArgs *arguments) {
    return arguments ? INVALID_VALUE : step(__func__, pid, LOCKED, RUNNING, 0);
}

/* Of the fake alone: bytes that a process has on the device now; -1 where it does not use CUDA. */
long long fakecudaOnDevice(int pid) {
    static struct process what;
    uint64_t where;
    long long sum = 0;
    if (look(pid, &where, &what)) return -1;
    if (what.state == CHECKPOINTED) return 0;
    for (int i = 0; i < MANY; i++) sum += what.held[i].size;
    return sum;
}
