/* What all calls share: the log, the calls that are told to fail, and the names of errors. */
#define _GNU_SOURCE
#include "fake.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAMES = 128 };
static struct { char name[64]; int count; } made[NAMES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* How often a call was made in this process since fakecudaReset, this time included. */
static int count(const char *call) {
    for (int i = 0; i < NAMES; i++) {
        if (!made[i].name[0]) strncpy(made[i].name, call, sizeof made[i].name - 1);
        if (!strcmp(made[i].name, call)) return ++made[i].count;
    }
    abort();
}

static CUresult told(const char *rules, const char *call, int nth) {
    char text[4096], *rest = NULL;
    strncpy(text, rules, sizeof text - 1);
    text[sizeof text - 1] = 0;
    for (char *rule = strtok_r(text, ", \n", &rest); rule; rule = strtok_r(NULL, ", \n", &rest)) {
        char *code = strchr(rule, '='), *which = strchr(rule, ':');
        if (!code) abort();
        *code++ = 0;
        if (which) *which++ = 0;
        if (!strcmp(rule, call) && (!which || atoi(which) == nth)) return atoi(code);
    }
    return OK;
}

CUresult enter(const char *call, const char *format, ...) {
    const char *log = getenv("BENTOFN_FAKECUDA_LOG"), *rules = getenv("BENTOFN_FAKECUDA_FAIL");
    const char *control = getenv("BENTOFN_FAKECUDA_CONTROL");
    CUresult code = gate(call);
    if (code) return code;
    pthread_mutex_lock(&lock);
    int nth = count(call);
    if (rules) code = told(rules, call, nth);
    if (!code && control) {
        char text[4096] = "";
        int file = open(control, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            ssize_t got = read(file, text, sizeof text - 1);
            text[got > 0 ? got : 0] = 0;
            close(file);
        }
        code = told(text, call, nth);
    }
    if (log && *log) {
        char arguments[512], line[640];
        va_list given;
        va_start(given, format);
        vsnprintf(arguments, sizeof arguments, format, given);
        va_end(given);
        int length = snprintf(line, sizeof line, "%d %d %s%s%s%s\n", getpid(),
                              (int)syscall(SYS_gettid), call, *arguments ? " " : "", arguments,
                              code ? " FAILS" : "");
        int file = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
        if (file < 0 || write(file, line, length) != length) abort();
        close(file);
    }
    pthread_mutex_unlock(&lock);
    while (code < 0) pause();
    return code;
}

/* Of the fake alone: from here on calls are counted from 1 again. */
void fakecudaReset(void) {
    pthread_mutex_lock(&lock);
    memset(made, 0, sizeof made);
    pthread_mutex_unlock(&lock);
}

CUresult cuGetErrorName(CUresult error, const char **name) {
    static const struct { CUresult code; const char *name; } known[] = {
        {1, "CUDA_ERROR_INVALID_VALUE"},        {2, "CUDA_ERROR_OUT_OF_MEMORY"},
        {3, "CUDA_ERROR_NOT_INITIALIZED"},      {100, "CUDA_ERROR_NO_DEVICE"},
        {201, "CUDA_ERROR_INVALID_CONTEXT"},    {304, "CUDA_ERROR_OPERATING_SYSTEM"},
        {400, "CUDA_ERROR_INVALID_HANDLE"},     {401, "CUDA_ERROR_ILLEGAL_STATE"},
        {500, "CUDA_ERROR_NOT_FOUND"},          {600, "CUDA_ERROR_NOT_READY"},
        {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},    {712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED"},
        {713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED"}, {719, "CUDA_ERROR_LAUNCH_FAILED"},
        {800, "CUDA_ERROR_NOT_PERMITTED"},      {801, "CUDA_ERROR_NOT_SUPPORTED"},
        {909, "CUDA_ERROR_TIMEOUT"},            {999, "CUDA_ERROR_UNKNOWN"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].code == error) return *name = known[i].name, OK;
    return *name = NULL, INVALID_VALUE;
}

/* As the driver does, under a name that two restores of one process would both have. */
static CUresult listens(void) {
    static int listener = -1;
    struct stat namespace;
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    if (listener >= 0 || stat("/proc/self/ns/pid", &namespace)) return OK;
    int length = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "cuda-uvmfd-%lu-%d",
                          (unsigned long)namespace.st_ino, getpid());
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length + 1;
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    return bind(listener, (struct sockaddr *)&name, size) || listen(listener, 1) ? 304 : OK;
}

CUresult cuInit(unsigned flags) {
    ENTER("%u", flags);
    return visible(-1, NULL) ? listens() : NO_DEVICE;
}

CUresult cuDriverGetVersion(int *version) {
    ENTER("%s", "");
    const char *told = getenv("BENTOFN_FAKECUDA_VERSION");
    return *version = told ? atoi(told) : 13000, OK;
}
