/* Host memory that is registered, streams, events, and copies between processes.

   What is asked for on a stream happens when somebody waits for it and not before, so that a wait
   that is missing shows as wrong bytes.

   BENTOFN_FAKECUDA_PINNED=BYTES  how much host memory may be registered, any by default */
#define _GNU_SOURCE
#include "fake.h"
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct Step Step;
struct CUstream_st { Step *first, **last; };
struct CUevent_st { CUstream stream; };
struct Step { CUdeviceptr to; const void *from; size_t size; CUevent event; Step *next; };

/* Memory of other processes is from here on, where no process has anything. */
static const CUdeviceptr FOREIGN = (CUdeviceptr)1 << 62;

typedef struct Range { uintptr_t start; size_t size; pid_t owner; CUdeviceptr there; struct Range *next; } Range;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Range *registered, *opened;
static int streams, events, pending;

static Range **find(Range **list, uintptr_t address, size_t size) {
    for (; *list; list = &(*list)->next)
        if (address < (*list)->start + (*list)->size && (*list)->start < address + size) break;
    return list;
}

static Range *add(Range **list, Range range) {
    Range *made = malloc(sizeof range);
    *made = range, made->next = *list;
    return *list = made;
}

static void take(Range **place) {
    Range *gone = *place;
    *place = gone->next;
    free(gone);
}

CUresult cuMemHostRegister_v2(void *address, size_t size, unsigned flags) {
    ENTER("%zu %u", size, flags);
    const char *most = getenv("BENTOFN_FAKECUDA_PINNED");
    CUresult code = OK;
    pthread_mutex_lock(&lock);
    size_t all = size;
    for (Range *each = registered; each; each = each->next) all += each->size;
    if (*find(&registered, (uintptr_t)address, size)) code = ALREADY_REGISTERED;
    else if (most && all > strtoull(most, NULL, 10)) code = OUT_OF_MEMORY;
    else add(&registered, (Range){(uintptr_t)address, size, 0, 0, NULL});
    pthread_mutex_unlock(&lock);
    return code;
}

CUresult cuMemHostUnregister(void *address) {
    ENTER("%s", "");
    CUresult code = OK;
    pthread_mutex_lock(&lock);
    Range **found = find(&registered, (uintptr_t)address, 1);
    if (*found && (*found)->start == (uintptr_t)address) take(found);
    else code = NOT_REGISTERED;
    pthread_mutex_unlock(&lock);
    return code;
}

/* Of the fake alone: what this process holds. */
size_t fakecudaRegistered(void) {
    size_t all = 0;
    for (Range *each = registered; each; each = each->next) all += each->size;
    return all;
}

/* Copies that nobody has waited for. */
int fakecudaPending(void) { return pending; }
int fakecudaStreams(void) { return streams; }
int fakecudaEvents(void) { return events; }

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
    ENTER("%u", flags);
    *stream = calloc(1, sizeof **stream);
    (*stream)->last = &(*stream)->first;
    __atomic_add_fetch(&streams, 1, __ATOMIC_SEQ_CST);
    return OK;
}

static CUresult copy(Step *step) {
    if (step->to < FOREIGN) return memcpy((void *)step->to, step->from, step->size), OK;
    Range *there = *find(&opened, step->to, 1);
    if (!there || step->to + step->size > there->start + there->size) return ILLEGAL_ADDRESS;
    struct iovec from = {(void *)step->from, step->size};
    struct iovec to = {(void *)(there->there + (step->to - there->start)), step->size};
    return process_vm_writev(there->owner, &from, 1, &to, 1, 0) == (ssize_t)step->size
               ? OK : ILLEGAL_ADDRESS;
}

/* Do what a stream was asked for, up to an event or all of it. */
static CUresult carry_out(CUstream stream, CUevent until) {
    CUresult code = OK;
    int is_there = !until;
    for (Step *step = stream->first; step; step = step->next) is_there |= step->event == until;
    while (is_there && stream->first) {
        Step *step = stream->first;
        stream->first = step->next;
        if (!step->next) stream->last = &stream->first;
        if (!step->event) pending--;
        if (!step->event && !code) code = copy(step);
        int is_last = step->event && step->event == until;
        free(step);
        if (is_last) break;
    }
    return code;
}

static void ask(CUstream stream, Step step) {
    Step *made = malloc(sizeof step);
    *made = step;
    pthread_mutex_lock(&lock);
    *stream->last = made, stream->last = &made->next;
    if (!step.event) pending++;
    pthread_mutex_unlock(&lock);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    ENTER("%zu", size);
    return ask(stream, (Step){to, from, size, NULL, NULL}), OK;
}

CUresult cuStreamSynchronize(CUstream stream) {
    CUresult told = enter(__func__, "%s", "");
    pthread_mutex_lock(&lock);
    CUresult code = carry_out(stream, NULL); /* after an error nothing is under way either */
    pthread_mutex_unlock(&lock);
    return told ? told : code;
}

CUresult cuStreamDestroy_v2(CUstream stream) {
    ENTER("%s", "");
    if (stream->first) abort(); /* its work would be lost */
    __atomic_sub_fetch(&streams, 1, __ATOMIC_SEQ_CST);
    return free(stream), OK;
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
    ENTER("%u", flags);
    *event = calloc(1, sizeof **event);
    __atomic_add_fetch(&events, 1, __ATOMIC_SEQ_CST);
    return OK;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    ENTER("%s", "");
    event->stream = stream;
    return ask(stream, (Step){0, NULL, 0, event, NULL}), OK;
}

CUresult cuEventSynchronize(CUevent event) {
    ENTER("%s", "");
    pthread_mutex_lock(&lock);
    CUresult code = event->stream ? carry_out(event->stream, event) : OK;
    pthread_mutex_unlock(&lock);
    return code;
}

CUresult cuEventDestroy_v2(CUevent event) {
    ENTER("%s", "");
    __atomic_sub_fetch(&events, 1, __ATOMIC_SEQ_CST);
    return free(event), OK;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *start, size_t *size, CUdeviceptr address) {
    ENTER("%#llx", address);
    pthread_mutex_lock(&lock);
    Range *there = *find(&opened, address, 1);
    pthread_mutex_unlock(&lock);
    if (there) return *start = there->start, *size = there->size, OK;
    if ((*size = held_around(address, start))) return OK;
    /* A tensor of the tests', which begins where its memory does. */
    return *start = address, *size = malloc_usable_size((void *)address), OK;
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr address) {
    ENTER("%#llx", address);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY); /* the other process writes into this one */
    pid_t pid = getpid();
    memset(handle, 0, sizeof *handle);
    memcpy(handle->reserved, &pid, sizeof pid);
    memcpy(handle->reserved + 8, &address, sizeof address);
    size_t size = held_around(address, &address);
    if (!size) size = malloc_usable_size((void *)address);
    memcpy(handle->reserved + 16, &size, sizeof size);
    return OK;
}

CUresult cuIpcOpenMemHandle_v2(CUdeviceptr *address, CUipcMemHandle handle, unsigned flags) {
    ENTER("%u", flags);
    static CUdeviceptr next = FOREIGN;
    Range range = {0, 0, 0, 0, NULL};
    memcpy(&range.owner, handle.reserved, sizeof range.owner);
    memcpy(&range.there, handle.reserved + 8, sizeof range.there);
    memcpy(&range.size, handle.reserved + 16, sizeof range.size);
    if (!range.size) return INVALID_VALUE;
    pthread_mutex_lock(&lock);
    range.start = next, next += (CUdeviceptr)1 << 44; /* what is behind it is nobody's */
    *address = add(&opened, range)->start;
    pthread_mutex_unlock(&lock);
    return OK;
}

CUresult cuIpcCloseMemHandle(CUdeviceptr address) {
    ENTER("%s", "");
    pthread_mutex_lock(&lock);
    Range **found = find(&opened, address, 1);
    CUresult code = *found ? OK : INVALID_VALUE;
    if (*found) take(found);
    pthread_mutex_unlock(&lock);
    return code;
}
