/* A CUDA driver without a device, for tests.
 *
 *     cc -shared -fPIC -O1 -Wall -Wl,-soname,libcuda.so.1 -o DIR/libcuda.so.1 cuda.c -lpthread
 *     LD_LIBRARY_PATH=DIR the_program
 *
 * "Device" memory is memory of this process, so a test can read it at its address. Asynchronous copies
 * between it and page-locked memory are put off until something waits for them (a synchronisation, an event, a
 * query), and only then read their source: a program that forgets to wait sees old bytes, or sends those written
 * too early. Copies of memory that is not page-locked happen at once, as with the real driver. Streams are queues
 * that know nothing of each other, the default stream (0 and 1) included: it asks for more events than the real one.
 *
 * Misuse that the real driver would answer by breaking something aborts: a copy that runs when its memory is
 * gone, memory freed or unlocked with copies to come. Calls that need a current context refuse without one.
 *
 * FAKE_CUDA_DEVICES=n    how many devices there are (1)
 * FAKE_CUDA_FAIL=spec    calls that fail, separated by commas: name, name:nth, name=code, name:nth=code;
 *                        names without _v2; code 999 unless given; read at every call
 * FAKE_CUDA_LOG=file     a line per call and per copy done is appended
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef int Result;
enum {
    OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
    ALREADY_REGISTERED = 712, NOT_REGISTERED = 713, NOT_PERMITTED = 800, NOT_SUPPORTED = 801, UNKNOWN = 999
};
static const struct { Result code; const char *name, *text; } WORDS[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {ALREADY_REGISTERED, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the memory is registered already"},
    {NOT_REGISTERED, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "the memory is not registered"},
    {NOT_PERMITTED, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

enum { MAX = 256, DEVICES = 8 };
enum Kind { DEVICE_MEMORY = 1, HOST_MEMORY, REGISTERED };
struct Span { uintptr_t at; size_t bytes; enum Kind kind; };
enum What { TO_DEVICE, TO_HOST, MARK, HOLD };
struct Op { enum What what; uintptr_t to, from; size_t bytes; struct Event *event; uint64_t turn; };
struct Stream { uintptr_t handle; struct Op *ops; size_t first, end, room; };
struct Event { struct Stream *stream; uint64_t recorded, passed; double ms; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ready, retained[DEVICES];
static struct Span spans[MAX];
static struct Stream *streams[MAX];
static __thread uintptr_t stack[64];
static __thread int depth;

static void say(const char *format, ...) {
    const char *path = getenv("FAKE_CUDA_LOG");
    if (!path) return;
    char line[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (n > (int)sizeof line - 2) n = sizeof line - 2;
    line[n++] = '\n';
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0 || write(file, line, n) != n) { /* a test will miss the line */ }
    if (file >= 0) close(file);
}

static void die(const char *why) {
    say("VIOLATION %s", why);
    fprintf(stderr, "fake CUDA driver: %s\n", why);
    abort();
}

/* The code a call shall fail with, or OK. */
static Result told_to_fail(const char *name) {
    static struct { const char *name; int calls; } counts[64];
    int nth = 0;
    for (int i = 0; i < 64; i++) {
        if (!counts[i].name) counts[i].name = name;
        if (!strcmp(counts[i].name, name)) { nth = ++counts[i].calls; break; }
    }
    const char *spec = getenv("FAKE_CUDA_FAIL");
    size_t length = strlen(name);
    while (spec && *spec) {
        if (!strncmp(spec, name, length) && strchr(":=,", spec[length])) {
            char *rest = (char *)spec + length;
            long only = *rest == ':' ? strtol(rest + 1, &rest, 10) : nth;
            long code = *rest == '=' ? strtol(rest + 1, &rest, 10) : UNKNOWN;
            if (only == nth) return code;
        }
        spec = strchr(spec, ',');
        spec = spec ? spec + 1 : NULL;
    }
    return OK;
}

#define BEGIN(name, ...) \
    pthread_mutex_lock(&lock); \
    say(name " " __VA_ARGS__); \
    Result answer = ready || !strcmp(name, "cuInit") ? told_to_fail(name) : NOT_INITIALIZED; \
    if (answer != OK) goto end
#define NEED_CONTEXT \
    if (!depth) { answer = INVALID_CONTEXT; goto end; }
#define END \
    end: pthread_mutex_unlock(&lock); \
    return answer

static int devices(void) {
    const char *n = getenv("FAKE_CUDA_DEVICES");
    int count = n ? atoi(n) : 1;
    return count < 0 ? 0 : count > DEVICES ? DEVICES : count;
}

static struct Span *within(uintptr_t at, size_t bytes, int kinds) {
    for (int i = 0; i < MAX; i++)
        if (spans[i].kind && (1 << spans[i].kind & kinds) && spans[i].at <= at &&
            at + bytes <= spans[i].at + spans[i].bytes)
            return &spans[i];
    return NULL;
}
#define ON_DEVICE (1 << DEVICE_MEMORY)
#define LOCKED (1 << HOST_MEMORY | 1 << REGISTERED)

static struct Span *keep(uintptr_t at, size_t bytes, enum Kind kind) {
    for (int i = 0; i < MAX; i++)
        if (!spans[i].kind) {
            spans[i] = (struct Span){at, bytes, kind};
            return &spans[i];
        }
    return NULL;
}

static struct Span *starts(uintptr_t at, enum Kind kind) {
    for (int i = 0; i < MAX; i++)
        if (spans[i].kind == kind && spans[i].at == at) return &spans[i];
    return NULL;
}

static struct Stream *stream_of(uintptr_t handle) {
    if (handle == 1) handle = 0; /* two names of the legacy default */
    for (int i = 0; i < MAX; i++) {
        if (!streams[i]) {
            if (handle > 2) return NULL; /* not made by cuStreamCreate */
            streams[i] = calloc(1, sizeof *streams[i]);
            streams[i]->handle = handle;
        }
        if (streams[i]->handle == handle) return streams[i];
    }
    return NULL;
}

static void put(struct Stream *stream, struct Op op) {
    if (stream->end == stream->room) {
        stream->room = stream->room ? 2 * stream->room : 64;
        stream->ops = realloc(stream->ops, stream->room * sizeof op);
    }
    stream->ops[stream->end++] = op;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
}

static void run_until(struct Stream *stream, struct Event *event, uint64_t turn);

static void run_one(struct Stream *stream) {
    struct Op op = stream->ops[stream->first++];
    if (stream->first == stream->end) stream->first = stream->end = 0;
    switch (op.what) {
    case TO_DEVICE:
    case TO_HOST:
        if (!within(op.what == TO_DEVICE ? op.to : op.from, op.bytes, ON_DEVICE))
            die("a copy runs, but its device memory is gone");
        memcpy((void *)op.to, (void *)op.from, op.bytes);
        say("copied %s bytes=%zu", op.what == TO_DEVICE ? "HtoD" : "DtoH", op.bytes);
        break;
    case MARK:
        if (op.turn > op.event->passed) op.event->passed = op.turn;
        op.event->ms = now_ms();
        break;
    case HOLD:
        run_until((struct Stream *)op.from, op.event, op.turn);
        break;
    }
}

static void run(struct Stream *stream) {
    while (stream->first < stream->end) run_one(stream);
}

static void run_until(struct Stream *stream, struct Event *event, uint64_t turn) {
    while (event->passed < turn && stream->first < stream->end) run_one(stream);
}

/* Is memory used by a copy to come? */
static int pending(uintptr_t at, size_t bytes) {
    for (int i = 0; i < MAX && streams[i]; i++)
        for (size_t j = streams[i]->first; j < streams[i]->end; j++) {
            struct Op *op = &streams[i]->ops[j];
            if (op->what != TO_DEVICE && op->what != TO_HOST) continue;
            if ((op->to < at + bytes && at < op->to + op->bytes) ||
                (op->from < at + bytes && at < op->from + op->bytes))
                return 1;
        }
    return 0;
}

static Result copy(enum What what, uintptr_t to, uintptr_t from, size_t bytes, uintptr_t handle,
                   int blocking) {
    struct Stream *stream = stream_of(handle);
    if (!stream) return INVALID_HANDLE;
    uintptr_t host = what == TO_DEVICE ? from : to;
    if (!within(what == TO_DEVICE ? to : from, bytes, ON_DEVICE)) return INVALID_VALUE;
    put(stream, (struct Op){.what = what, .to = to, .from = from, .bytes = bytes});
    if (blocking || !within(host, bytes, LOCKED)) run(stream);
    return OK;
}

Result cuInit(unsigned flags) {
    BEGIN("cuInit", "flags=%u", flags);
    if (!devices()) { answer = NO_DEVICE; goto end; }
    ready = 1;
    END;
}

static Result word(Result code, const char **out, int text) {
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (WORDS[i].code == code) {
            *out = text ? WORDS[i].text : WORDS[i].name;
            return OK;
        }
    *out = NULL;
    return INVALID_VALUE;
}

Result cuGetErrorName(Result code, const char **out) { return word(code, out, 0); }
Result cuGetErrorString(Result code, const char **out) { return word(code, out, 1); }

Result cuDriverGetVersion(int *version) {
    *version = 13000;
    return OK;
}

Result cuDeviceGetCount(int *count) {
    BEGIN("cuDeviceGetCount", "");
    *count = devices();
    END;
}

Result cuDeviceGet(int *device, int ordinal) {
    BEGIN("cuDeviceGet", "ordinal=%d", ordinal);
    if (ordinal < 0 || ordinal >= devices()) { answer = INVALID_DEVICE; goto end; }
    *device = ordinal;
    END;
}

Result cuDeviceGetName(char *name, int length, int device) {
    BEGIN("cuDeviceGetName", "device=%d", device);
    snprintf(name, length, "Fake %d", device);
    END;
}

Result cuDevicePrimaryCtxRetain(void **context, int device) {
    BEGIN("cuDevicePrimaryCtxRetain", "device=%d", device);
    retained[device]++;
    *context = &retained[device];
    END;
}

Result cuDevicePrimaryCtxRelease_v2(int device) {
    BEGIN("cuDevicePrimaryCtxRelease", "device=%d", device);
    if (--retained[device] < 0) die("a primary context is released more often than retained");
    END;
}

Result cuCtxPushCurrent_v2(void *context) {
    BEGIN("cuCtxPushCurrent", "");
    if (depth == 64) die("contexts are pushed and never popped");
    stack[depth++] = (uintptr_t)context;
    END;
}

Result cuCtxPopCurrent_v2(void **context) {
    BEGIN("cuCtxPopCurrent", "");
    NEED_CONTEXT;
    *context = (void *)stack[--depth];
    END;
}

Result cuCtxGetCurrent(void **context) {
    BEGIN("cuCtxGetCurrent", "");
    *context = depth ? (void *)stack[depth - 1] : NULL;
    END;
}

Result cuCtxSynchronize(void) {
    BEGIN("cuCtxSynchronize", "");
    NEED_CONTEXT;
    for (int i = 0; i < MAX && streams[i]; i++) run(streams[i]);
    END;
}

Result cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    BEGIN("cuMemAlloc", "bytes=%zu", bytes);
    NEED_CONTEXT;
    void *memory;
    if (!bytes || posix_memalign(&memory, 512, bytes)) { answer = OUT_OF_MEMORY; goto end; }
    memset(memory, 0xdb, bytes);
    if (!keep((uintptr_t)memory, bytes, DEVICE_MEMORY)) die("too many allocations for the fake");
    *address = (uintptr_t)memory;
    END;
}

/* The real driver waits for work with the memory; whoever relies on it loses what it was to do. */
Result cuMemFree_v2(unsigned long long address) {
    BEGIN("cuMemFree", "");
    NEED_CONTEXT;
    struct Span *span = starts(address, DEVICE_MEMORY);
    if (!span) { answer = INVALID_VALUE; goto end; }
    if (pending(span->at, span->bytes)) die("device memory is freed with copies to come");
    free((void *)span->at);
    span->kind = 0;
    END;
}

Result cuMemAllocHost_v2(void **host, size_t bytes) {
    BEGIN("cuMemAllocHost", "bytes=%zu", bytes);
    NEED_CONTEXT;
    if (posix_memalign(host, 4096, bytes) || !keep((uintptr_t)*host, bytes, HOST_MEMORY))
        answer = OUT_OF_MEMORY;
    END;
}

Result cuMemFreeHost(void *host) {
    BEGIN("cuMemFreeHost", "");
    struct Span *span = starts((uintptr_t)host, HOST_MEMORY);
    if (!span) { answer = INVALID_VALUE; goto end; }
    if (pending(span->at, span->bytes)) die("host memory is freed with copies to come");
    free(host);
    span->kind = 0;
    END;
}

Result cuMemHostRegister_v2(void *host, size_t bytes, unsigned flags) {
    BEGIN("cuMemHostRegister", "bytes=%zu flags=%u", bytes, flags);
    NEED_CONTEXT;
    uintptr_t at = (uintptr_t)host;
    for (int i = 0; i < MAX; i++)
        if (spans[i].kind == REGISTERED && spans[i].at < at + bytes && at < spans[i].at + spans[i].bytes) {
            answer = ALREADY_REGISTERED;
            goto end;
        }
    if (!bytes || at % 4096 || bytes % 4096) { answer = INVALID_VALUE; goto end; }
    if (!keep(at, bytes, REGISTERED)) die("too many page locks for the fake");
    END;
}

Result cuMemHostUnregister(void *host) {
    BEGIN("cuMemHostUnregister", "");
    NEED_CONTEXT;
    struct Span *span = starts((uintptr_t)host, REGISTERED);
    if (!span) { answer = NOT_REGISTERED; goto end; }
    if (pending(span->at, span->bytes)) die("host memory is unlocked with copies to come");
    span->kind = 0;
    END;
}

Result cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
    BEGIN("cuMemcpyHtoDAsync", "bytes=%zu stream=%#lx", bytes, (unsigned long)stream);
    NEED_CONTEXT;
    answer = copy(TO_DEVICE, to, (uintptr_t)from, bytes, (uintptr_t)stream, 0);
    END;
}

Result cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
    BEGIN("cuMemcpyDtoHAsync", "bytes=%zu stream=%#lx", bytes, (unsigned long)stream);
    NEED_CONTEXT;
    answer = copy(TO_HOST, (uintptr_t)to, from, bytes, (uintptr_t)stream, 0);
    END;
}

Result cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t bytes) {
    BEGIN("cuMemcpyHtoD", "bytes=%zu", bytes);
    NEED_CONTEXT;
    answer = copy(TO_DEVICE, to, (uintptr_t)from, bytes, 0, 1);
    END;
}

Result cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t bytes) {
    BEGIN("cuMemcpyDtoH", "bytes=%zu", bytes);
    NEED_CONTEXT;
    answer = copy(TO_HOST, (uintptr_t)to, from, bytes, 0, 1);
    END;
}

Result cuStreamCreate(void **stream, unsigned flags) {
    BEGIN("cuStreamCreate", "flags=%u", flags);
    NEED_CONTEXT;
    for (int i = 0; i < MAX; i++)
        if (!streams[i]) {
            streams[i] = calloc(1, sizeof **streams);
            *stream = streams[i];
            streams[i]->handle = (uintptr_t)*stream;
            goto end;
        }
    answer = OUT_OF_MEMORY;
    END;
}

Result cuStreamDestroy_v2(void *stream) {
    BEGIN("cuStreamDestroy", "");
    if (!stream_of((uintptr_t)stream)) answer = INVALID_HANDLE; /* kept: others may wait for its work */
    END;
}

static Result finish(uintptr_t handle) {
    struct Stream *stream = stream_of(handle);
    if (stream) run(stream);
    return stream ? OK : INVALID_HANDLE;
}

Result cuStreamSynchronize(void *stream) {
    BEGIN("cuStreamSynchronize", "stream=%#lx", (unsigned long)stream);
    NEED_CONTEXT;
    answer = finish((uintptr_t)stream);
    END;
}

Result cuStreamQuery(void *stream) {
    BEGIN("cuStreamQuery", "stream=%#lx", (unsigned long)stream);
    NEED_CONTEXT;
    answer = finish((uintptr_t)stream);
    END;
}

Result cuStreamWaitEvent(void *stream, struct Event *event, unsigned flags) {
    BEGIN("cuStreamWaitEvent", "stream=%#lx flags=%u", (unsigned long)stream, flags);
    struct Stream *queue = stream_of((uintptr_t)stream);
    if (!queue || !event) { answer = INVALID_HANDLE; goto end; }
    uintptr_t other = (uintptr_t)event->stream; /* as it is now: the event may be recorded anew */
    struct Op op = {.what = HOLD, .from = other, .event = event, .turn = event->recorded};
    if (event->recorded) put(queue, op);
    END;
}

Result cuEventCreate(struct Event **event, unsigned flags) {
    BEGIN("cuEventCreate", "flags=%u", flags);
    NEED_CONTEXT;
    *event = calloc(1, sizeof **event);
    END;
}

Result cuEventDestroy_v2(struct Event *event) {
    BEGIN("cuEventDestroy", "");
    if (!event) answer = INVALID_HANDLE; /* kept: a queue may still hold it */
    END;
}

Result cuEventRecord(struct Event *event, void *stream) {
    BEGIN("cuEventRecord", "stream=%#lx", (unsigned long)stream);
    NEED_CONTEXT;
    struct Stream *queue = stream_of((uintptr_t)stream);
    if (!queue || !event) { answer = INVALID_HANDLE; goto end; }
    event->stream = queue;
    put(queue, (struct Op){.what = MARK, .event = event, .turn = ++event->recorded});
    END;
}

Result cuEventSynchronize(struct Event *event) {
    BEGIN("cuEventSynchronize", "");
    if (!event) { answer = INVALID_HANDLE; goto end; }
    if (event->recorded) run_until(event->stream, event, event->recorded);
    END;
}

Result cuEventQuery(struct Event *event) {
    BEGIN("cuEventQuery", "");
    if (!event) { answer = INVALID_HANDLE; goto end; }
    if (event->recorded) run_until(event->stream, event, event->recorded);
    END;
}

Result cuEventElapsedTime_v2(float *ms, struct Event *begin, struct Event *end_) {
    BEGIN("cuEventElapsedTime", "");
    if (!begin->recorded || !end_->recorded) answer = INVALID_HANDLE;
    else if (begin->passed < begin->recorded || end_->passed < end_->recorded) answer = NOT_READY;
    else *ms = end_->ms - begin->ms;
    END;
}
