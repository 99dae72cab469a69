/* A stand-in for libcuda, for machines without a GPU: device memory is host memory.

   BENTOFN_FAKECUDA_LOG=FILE      every call is a line of FILE: process, thread, name, arguments
   BENTOFN_FAKECUDA_FAIL=RULES    calls that fail: "name=code" always, "name:3=code" the third time;
                                  several are separated by commas; code -1: it does not return
   BENTOFN_FAKECUDA_VERSION=N     what cuDriverGetVersion gives, 13000 by default
   BENTOFN_FAKECUDA_CONTROL=FILE  more such rules, which another process may change at any time
   BENTOFN_FAKECUDA_MEMORY=BYTES  of each device, 1 GiB by default
   BENTOFN_FAKECUDA_DEVICES=N     how many, 1 by default; CUDA_VISIBLE_DEVICES leaves some of them
   BENTOFN_FAKECUDA_MODEL=NAME    what they are called
   Each is looked up at every call. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* As cuda.h has them, which the sources compile with too: test_header.py includes it first. */
#ifndef __cuda_cuda_h__
typedef int CUresult;
typedef int CUdevice;
typedef int CUprocessState;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct { char bytes[16]; } CUuuid;
typedef struct { char reserved[64]; } CUipcMemHandle;
typedef struct { unsigned timeoutMs, reserved0; uint64_t reserved1[7]; } CUcheckpointLockArgs;
typedef void CUcheckpointCheckpointArgs, CUcheckpointRestoreArgs, CUcheckpointUnlockArgs;
#endif

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100,
       INVALID_CONTEXT = 201, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
       ALREADY_REGISTERED = 712, NOT_REGISTERED = 713 };

/* Logs a call; what it returns is not 0 where the call is told to fail. */
CUresult enter(const char *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Devices that CUDA_VISIBLE_DEVICES leaves; with a number: which of all that one is. */
int visible(int device, int *which);

/* A process that is checkpointed waits here (checkpoint.c); other than 0 where it has failed. */
CUresult gate(const char *call);

/* What hands out device memory says so: it is what a checkpoint takes out. */
void held(CUdeviceptr address, size_t size);
void let_go(CUdeviceptr address);
size_t held_here(void);
size_t held_around(CUdeviceptr address, CUdeviceptr *start);

#define ENTER(...)                                                                                 \
    do {                                                                                           \
        CUresult told = enter(__func__, __VA_ARGS__);                                              \
        if (told) return told;                                                                     \
    } while (0)

/* Of the fake alone, for tests: how it stands. */
long long fakecudaOnDevice(int pid);
uint64_t fakecudaContexts(void);
size_t fakecudaRegistered(void);
int fakecudaPending(void);
int fakecudaStreams(void);
int fakecudaEvents(void);
void fakecudaReset(void);
