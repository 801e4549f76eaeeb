// A libcuda.so.1 look-alike: device memory is host memory, kernels run in the emulator. It checks what the real driver
// checks and our tests rely on: contexts, launch limits, opt-in shared memory, device indices, a full device, freed
// memory, what may not be done while a stream is captured. Where the real driver leaves a choice it takes the worst:
// enqueued work runs only when something waits for it (with an odd HBAR_EMU_ORDER: at once), memory is NaN before it is
// written and after it is freed, and what CUDA calls potentially unsafe during a capture is refused.
#include "emu.h"
#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include "registry.h"
#include "waiting.h"

typedef int R;
typedef uint64_t P;
enum {
  OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200, NO_BINARY = 209,
  INVALID_CONTEXT = 201, INVALID_PTX = 218, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600,
  ILLEGAL_ADDRESS = 700, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_MERGE = 902, CAPTURE_UNMATCHED = 903,
  CAPTURE_UNJOINED = 904, CAPTURE_ISOLATION = 905, CAPTURED_EVENT = 907, CAPTURE_WRONG_THREAD = 908,
};
static const struct { int code; const char *name, *text; } errors[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {NO_BINARY, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {ILLEGAL_STATE, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {CAPTURE_MERGE, "CUDA_ERROR_STREAM_CAPTURE_MERGE", "operation would make a merge of separate capture sequences"},
    {CAPTURE_UNMATCHED, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not ended in the same stream as it began"},
    {CAPTURE_UNJOINED, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
    {CAPTURE_ISOLATION, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {CAPTURED_EVENT, "CUDA_ERROR_CAPTURED_EVENT", "operation not permitted on an event last recorded in a capturing stream"},
    {CAPTURE_WRONG_THREAD, "CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD", "attempt to terminate a thread-local capture sequence from another thread"},
};

// One call at a time, whatever thread it comes from.
static std::recursive_mutex big;
#define API extern "C" R
#define ENTER std::lock_guard<std::recursive_mutex> hold(big)
static int contexts;  // how often the device's primary context is retained
static thread_local void* cur_ctx;
static R sticky;  // an error of work that ran: every call that waits returns it from then on
#define CONTEXT ENTER; if (!cur_ctx || !contexts) return INVALID_CONTEXT
static size_t env_size(const char* name, size_t otherwise) {
  const char* v = getenv(name);
  return v && *v ? strtoull(v, 0, 10) : otherwise;
}

#include "driver_streams.h"

// --- devices and contexts

API cuInit(unsigned) {
  const char* v = getenv("CUDA_VISIBLE_DEVICES");  // as the driver: set but empty hides every device
  return v && !*v ? NO_DEVICE : OK;
}
API cuDriverGetVersion(int* v) { *v = 11080; return OK; }
// There may be several devices, of which a process uses one.
static int device_count() { return (int)env_size("HBAR_EMU_DEVICES", 1); }
static int device;  // that is in use
API cuDeviceGetCount(int* n) { *n = device_count(); return OK; }
API cuDeviceGet(int* d, int i) { *d = i; return i < 0 || i >= device_count() ? INVALID_DEVICE : OK; }
API cuDeviceGetPCIBusId(char* s, int n, int d) { snprintf(s, n, "0000:%02x:00.0", 0x10 + d); return OK; }
API cuDeviceGetName(char* s, int n, int) { snprintf(s, n, "CPU emulation"); return OK; }
// Compute capability times ten, 90 for 9.0.
static int capability() {
  const char* v = getenv("HBAR_EMU_CAPABILITY");
  return v && *v ? (int)lround(10 * atof(v)) : 90;
}
static bool pools_exist() { return env_size("HBAR_EMU_POOLS", 1); }
API cuDeviceGetAttribute(int* v, int a, int) {
  switch (a) {
    case 13: *v = 1830000; break;   // clock, kHz
    case 16: *v = 2; break;         // SMs
    case 75: *v = capability() / 10; break;
    case 76: *v = capability() % 10; break;
    case 97: *v = 232448; break;    // opt-in shared memory a block
    case 115: *v = pools_exist(); break;
    default: *v = 0;
  }
  return OK;
}
API cuDevicePrimaryCtxRetain(void** c, int d) {
  ENTER;
  if (contexts && d != device) return NOT_SUPPORTED;
  device = d, contexts++, *c = &contexts;
  return OK;
}
API cuCtxSetCurrent(void* c) { cur_ctx = c; return OK; }
API cuCtxSynchronize() { CONTEXT; NO_CAPTURE; finish_all(); return sticky; }

#include "driver_memory.h"

// --- copies

// A copy or a fill of memory that does not exist when it runs is an illegal access.
static bool touch(P p, size_t n) {
  auto i = blocks.upper_bound(p);
  const bool ok = i != blocks.begin() && (--i, p - i->first <= i->second.n && n <= i->second.n - (p - i->first));
  if (!ok) sticky = ILLEGAL_ADDRESS;
  return ok;
}
API cuMemcpyHtoD_v2(P d, const void* s, size_t n) {
  CONTEXT;
  NO_CAPTURE;
  if (!inside(d, n)) return INVALID_VALUE;
  finish_legacy();
  memcpy((void*)d, s, n);
  return sticky;
}
API cuMemcpyDtoH_v2(void* d, P s, size_t n) {
  CONTEXT;
  NO_CAPTURE;
  if (!inside(s, n)) return INVALID_VALUE;
  finish_legacy();
  memcpy(d, (void*)s, n);
  return sticky;
}
API cuMemcpyHtoDAsync_v2(P d, const void* s, size_t n, Stream* t) {
  CONTEXT;
  STREAM(t);
  if (!inside(d, n)) return INVALID_VALUE;
  if (is_pinned(s, n)) return enqueue(t, [=] { if (touch(d, n)) memcpy((void*)d, s, n); });
  if (t->capture) { t->capture->broken = true; return CAPTURE_UNSUPPORTED; }  // stricter than the driver, which would read it at each replay
  auto staged = std::make_shared<std::vector<char>>((const char*)s, (const char*)s + n);
  return enqueue(t, [=] { if (touch(d, n)) memcpy((void*)d, staged->data(), n); });
}
API cuMemcpyDtoHAsync_v2(void* d, P s, size_t n, Stream* t) {
  CONTEXT;
  STREAM(t);
  if (!inside(s, n)) return INVALID_VALUE;
  if (is_pinned(d, n)) return enqueue(t, [=] { if (touch(s, n)) memcpy(d, (void*)s, n); });
  if (t->capture) { t->capture->broken = true; return CAPTURE_UNSUPPORTED; }
  R r = enqueue(t, [=] { if (touch(s, n)) memcpy(d, (void*)s, n); });
  finish(t);  // to pageable memory: done before it returns
  return r ? r : sticky;
}
API cuMemcpyDtoDAsync_v2(P d, P s, size_t n, Stream* t) {
  CONTEXT;
  STREAM(t);
  if (!inside(d, n) || !inside(s, n)) return INVALID_VALUE;
  return enqueue(t, [=] { if (touch(d, n) && touch(s, n)) memmove((void*)d, (void*)s, n); });
}
struct Copy2D { size_t sx, sy; unsigned st; const void* sh; P sd; void* sa; size_t sp, dx, dy; unsigned dt; void* dh; P dd; void* da; size_t dp, width, height; };
API cuMemcpy2DAsync_v2(const Copy2D* c, Stream* t) {  // between rows of device memory
  CONTEXT;
  STREAM(t);
  const Copy2D k = *c;
  if (k.st != 2 || k.dt != 2 || k.sx || k.sy || k.dx || k.dy || k.width > k.sp || k.width > k.dp || !k.height) return INVALID_VALUE;
  const size_t from = (k.height - 1) * k.sp + k.width, to = (k.height - 1) * k.dp + k.width;
  if (!inside(k.sd, from) || !inside(k.dd, to)) return INVALID_VALUE;
  return enqueue(t, [=] {
    if (!touch(k.sd, from) || !touch(k.dd, to)) return;
    for (size_t i = 0; i < k.height; i++) memmove((char*)k.dd + i * k.dp, (char*)k.sd + i * k.sp, k.width);
  });
}
API cuMemsetD8Async(P d, unsigned char v, size_t n, Stream* t) {
  CONTEXT;
  STREAM(t);
  if (!inside(d, n)) return INVALID_VALUE;
  return enqueue(t, [=] { if (touch(d, n)) memset((void*)d, v, n); });
}
API cuMemsetD32Async(P d, unsigned v, size_t n, Stream* t) {
  CONTEXT;
  STREAM(t);
  if (d % 4 || n > SIZE_MAX / 4 || !inside(d, 4 * n)) return INVALID_VALUE;
  return enqueue(t, [=] { if (touch(d, 4 * n)) std::fill_n((unsigned*)d, n, v); });
}

// --- modules and launches

struct Module;
struct Function { emu::Fn fn; Module* in; };
struct Module { std::map<std::string, Function> functions; };
static std::set<Module*> modules;
// Whether a fatbin has machine code for the device, or PTX that can be compiled for it. An entry says its kind (1 PTX, 2 machine code), the bytes of
// its header and of what follows, and the capability.
static bool runs_here(const unsigned char* fatbin) {
  const auto number = [](const unsigned char* p, size_t n) { uint64_t v = 0; memcpy(&v, p, n); return v; };
  const unsigned char* end = fatbin + number(fatbin + 6, 2) + number(fatbin + 8, 8);
  const int here = capability();
  for (const unsigned char* e = fatbin + number(fatbin + 6, 2); e + 32 <= end; e += number(e + 4, 4) + number(e + 8, 8)) {
    const int kind = (int)number(e, 2), arch = (int)number(e + 28, 4);
    if (arch <= here && (kind == 1 || arch / 10 == here / 10)) return true;
  }
  return false;
}
static R load(Module** m, const void* image, std::function<void(const char*)> log) {
  const unsigned char* b = (const unsigned char*)image;
  const bool fatbin = !memcmp(b, "\x50\xed\x55\xba", 4), cubin = !memcmp(b, "\x7f" "ELF", 4);
  if (!fatbin && !cubin) {
    const char* text = (const char*)image;
    if (strncmp(text, "//", 2) && strncmp(text, ".version", 8)) return INVALID_IMAGE;
    log("ptxas fatal   : the emulator runs no PTX");
    return INVALID_PTX;
  }
  if (fatbin && !runs_here(b)) return NO_BINARY;
  modules.insert(*m = new Module);
  for (auto& k : emu::registry()) (*m)->functions[k.first] = Function{k.second, *m};
  return OK;
}
API cuModuleLoadDataEx(Module** m, const void* image, unsigned n, int* options, void** values) {
  CONTEXT;
  NO_CAPTURE;
  return load(m, image, [=](const char* text) {
    for (unsigned i = 0; i < n; i++)
      if (options[i] == 5)  // CU_JIT_ERROR_LOG_BUFFER; its size is option 6
        for (unsigned j = 0; j < n; j++)
          if (options[j] == 6) snprintf((char*)values[i], (size_t)values[j], "%s", text);
  });
}
API cuModuleLoadData(Module** m, const void* image) { CONTEXT; NO_CAPTURE; return load(m, image, [](const char*) {}); }
static std::deque<std::unique_ptr<Module>> unloaded;  // so that a function of an unloaded module can be recognised
API cuModuleUnload(Module* m) {
  CONTEXT;
  NO_CAPTURE;
  if (!modules.count(m)) return INVALID_HANDLE;
  finish_all();
  modules.erase(m);
  unloaded.emplace_back(m);
  return OK;
}
API cuModuleGetFunction(Function** f, Module* m, const char* name) {
  CONTEXT;
  if (!modules.count(m)) return INVALID_HANDLE;
  auto i = m->functions.find(name);
  if (i == m->functions.end()) return NOT_FOUND;
  *f = &i->second;
  return OK;
}
API cuFuncSetAttribute(Function* f, int a, int v) {
  CONTEXT;
  if (!modules.count(f->in)) return INVALID_HANDLE;
  if (a == 8) {
    if (v > 232448) return INVALID_VALUE;
    f->fn.smem_max = v;
  }
  return OK;
}
API cuLaunchKernel(Function* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned smem, Stream* s, void** params, void** extra) {
  CONTEXT;
  STREAM(s);
  if (!modules.count(f->in)) return INVALID_HANDLE;
  // >48 KB of shared memory needs the attribute
  if (smem > (unsigned)f->fn.smem_max || !bx || !by || !bz || bx * by * bz > 1024 || !gx || !gy || !gz || gx > 0x7fffffff || gy > 65535 || gz > 65535) return INVALID_VALUE;
  std::vector<unsigned char> b(f->fn.size);
  if (extra) {
    if (*(size_t*)extra[3] != f->fn.size) return INVALID_VALUE;  // stricter than the driver: no argument too many
    memcpy(b.data(), extra[1], f->fn.size);
  } else
    for (int i = 0; i < f->fn.n; i++) memcpy(&b[f->fn.off[i]], params[i], f->fn.len[i]);
  const emu::Fn* fn = &f->fn;
  return enqueue(s, [=]() mutable {
    void* p[emu::MAX_ARGS];
    for (int i = 0; i < fn->n; i++) p[i] = &b[fn->off[i]];
    emu::launch(fn->k, p, dim3(gx, gy, gz), dim3(bx, by, bz), smem);
  });
}

// --- for nccl.cc

namespace emu {
int device_in_use() { ENTER; return cur_ctx && contexts ? device : -1; }
bool capturing(void* stream) {
  ENTER;
  Stream* s = (Stream*)stream;
  return valid(s) && s->capture;
}
int enqueue_waiting(void* stream, const void* memory, size_t size, std::function<bool()> f) {
  CONTEXT;
  Stream* s = (Stream*)stream;
  STREAM(s);
  if (!inside((P)memory, size)) return INVALID_VALUE;
  return enqueue(s, [=] {
    if (!touch((P)memory, size)) return;
    while (!f()) {
      if (impatient) throw NotYet();
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  });
}
}  // namespace emu

API cuGetErrorName(int e, const char** s) { for (auto& x : errors) if (x.code == e) return *s = x.name, OK; return INVALID_VALUE; }
API cuGetErrorString(int e, const char** s) { for (auto& x : errors) if (x.code == e) return *s = x.text, OK; return INVALID_VALUE; }
