// A libcuda.so.1 look-alike: device memory is host memory, kernels run in the emulator. It checks what the real driver
// checks and our tests rely on: contexts, launch limits, opt-in shared memory, device indices, a full device.
#include "emu.h"
#include <algorithm>
#include <chrono>
#include <functional>
#include "registry.h"

using emu::Fn;
static std::map<std::string, Fn>& fns = emu::registry();

typedef int R;
typedef uint64_t P;
struct Stream { std::vector<std::function<void()>>* cap = nullptr; };
typedef std::vector<std::function<void()>> Graph;
static Stream null_stream;
static R enq(Stream* s, std::function<void()> f) { s = s ? s : &null_stream; if (s->cap) s->cap->push_back(f); else f(); return 0; }
static thread_local void* cur_ctx;
#define NEED_CTX if (!cur_ctx) return 201
#define API extern "C" R
API cuInit(unsigned) {
  const char* v = getenv("CUDA_VISIBLE_DEVICES");  // as the driver: set but empty hides every device
  return v && !*v ? 100 : 0;
}
API cuDriverGetVersion(int* v) { *v = 11080; return 0; }
API cuDeviceGetCount(int* n) { *n = 1; return 0; }
API cuDeviceGet(int* d, int i) { *d = i; return i ? 101 : 0; }
API cuDeviceGetName(char* s, int n, int) { snprintf(s, n, "CPU emulation"); return 0; }
API cuDeviceGetAttribute(int* v, int a, int) {
  switch (a) {
    case 13: *v = 1830000; break;   // clock, kHz
    case 16: *v = 2; break;         // SMs
    case 75: *v = 9; break;         // compute capability
    case 76: *v = 0; break;
    case 97: *v = 232448; break;    // opt-in shared memory a block
    case 115: *v = 1; break;        // memory pools
    default: *v = 0;
  }
  return 0;
}
static size_t total() {  // small, so that tests can fill it; smaller still by HBAR_EMU_MEMORY, in bytes
  const char* v = getenv("HBAR_EMU_MEMORY");
  return v && *v ? strtoull(v, 0, 10) : 1 << 30;
}
static std::map<P, size_t> live;
static size_t used_memory;
API cuDeviceTotalMem_v2(size_t* n, int) { *n = total(); return 0; }
API cuMemGetInfo_v2(size_t* f, size_t* t) { NEED_CTX; *t = total(), *f = std::max(*t, used_memory) - used_memory; return 0; }
API cuDevicePrimaryCtxRetain(void** c, int) { *c = &fns; return 0; }
API cuDevicePrimaryCtxRelease_v2(int) { return 0; }
API cuCtxSetCurrent(void* c) { cur_ctx = c; return 0; }
API cuCtxSynchronize() { return 0; }
API cuMemAlloc_v2(P* p, size_t n) {
  NEED_CTX;
  if (!n) return 1;
  if (n + used_memory > total()) return 2;
  void* m;  // exactly n bytes: a sanitizer sees the next one touched
  if (posix_memalign(&m, 256, n)) return 2;
  memset(m, 0xff, n);  // NaN
  *p = (P)m, live[*p] = n, used_memory += n;
  return 0;
}
API cuMemFree_v2(P p) {
  auto i = live.find(p);
  if (i == live.end()) return 1;
  used_memory -= i->second;
  live.erase(i);
  free((void*)p);
  return 0;
}
API cuMemAllocAsync(P* p, size_t n, Stream*) { return cuMemAlloc_v2(p, n); }
API cuMemFreeAsync(P p, Stream* s) { return enq(s, [=] { cuMemFree_v2(p); }); }
API cuMemHostAlloc(void** p, size_t n, unsigned) { *p = calloc(1, n); return 0; }
API cuMemFreeHost(void* p) { free(p); return 0; }
API cuMemcpyHtoD_v2(P d, const void* s, size_t n) { memcpy((void*)d, s, n); return 0; }
API cuMemcpyDtoH_v2(void* d, P s, size_t n) { memcpy(d, (void*)s, n); return 0; }
API cuMemcpyHtoDAsync_v2(P d, const void* s, size_t n, Stream* t) { return enq(t, [=] { memcpy((void*)d, s, n); }); }
API cuMemcpyDtoHAsync_v2(void* d, P s, size_t n, Stream* t) { return enq(t, [=] { memcpy(d, (void*)s, n); }); }
API cuStreamCreate(Stream** s, unsigned) { *s = new Stream; return 0; }
API cuStreamDestroy_v2(Stream* s) { delete s; return 0; }
API cuStreamSynchronize(Stream* s) { return s && s->cap ? 900 : 0; }
API cuStreamBeginCapture_v2(Stream* s, int) { s->cap = new Graph; return 0; }
API cuStreamEndCapture(Stream* s, Graph** g) { *g = s->cap; s->cap = nullptr; return *g ? 0 : 901; }
API cuGraphInstantiateWithFlags(Graph** e, Graph* g, unsigned long long) { *e = new Graph(*g); return 0; }
API cuGraphLaunch(Graph* e, Stream* s) { for (auto& f : *e) enq(s, f); return 0; }
API cuGraphDestroy(Graph* g) { delete g; return 0; }
API cuGraphExecDestroy(Graph* g) { delete g; return 0; }
typedef std::chrono::steady_clock::time_point T;
API cuEventCreate(T** e, unsigned) { *e = new T; return 0; }
API cuEventDestroy_v2(T* e) { delete e; return 0; }
API cuEventRecord(T* e, Stream* s) { return enq(s, [=] { *e = std::chrono::steady_clock::now(); }); }
API cuEventSynchronize(T*) { return 0; }
API cuEventElapsedTime(float* ms, T* a, T* b) { *ms = std::chrono::duration<float, std::milli>(*b - *a).count(); return 0; }
API cuModuleLoadDataEx(void** m, const void*, unsigned, int*, void**) { NEED_CTX; *m = &fns; return 0; }
API cuModuleLoadData(void** m, const void*) { NEED_CTX; *m = &fns; return 0; }
API cuModuleUnload(void*) { return 0; }
API cuModuleGetFunction(Fn** f, void*, const char* n) { auto i = fns.find(n); if (i == fns.end()) return 500; *f = &i->second; return 0; }
API cuFuncSetAttribute(Fn* f, int a, int v) { if (a == 8) { if (v > 232448) return 1; f->smem_max = v; } return 0; }
static const struct { int code; const char *name, *text; } errors[] = {
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"}, {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"}, {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"}, {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"}};
API cuGetErrorName(int e, const char** s) { for (auto& x : errors) if (x.code == e) return *s = x.name, 0; return 1; }
API cuGetErrorString(int e, const char** s) { for (auto& x : errors) if (x.code == e) return *s = x.text, 0; return 1; }
API cuLaunchKernel(Fn* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned smem, Stream* s, void** params, void** extra) {
  NEED_CTX;
  if (smem > (unsigned)f->smem_max || bx * by * bz > 1024 || !gx) return 1;  // as the driver: >48 KB needs the attribute
  std::vector<unsigned char> b(f->size);
  if (extra) {
    if (*(size_t*)extra[3] < f->size) return 1;
    memcpy(b.data(), extra[1], f->size);
  } else
    for (int i = 0; i < f->n; i++) memcpy(&b[f->off[i]], params[i], f->len[i]);
  return enq(s, [=]() mutable {
    void* p[emu::MAX_ARGS];
    for (int i = 0; i < f->n; i++) p[i] = &b[f->off[i]];
    emu::launch(f->k, p, dim3(gx, gy, gz), dim3(bx, by, bz), smem);
  });
}
