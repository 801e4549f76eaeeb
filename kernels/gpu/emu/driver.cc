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

typedef int R;
typedef uint64_t P;
enum {
  OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201, INVALID_PTX = 218, INVALID_HANDLE = 400, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600,
  ILLEGAL_ADDRESS = 700, NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURED_EVENT = 907,
  CAPTURE_WRONG_THREAD = 908,
};
static const struct { int code; const char *name, *text; } errors[] = {
    {OK, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
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

// --- streams, captures, graphs

typedef std::function<void()> Op;
typedef std::vector<Op> Graph;
struct Stream {
  bool blocking = true;  // the legacy stream and it wait for each other
  std::deque<Op> queue;
  uint64_t enqueued = 0, done = 0;
  Graph* capture = nullptr;
  bool broken = false;  // the capture
  std::thread::id owner;  // of the capture
};
static Stream legacy;
static std::set<Stream*> streams;
static std::set<Graph*> graphs;
static bool valid(Stream*& s) { if (!s) s = &legacy; return s == &legacy || streams.count(s); }
static void run_to(Stream* s, uint64_t ticket) {
  while (s->done < ticket) {
    Op f = std::move(s->queue.front());
    s->queue.pop_front();
    f();
    s->done++;
  }
}
static void finish(Stream* s) { run_to(s, s->enqueued); }
static void finish_all() { for (Stream* s : streams) finish(s); finish(&legacy); }
static void finish_legacy() {  // what a call on the legacy stream waits for: not the streams made as non-blocking
  for (Stream* s : streams) if (s->blocking) finish(s);
  finish(&legacy);
}
static bool at_once() { static const bool b = env_size("HBAR_EMU_ORDER", 0) & 1; return b; }
static R enqueue(Stream* s, Op f) {
  if (s->capture) {
    if (s->broken) return CAPTURE_INVALIDATED;
    s->capture->push_back(std::move(f));
    return OK;
  }
  s->queue.push_back(std::move(f)), s->enqueued++;
  if (at_once() || s == &legacy) finish(s);
  return sticky;
}
// What may not be done while this thread captures a stream; it ends the capture.
static bool refuse() {
  bool any = false;
  for (Stream* s : streams)
    if (s->capture && s->owner == std::this_thread::get_id()) s->broken = any = true;
  return any;
}
#define NO_CAPTURE if (refuse()) return CAPTURE_UNSUPPORTED
#define STREAM(s) if (!valid(s)) return INVALID_HANDLE

API cuStreamCreate(Stream** s, unsigned flags) {
  CONTEXT;
  *s = new Stream;
  (*s)->blocking = !(flags & 1);
  streams.insert(*s);
  return OK;
}
API cuStreamDestroy_v2(Stream* s) {
  CONTEXT;
  if (!streams.count(s)) return INVALID_HANDLE;
  finish(s);
  delete s->capture;
  streams.erase(s);
  delete s;
  return OK;
}
API cuStreamSynchronize(Stream* s) {
  CONTEXT;
  STREAM(s);
  if (s->capture) { s->broken = true; return CAPTURE_UNSUPPORTED; }
  finish(s);
  return sticky;
}
API cuStreamQuery(Stream* s) { return cuStreamSynchronize(s); }
API cuStreamBeginCapture_v2(Stream* s, int) {
  CONTEXT;
  STREAM(s);
  if (s == &legacy) return CAPTURE_UNSUPPORTED;
  if (s->capture) return ILLEGAL_STATE;
  s->capture = new Graph, s->broken = false, s->owner = std::this_thread::get_id();
  return OK;
}
API cuStreamEndCapture(Stream* s, Graph** g) {
  CONTEXT;
  STREAM(s);
  *g = nullptr;
  if (!s->capture) return ILLEGAL_STATE;
  if (s->owner != std::this_thread::get_id()) return CAPTURE_WRONG_THREAD;
  Graph* made = s->capture;
  s->capture = nullptr;
  if (s->broken) { delete made; return CAPTURE_INVALIDATED; }
  graphs.insert(*g = made);
  return OK;
}
API cuGraphInstantiateWithFlags(Graph** e, Graph* g, unsigned long long) {
  CONTEXT;
  if (!graphs.count(g)) return INVALID_VALUE;
  graphs.insert(*e = new Graph(*g));
  return OK;
}
API cuGraphLaunch(Graph* e, Stream* s) {
  CONTEXT;
  STREAM(s);
  if (!graphs.count(e)) return INVALID_VALUE;
  for (auto& f : *e)
    if (R r = enqueue(s, f)) return r;
  return OK;
}
API cuGraphDestroy(Graph* g) {
  ENTER;
  if (!graphs.erase(g)) return INVALID_VALUE;
  delete g;
  return OK;
}
API cuGraphExecDestroy(Graph* g) { return cuGraphDestroy(g); }

// --- events

struct Event { bool timed, recorded = false, captured = false; Stream* on = nullptr; uint64_t ticket = 0; std::chrono::steady_clock::time_point at; };
static std::map<Event*, std::shared_ptr<Event>> events;
#define EVENT(e) if (!events.count(e)) return INVALID_HANDLE
static void reach(Event* e) { if (e->recorded && (e->on == &legacy || streams.count(e->on))) run_to(e->on, e->ticket); }
API cuEventCreate(Event** e, unsigned flags) {
  CONTEXT;
  auto p = std::make_shared<Event>();
  p->timed = !(flags & 2);
  events[*e = p.get()] = p;
  return OK;
}
API cuEventDestroy_v2(Event* e) { CONTEXT; return events.erase(e) ? OK : INVALID_HANDLE; }
API cuEventRecord(Event* e, Stream* s) {
  CONTEXT;
  STREAM(s);
  EVENT(e);
  auto p = events[e];  // a destroyed event's record still runs
  e->captured = s->capture, e->recorded = true, e->on = s, e->ticket = s->enqueued + 1;
  return enqueue(s, [=] { p->at = std::chrono::steady_clock::now(); });
}
API cuEventSynchronize(Event* e) {
  CONTEXT;
  EVENT(e);
  if (e->captured) { refuse(); return CAPTURED_EVENT; }
  reach(e);
  return sticky;
}
API cuEventQuery(Event* e) { return cuEventSynchronize(e); }
API cuEventElapsedTime(float* ms, Event* a, Event* b) {
  CONTEXT;
  EVENT(a);
  EVENT(b);
  if (a->captured || b->captured) return CAPTURED_EVENT;
  if (!a->recorded || !b->recorded || !a->timed || !b->timed) return INVALID_HANDLE;
  if (b->on->done < b->ticket || a->on->done < a->ticket) return NOT_READY;
  *ms = std::chrono::duration<float, std::milli>(b->at - a->at).count();
  return OK;
}
API cuStreamWaitEvent(Stream* s, Event* e, unsigned) {
  CONTEXT;
  STREAM(s);
  EVENT(e);
  if (s->capture || e->captured) { refuse(); return CAPTURE_UNSUPPORTED; }  // forks of a capture are not emulated
  if (!e->recorded) return OK;
  Event now = *e;
  return enqueue(s, [now]() mutable { reach(&now); });
}

// --- devices and contexts

API cuInit(unsigned) {
  const char* v = getenv("CUDA_VISIBLE_DEVICES");  // as the driver: set but empty hides every device
  return v && !*v ? NO_DEVICE : OK;
}
API cuDriverGetVersion(int* v) { *v = 11080; return OK; }
API cuDeviceGetCount(int* n) { *n = 1; return OK; }
API cuDeviceGet(int* d, int i) { *d = i; return i ? INVALID_DEVICE : OK; }
API cuDeviceGetName(char* s, int n, int) { snprintf(s, n, "CPU emulation"); return OK; }
static bool pools_exist() { return env_size("HBAR_EMU_POOLS", 1); }
API cuDeviceGetAttribute(int* v, int a, int) {
  switch (a) {
    case 13: *v = 1830000; break;   // clock, kHz
    case 16: *v = 2; break;         // SMs
    case 75: *v = 9; break;         // compute capability
    case 76: *v = 0; break;
    case 97: *v = 232448; break;    // opt-in shared memory a block
    case 115: *v = pools_exist(); break;
    default: *v = 0;
  }
  return OK;
}
API cuDevicePrimaryCtxRetain(void** c, int) { ENTER; contexts++; *c = &contexts; return OK; }
API cuCtxSetCurrent(void* c) { cur_ctx = c; return OK; }
API cuCtxSynchronize() { CONTEXT; NO_CAPTURE; finish_all(); return sticky; }

// --- memory

// A pool holds on to what was freed up to its threshold, from one wait to the next.
struct Pool { size_t used = 0, reserved = 0; uint64_t threshold = 0; };
static std::set<Pool*> pools;
struct Block { size_t n; Pool* pool; bool freed; };  // freed: by a call whose turn has not come
static std::map<P, Block> blocks;
static size_t legacy_used;
static size_t total() { return env_size("HBAR_EMU_MEMORY", 1 << 30); }  // small, so that tests can fill it
static size_t in_use() { size_t n = legacy_used; for (Pool* p : pools) n += p->used; return n; }
static size_t reserved() { size_t n = legacy_used; for (Pool* p : pools) n += std::max(p->used, p->reserved); return n; }

// The last freed blocks keep their poison for a while: who writes to them is found out.
#if !defined(__SANITIZE_ADDRESS__)
static std::deque<std::pair<unsigned char*, size_t>> dead;
static size_t dead_bytes;
#endif
static void bury(P p, size_t n) {
  unsigned char* m = (unsigned char*)p;
#if defined(__SANITIZE_ADDRESS__)
  free(m);  // the sanitizer watches over it
#else
  memset(m, 0xff, n);
  dead.push_back({m, n}), dead_bytes += n;
  while (dead_bytes > 64 << 20) {
    std::tie(m, n) = dead.front();
    for (size_t i = 0; i < n; i++)
      if (m[i] != 0xff) { fprintf(stderr, "emu: byte %zu of a block of %zu was written after the block was freed\n", i, n); abort(); }
    dead.pop_front(), dead_bytes -= n;
    free(m);
  }
#endif
}
static bool inside(P p, size_t n) {
  auto i = blocks.upper_bound(p);
  if (i == blocks.begin()) return false;
  --i;
  return !i->second.freed && p - i->first <= i->second.n && n <= i->second.n - (p - i->first);
}
static R allocate(P* p, size_t n, Pool* pool) {
  if (!n) return INVALID_VALUE;
  if (n > total() || in_use() > total() - n) return OUT_OF_MEMORY;
  void* m;  // exactly n bytes: a sanitizer sees the next one touched
  if (posix_memalign(&m, 256, n)) return OUT_OF_MEMORY;
  memset(m, 0xff, n);  // NaN
  blocks[*p = (P)m] = Block{n, pool, false};
  if (pool) pool->used += n, pool->reserved = std::max(pool->reserved, pool->used);
  else legacy_used += n;
  return OK;
}
static void release(P p) {
  auto i = blocks.find(p);
  if (i == blocks.end()) return;
  const size_t n = i->second.n;
  blocks.erase(i);
  bury(p, n);
}
API cuDeviceTotalMem_v2(size_t* n, int) { *n = total(); return OK; }
API cuMemGetInfo_v2(size_t* f, size_t* t) {
  CONTEXT;
  *t = total();
  *f = std::max(*t, reserved()) - reserved();
  return OK;
}
API cuMemAlloc_v2(P* p, size_t n) { CONTEXT; NO_CAPTURE; finish_all(); return allocate(p, n, nullptr); }
API cuMemFree_v2(P p) {
  CONTEXT;
  NO_CAPTURE;
  auto i = blocks.find(p);
  if (i == blocks.end() || i->second.freed) return INVALID_VALUE;
  finish_all();
  if (i->second.pool) i->second.pool->used -= i->second.n;
  else legacy_used -= i->second.n;
  release(p);
  return sticky;
}
static Pool default_pool;
static bool valid(Pool* p) { return p == &default_pool || pools.count(p); }
API cuDeviceGetDefaultMemPool(Pool** p, int) { pools.insert(*p = &default_pool); return pools_exist() ? OK : NOT_SUPPORTED; }
API cuMemPoolCreate(Pool** p, const void*) {
  CONTEXT;
  if (!pools_exist()) return NOT_SUPPORTED;
  pools.insert(*p = new Pool);
  return OK;
}
API cuMemPoolDestroy(Pool* p) {  // what is allocated from it stays until it is freed; none of ours may be
  CONTEXT;
  if (!pools.count(p) || p == &default_pool || p->used) return INVALID_VALUE;
  for (auto& b : blocks) if (b.second.pool == p) b.second.pool = nullptr;  // freed, but its turn has not come
  pools.erase(p);
  delete p;
  return OK;
}
API cuMemPoolSetAttribute(Pool* p, int a, void* v) {
  CONTEXT;
  if (!valid(p)) return INVALID_VALUE;
  if (a == 4) p->threshold = *(uint64_t*)v;
  return OK;
}
API cuMemPoolGetAttribute(Pool* p, int a, void* v) {
  CONTEXT;
  if (!valid(p)) return INVALID_VALUE;
  switch (a) {
    case 4: *(uint64_t*)v = p->threshold; return OK;
    case 5: *(uint64_t*)v = p->reserved; return OK;
    case 7: *(uint64_t*)v = p->used; return OK;
  }
  return NOT_SUPPORTED;
}
API cuMemPoolTrimTo(Pool* p, size_t keep) {
  CONTEXT;
  if (!valid(p)) return INVALID_VALUE;
  p->reserved = std::max(p->used, std::min(p->reserved, keep));
  return OK;
}
// The real driver would give the graph memory of its own; ours uses none, so a capture refuses.
API cuMemAllocFromPoolAsync(P* p, size_t n, Pool* pool, Stream* s) {
  CONTEXT;
  STREAM(s);
  NO_CAPTURE;
  if (!pools_exist()) return NOT_SUPPORTED;
  if (!valid(pool)) return INVALID_VALUE;
  return allocate(p, n, pool);
}
API cuMemAllocAsync(P* p, size_t n, Stream* s) { pools.insert(&default_pool); return cuMemAllocFromPoolAsync(p, n, &default_pool, s); }
API cuMemFreeAsync(P p, Stream* s) {
  CONTEXT;
  STREAM(s);
  NO_CAPTURE;
  if (!pools_exist()) return NOT_SUPPORTED;
  auto i = blocks.find(p);
  if (i == blocks.end() || i->second.freed) return INVALID_VALUE;
  i->second.freed = true;
  if (Pool* pool = i->second.pool) {
    pool->used -= i->second.n;
    pool->reserved = std::max(pool->used, (size_t)std::min((uint64_t)pool->reserved, pool->threshold));
  } else
    legacy_used -= i->second.n;
  return enqueue(s, [=] { release(p); });
}
API cuDevicePrimaryCtxRelease_v2(int) {
  ENTER;
  if (!contexts) return INVALID_CONTEXT;
  if (--contexts) return OK;
  finish_all();
  size_t n = 0;
  for (auto& b : blocks) n += b.second.n;
  if (n) fprintf(stderr, "emu: a context ends with %zu blocks of device memory, %zu bytes, not freed\n", blocks.size(), n);
  while (!blocks.empty()) release(blocks.begin()->first);
  for (Pool* p : pools) if (p != &default_pool) delete p;
  pools.clear(), default_pool = Pool(), legacy_used = 0, sticky = OK;
  return OK;
}

// --- page-locked memory of the host

static std::map<P, size_t> pinned;
static size_t pinned_bytes;
static bool is_pinned(const void* p, size_t n) {
  auto i = pinned.upper_bound((P)p);
  if (i == pinned.begin()) return false;
  --i;
  return (P)p - i->first <= i->second && n <= i->second - ((P)p - i->first);
}
API cuMemHostAlloc(void** p, size_t n, unsigned) {
  CONTEXT;
  NO_CAPTURE;
  if (!n) return INVALID_VALUE;
  if (pinned_bytes + n > env_size("HBAR_EMU_PINNED", 256 << 20) || posix_memalign(p, 4096, n)) return OUT_OF_MEMORY;
  memset(*p, 0xff, n);
  pinned[(P)*p] = n, pinned_bytes += n;
  return OK;
}
API cuMemFreeHost(void* p) {
  CONTEXT;
  NO_CAPTURE;
  auto i = pinned.find((P)p);
  if (i == pinned.end()) return INVALID_VALUE;
  finish_all();
  pinned_bytes -= i->second;
  pinned.erase(i);
  free(p);
  return OK;
}

// --- copies

// A copy or a fill that touches memory which is not there, when its turn comes, is an illegal access.
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
  if (t->capture) { t->broken = true; return CAPTURE_UNSUPPORTED; }  // stricter than the driver, which would read it at each replay
  auto staged = std::make_shared<std::vector<char>>((const char*)s, (const char*)s + n);
  return enqueue(t, [=] { if (touch(d, n)) memcpy((void*)d, staged->data(), n); });
}
API cuMemcpyDtoHAsync_v2(void* d, P s, size_t n, Stream* t) {
  CONTEXT;
  STREAM(t);
  if (!inside(s, n)) return INVALID_VALUE;
  if (is_pinned(d, n)) return enqueue(t, [=] { if (touch(s, n)) memcpy(d, (void*)s, n); });
  if (t->capture) { t->broken = true; return CAPTURE_UNSUPPORTED; }
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
static R load(Module** m, const void* image, std::function<void(const char*)> log) {
  const unsigned char* b = (const unsigned char*)image;
  const bool fatbin = !memcmp(b, "\x50\xed\x55\xba", 4), cubin = !memcmp(b, "\x7f" "ELF", 4);
  if (!fatbin && !cubin) {
    const char* text = (const char*)image;
    if (strncmp(text, "//", 2) && strncmp(text, ".version", 8)) return INVALID_IMAGE;
    log("ptxas fatal   : the emulator runs no PTX");
    return INVALID_PTX;
  }
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
static std::deque<std::unique_ptr<Module>> unloaded;  // so that a stale function is told from a live one
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

API cuGetErrorName(int e, const char** s) { for (auto& x : errors) if (x.code == e) return *s = x.name, OK; return INVALID_VALUE; }
API cuGetErrorString(int e, const char** s) { for (auto& x : errors) if (x.code == e) return *s = x.text, OK; return INVALID_VALUE; }
