// Products of warpgroups, and bulk copies; see wgmma.h.
#include "wgmma.h"
#include <map>
#include <memory>

namespace emu {
namespace {
// What 32 lanes of a warp keep of the same array of sums while products into it are in flight.
struct Sums { float* to[32]; float v[32][128]; int n, open; };
struct Product { Sums* sums; uint64_t descriptor, shared_a; bool add, bf16, turned, done; int quarter; uint32_t a[32][4]; unsigned group; };  // shared_a 0: a
struct Flight {  // of a warp
  std::vector<Product> products;
  std::vector<std::unique_ptr<Sums>> sums;
  unsigned groups;  // that were committed
  size_t asked;     // products until now
  bool fenced[32];
};
struct Request { float* sums; uint64_t descriptor, shared_a; uint32_t a[4]; int n, add, bf16, turned; };
static_assert(sizeof(Request) <= sizeof(Warp::in[0]), "a request passes through the warp's words");

thread_local std::vector<Flight> flights;
thread_local std::vector<std::vector<uint64_t>> asked;  // of a warpgroup: descriptors of its products
thread_local std::vector<unsigned char> seen;           // shared memory as products see it
thread_local bool stale;
thread_local size_t shared_bytes;
const bool early = getenv("HBAR_EMU_ORDER") && strtoul(getenv("HBAR_EMU_ORDER"), 0, 10) % 2;

[[noreturn]] void fail(const char* why) {
  fprintf(stderr, "emu: block %u, warp %d: %s\n", bIdx.x, cur ? cur->warp : -1, why);
  abort();
}

// The number that 16 bits are, of bf16 or f16.
float number(uint16_t h, bool bf16) {
  if (!bf16) return half_values()[h];
  const uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, 4);
  return f;
}

// Brings shared memory as products see it up to date, as far as threads have handed it over.
void look() {
  if (seen.size() != shared_bytes) seen.assign(shared_bytes, 0xff);
  if (stale) memcpy(seen.data(), smem, seen.size()), stale = false;
}

// Halves of B, or of A: 16 inputs (k) of n columns from the first on, from shared memory through a descriptor. The number of input k of
// column i goes to to[k * by_k + i * by_column].
void read_panel(uint64_t d, bool bf16, int first, int n, float* to, int by_k, int by_column) {
  look();
  if (d >> 62 != 1 || d >> 49 & 7) fail("a descriptor of another layout than 128-byte swizzle from a multiple of 1024 bytes");
  const uint32_t start = (uint32_t)(d & 0x3fff) << 4, stride = (uint32_t)(d >> 32 & 0x3fff) << 4;
  for (int i = 0; i < n; i++)
    for (int k = 0; k < 16; k += 8) {  // a chunk of eight
      const int col = first + i;
      uint32_t at = start + (col >> 3) * stride + (col & 7) * 128 + k * 2;
      at ^= (at >> 7 & 7) << 4;  // the swizzle is of address bits
      if (at < SHARED_BASE || at - SHARED_BASE + 16 > seen.size()) fail("a product reads outside of shared memory");
      uint16_t h[8];
      memcpy(h, &seen[at - SHARED_BASE], 16);
      for (int e = 0; e < 8; e++) to[(k + e) * by_k + i * by_column] = number(h[e], bf16);
    }
}

// The same from a turned panel, whose neighbours in memory are columns: PTX's canonical layout of matrices that are M-major or N-major with 128-byte swizzle.
// Of 64 columns a step of k is 128 bytes; the descriptor's stride is between groups of eight steps, the leading distance between groups of 64 columns.
void read_turned(uint64_t d, bool bf16, int first, int n, float* to, int by_k, int by_column) {
  look();
  if (d >> 62 != 1 || d >> 49 & 7) fail("a descriptor of another layout than 128-byte swizzle from a multiple of 1024 bytes");
  const uint32_t start = (uint32_t)(d & 0x3fff) << 4, leading = (uint32_t)(d >> 16 & 0x3fff) << 4, stride = (uint32_t)(d >> 32 & 0x3fff) << 4;
  for (int k = 0; k < 16; k++)
    for (int i = 0; i < n; i += 8) {
      const int col = first + i;
      uint32_t at = start + col / 64 * leading + k / 8 * stride + k % 8 * 128 + col % 64 * 2;
      at ^= (at >> 7 & 7) << 4;
      if (at < SHARED_BASE || at - SHARED_BASE + 16 > seen.size()) fail("a product reads outside of shared memory");
      uint16_t h[8];
      memcpy(h, &seen[at - SHARED_BASE], 16);
      for (int e = 0; e < 8; e++) to[k * by_k + (i + e) * by_column] = number(h[e], bf16);
    }
}

float towards_zero(double v) {
  const float f = (float)v;
  return fabs((double)f) > fabs(v) ? nextafterf(f, 0.0f) : f;
}

// The power of two above |x|, or 0 for what has none.
double power_above(double x) { return x != 0 && std::isfinite(x) ? ldexp(1.0, ilogb(x) + 1) : 0; }

// A sum of 16 products does not depend on their order, as in tensor cores of compute capability 9.0: the products are rounded to 43 bits below the largest that there
// may be, so that their sum is exact.
void run(Product& p) {
  const int n = 2 * p.sums->n;  // columns, 64, 128 or 256
  static thread_local float b[16][256], a[16][16];
  const auto read = p.turned ? read_turned : read_panel;
  read(p.descriptor, p.bf16, 0, n, b[0], 256, 1);
  if (p.shared_a) read(p.shared_a, p.bf16, 16 * p.quarter, 16, a[0], 1, 16);
  for (int l = 0; l < 32 && !p.shared_a; l++)
    for (int r = 0; r < 4; r++)
      for (int e = 0; e < 2; e++) a[(l >> 2) + 8 * (r & 1)][(l & 3) * 2 + e + 8 * (r >> 1)] = number((uint16_t)(p.a[l][r] >> 16 * e), p.bf16);
  double above[16] = {0};
  for (int i = 0; i < 16; i++) {
    for (int k = 0; k < 16; k++) above[i] = fmax(above[i], fabs(a[i][k]));
    above[i] = power_above(above[i]);
  }
  for (int c0 = 0; c0 < n; c0 += 64) {  // 64 at a time, which compilers make vectors of
    double wide[16][64], top[64] = {0};
    for (int k = 0; k < 16; k++)
      for (int c = 0; c < 64; c++) wide[k][c] = b[k][c0 + c], top[c] = fmax(top[c], fabs(wide[k][c]));
    for (int c = 0; c < 64; c++) top[c] = power_above(top[c]);
    for (int i = 0; i < 16; i++) {
      double s[64] = {0}, shift[64];  // x + shift has no bits behind those that are kept
      for (int c = 0; c < 64; c++) shift[c] = 1.5 * 512 * above[i] * top[c];
      for (int k = 0; k < 16; k++) {
        const double x = a[i][k];
        for (int c = 0; c < 64; c++) s[c] += (x * wide[k][c] + shift[c]) - shift[c];
      }
      for (int c = 0; c < 64; c++) {
        float& v = p.sums->v[(i & 7) * 4 + (c & 7) / 2][(c0 + c) / 8 * 4 + i / 8 * 2 + (c & 1)];
        const float before = p.add ? v : 0.0f;
        v = approximate ? towards_zero(before + s[c]) : before + (float)s[c];
      }
    }
  }
  p.done = true;
}

// All lanes have arrived: the product that they ask for joins those in flight.
void take(Flight& f, Warp& w) {
  Request q[32];
  for (int l = 0; l < 32; l++) memcpy(&q[l], w.in[l], sizeof q[l]);
  Sums* sums = nullptr;
  for (auto& s : f.sums)
    if (s->to[0] == q[0].sums) sums = s.get();
  if (!sums) {
    f.sums.emplace_back(sums = new Sums);
    sums->n = q[0].n, sums->open = 0;
    for (int l = 0; l < 32; l++) {
      sums->to[l] = q[l].sums;
      memcpy(sums->v[l], q[l].sums, q[l].n * sizeof(float));
      memset((void*)q[l].sums, 0xff, q[l].n * sizeof(float));
    }
  }
  f.products.emplace_back();
  Product& p = f.products.back();
  p.sums = sums, p.descriptor = q[0].descriptor, p.shared_a = q[0].shared_a, p.add = q[0].add, p.bf16 = q[0].bf16, p.turned = q[0].turned, p.done = false, p.group = f.groups;
  p.quarter = cur->warp % 4;
  for (int l = 0; l < 32; l++) {
    if (q[l].descriptor != p.descriptor || q[l].shared_a != p.shared_a || q[l].add != q[0].add || q[l].bf16 != q[0].bf16 || q[l].turned != q[0].turned || q[l].n != q[0].n || sums->to[l] != q[l].sums) fail("the lanes of a warp ask for different products");
    if (!f.fenced[l]) fail("a product without a fence before it");
    memcpy(p.a[l], q[l].a, sizeof p.a[l]);
  }
  sums->open++;
  std::vector<uint64_t>& all = asked[cur->warp / 4];
  const uint64_t both = p.descriptor ^ p.shared_a << 1;
  if (f.asked == all.size()) all.push_back(both);
  if (all[f.asked++] != both) fail("the warps of a warpgroup ask for different products");
  if (early) run(p);
}

// A barrier that bulk loads arrive at.
struct Barrier { int arrivals, missing, bytes, phase; };
struct Load { uint32_t at; const void* from; int size; uint32_t barrier; };
struct Store { void* to; uint32_t at; int size; Fiber* by; unsigned group; std::vector<unsigned char> asked; };  // asked: what was there then
thread_local std::map<uint32_t, Barrier> barriers;
thread_local std::vector<Load> loads;
thread_local std::vector<Store> stores;
thread_local std::map<Fiber*, unsigned> store_groups;  // that a thread has committed

Barrier& barrier_at(uint32_t at) {
  const auto b = barriers.find(at);
  if (b == barriers.end()) fail("a barrier that nobody has made");
  return b->second;
}
void end_phase(Barrier& b) {
  if (b.missing || b.bytes) return;
  b.missing = b.arrivals, b.phase ^= 1;
}
void inside(uint32_t at, int bytes) {
  if (at < SHARED_BASE || bytes <= 0 || at - SHARED_BASE + bytes > shared_bytes) fail("a bulk copy outside of shared memory");
  if (at % 16 || bytes % 16) fail("a bulk copy of other places or sizes than multiples of 16 bytes");
}
void run(const Load& l) {
  look();
  memcpy(smem + l.at - SHARED_BASE, l.from, l.size), memcpy(&seen[l.at - SHARED_BASE], l.from, l.size);
  Barrier& b = barrier_at(l.barrier);
  b.bytes -= l.size;
  end_phase(b);
}
void run(const Store& s) {
  look();
  memcpy(s.to, &seen[s.at - SHARED_BASE], s.size);
}
}  // namespace

void barrier_init(uint32_t barrier, int arrivals) { barriers[barrier] = Barrier{arrivals, arrivals, 0, 0}; }
void barrier_arrive(uint32_t barrier, int bytes) {
  Barrier& b = barrier_at(barrier);
  b.bytes += bytes, b.missing--;
  if (b.missing < 0) fail("more arrivals at a barrier than it was made for");
  end_phase(b);
}
bool barrier_holds(uint32_t barrier, uint32_t parity) {
  Barrier& b = barrier_at(barrier);
  if (b.phase != (int)parity) return false;
  for (size_t i = 0; i < loads.size();) {  // somebody waits for them
    if (loads[i].barrier != barrier) {
      i++;
      continue;
    }
    const Load l = loads[i];
    loads.erase(loads.begin() + i);
    run(l);
  }
  return b.phase == (int)parity;
}
void bulk_load(uint32_t shared, const void* global, int bytes, uint32_t barrier) {
  inside(shared, bytes);
  look();
  memset(smem + shared - SHARED_BASE, 0xff, bytes), memset(&seen[shared - SHARED_BASE], 0xff, bytes);
  if (shared % 16 || (uintptr_t)global % 16 || bytes % 16) fail("a bulk load that is not of 16-byte words");
  const Load l{shared, global, bytes, barrier};
  if (early) run(l);
  else loads.push_back(l);
}
void bulk_store(void* global, uint32_t shared, int bytes) {
  inside(shared, bytes);
  if (shared % 16 || (uintptr_t)global % 16 || bytes % 16) fail("a bulk store that is not of 16-byte words");
  const unsigned char* from = (const unsigned char*)smem + shared - SHARED_BASE;
  const Store s{global, shared, bytes, cur, store_groups[cur], {from, from + bytes}};
  if (early) run(s);
  stores.push_back(s);
}
void bulk_commit() { store_groups[cur]++; }
void bulk_wait_read(int leave) {
  for (size_t i = 0; i < stores.size();) {
    if (stores[i].by != cur || stores[i].group + leave >= store_groups[cur]) {
      i++;
      continue;
    }
    const Store& s = stores[i];
    if (memcmp(smem + s.at - SHARED_BASE, s.asked.data(), s.size)) fail("shared memory that a bulk store had yet to read has been overwritten");
    if (!early) run(s);
    stores.erase(stores.begin() + i);
  }
}

void products_begin(int warps, size_t shared) {
  flights.clear();
  flights.resize(warps);
  asked.assign((warps + 3) / 4, {});
  seen.clear();
  shared_bytes = shared, stale = false;
  barriers.clear(), loads.clear(), stores.clear(), store_groups.clear();
}

void products_end() {
  if (!loads.empty() || !stores.empty()) fail("the block has ended before its bulk copies");
  for (size_t w = 0; w < flights.size(); w++) {
    if (!flights[w].products.empty()) fail("the block has ended before its products");
    if (flights[w].asked != asked[w / 4].size()) fail("a warp took no part in products of its warpgroup");
  }
}

static void product(const Request& q) {
  Warp& w = warps[cur->warp];
  memcpy(w.in[cur->lane], &q, sizeof q);
  if (w.alive != 32) fail("a product of a warp that lanes have left");
  if (w.arrived + 1 == w.alive) take(flights[cur->warp], w);
  warp_sync();
}

void product(float* sums, int n, const uint32_t a[4], uint64_t descriptor, bool add, bool bf16) { product({sums, descriptor, 0, {a[0], a[1], a[2], a[3]}, n, add, bf16, false}); }
void product(float* sums, int n, uint64_t a, uint64_t b, bool add, bool bf16, bool turned) { product({sums, b, a, {}, n, add, bf16, turned}); }

void products_fence() { flights[cur->warp].fenced[cur->lane] = true; }

void products_commit() {
  if (cur->lane == 0) flights[cur->warp].groups++;
}

void products_wait(int leave) {
  Warp& w = warps[cur->warp];
  Flight& f = flights[cur->warp];
  f.fenced[cur->lane] = false;
  if (w.arrived + 1 == w.alive) {
    size_t kept = 0;
    for (Product& p : f.products) {
      if (p.group + leave >= f.groups) {
        if (kept != size_t(&p - f.products.data())) f.products[kept] = p;
        kept++;
        continue;
      }
      if (!p.done) run(p);
      p.sums->open--;
    }
    f.products.resize(kept);
    for (auto& s : f.sums)
      if (!s->open)
        for (int l = 0; l < 32; l++) memcpy((void*)s->to[l], s->v[l], s->n * sizeof(float));
    f.sums.erase(std::remove_if(f.sums.begin(), f.sums.end(), [](const std::unique_ptr<Sums>& s) { return !s->open; }), f.sums.end());
  }
  warp_sync();
}

void shared_to_async() { stale = true; }
}  // namespace emu
