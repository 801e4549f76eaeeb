// Device memory, pools and page-locked memory of the host: a part of driver.cc.
#pragma once

// --- memory

// A pool holds on to what was freed up to its threshold, from one wait to the next.
struct Pool { size_t used = 0, reserved = 0; uint64_t threshold = 0; };
static std::set<Pool*> pools;
struct Block { size_t n; Pool* pool; bool freed; };  // freed: by an enqueued call that has not run yet
static std::map<P, Block> blocks;
static size_t legacy_used;
static size_t total() { return env_size("HBAR_EMU_MEMORY", 1 << 30); }  // small, so that tests can fill it
static size_t in_use() { size_t n = legacy_used; for (Pool* p : pools) n += p->used; return n; }
static size_t reserved() { size_t n = legacy_used; for (Pool* p : pools) n += std::max(p->used, p->reserved); return n; }

// The last freed blocks stay filled with NaN for a while, so that writes to them are found.
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
  for (auto& b : blocks) if (b.second.pool == p) b.second.pool = nullptr;  // freed, by a call that has not run yet
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
