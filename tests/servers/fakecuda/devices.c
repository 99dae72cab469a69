/* The device, its context and plain memory of it. */
#include "fake.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t total(void) {
    const char *told = getenv("BENTOFN_FAKECUDA_MEMORY");
    return told ? strtoull(told, NULL, 10) : (size_t)1 << 30;
}

/* By number or UUID; what follows one that there is not is not seen. */
int visible(int device, int *which) {
    const char *told = getenv("BENTOFN_FAKECUDA_DEVICES"), *named = getenv("CUDA_VISIBLE_DEVICES");
    int all = told ? atoi(told) : 1, seen = 0;
    char text[4096], *rest = NULL;
    snprintf(text, sizeof text, "%s", named ? named : "");
    char *name = named ? strtok_r(text, ",", &rest) : NULL;
    for (int i = 0; named ? name != NULL : i < all; i++) {
        char *last = name ? strrchr(name, '-') : NULL;
        int number = !name ? i : last && last != name ? (int)strtol(last + 1, NULL, 16) : atoi(name);
        if (number < 0 || number >= all) break;
        if (seen++ == device && which) *which = number;
        if (name) name = strtok_r(NULL, ",", &rest);
    }
    return seen;
}

enum { DEVICES = 64 };
static int active[DEVICES]; /* how often each device's context is held */

CUresult cuDeviceGetCount(int *count) {
    ENTER("%s", "");
    return *count = visible(-1, NULL), OK;
}

CUresult cuDeviceGet(CUdevice *device, int number) {
    ENTER("%d", number);
    return *device = number, OK;
}

CUresult cuDeviceGetName(char *name, int size, CUdevice device) {
    ENTER("%d", device);
    const char *told = getenv("BENTOFN_FAKECUDA_MODEL");
    return snprintf(name, size, "%s", told ? told : "Stand-in"), OK;
}

CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    ENTER("%d", device);
    int which = 0;
    visible(device, &which);
    memset(uuid, 0, sizeof *uuid);
    return uuid->bytes[15] = which, OK;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    ENTER("%d", device);
    return *bytes = total(), OK;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *is_active) {
    ENTER("%d", device);
    return *flags = 0, *is_active = active[device] > 0, OK;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    ENTER("%d", device);
    if (device < 0 || device >= DEVICES) return INVALID_VALUE;
    active[device]++;
    return *context = (CUcontext)&active[device], OK;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    ENTER("%d", device);
    active[device]--;
    return OK;
}

/* Of the fake alone: the devices that this process has a context on, a bit each. */
uint64_t fakecudaContexts(void) {
    uint64_t found = 0;
    for (int i = 0; i < DEVICES; i++) found |= (uint64_t)(active[i] > 0) << i;
    return found;
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
    ENTER("%p", context);
    return OK;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
    ENTER("%s", "");
    return *context = (CUcontext)active, OK;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER("%p", context);
    return OK;
}

/* Of this process alone: who knows of no other may be in a pid namespace. */
CUresult cuMemGetInfo_v2(size_t *left, size_t *all) {
    ENTER("%s", "");
    return *all = total(), *left = *all - held_here(), OK;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t size) {
    ENTER("%zu", size);
    if (!fakecudaContexts()) return INVALID_CONTEXT;
    if (size > total() - held_here()) return OUT_OF_MEMORY;
    void *memory = malloc(size);
    if (!memory) return OUT_OF_MEMORY;
    held(*address = (CUdeviceptr)memory, size);
    return OK;
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    ENTER("%#llx", address);
    let_go(address);
    return free((void *)address), OK;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size) {
    ENTER("%zu", size);
    return memcpy((void *)to, from, size), OK;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size) {
    ENTER("%zu", size);
    return memcpy(to, (void *)from, size), OK;
}
