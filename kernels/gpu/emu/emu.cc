// The scheduler of the emulator and its half-precision arithmetic; see emu.h.
#include "registry.h"
namespace emu {
const bool approximate = getenv("HBAR_EMU_APPROXIMATE") && *getenv("HBAR_EMU_APPROXIMATE");
thread_local dim3 gDim, bDim, bIdx;
thread_local Fiber* cur;
thread_local std::vector<Warp> warps;
thread_local unsigned char* smem;
static thread_local std::vector<Fiber> fibers;
static thread_local void* sched_sp;
static thread_local Kernel kern;
static thread_local void** kargs;
static thread_local int block_alive, block_arrived;
static thread_local unsigned block_gen;
static thread_local int part_arrived[16];
static thread_local unsigned part_gen[16];

#if defined(__x86_64__)
// callee-saved registers on the old stack, swap stack pointers
asm(".text\n.globl emu_swap\n.type emu_swap,@function\nemu_swap:\n"
    "push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n ret\n");
extern "C" void emu_swap(void** save, void* to);
#else
#error "emu: add a context switch (or ucontext) for this CPU"
#endif

static void yield() { emu_swap(&cur->sp, sched_sp); }

static void release_warp(Warp& w) { w.arrived = 0; w.gen++; }
void warp_sync() {
  Warp& w = warps[cur->warp];
  if (++w.arrived == w.alive) { release_warp(w); return; }
  cur->gen = w.gen; cur->st = Fiber::WARP;
  while (w.gen == cur->gen) yield();
  cur->st = Fiber::RUN;
}
void block_sync() {
  if (++block_arrived == block_alive) { block_arrived = 0; block_gen++; return; }
  cur->gen = block_gen; cur->st = Fiber::BLOCK;
  while (block_gen == cur->gen) yield();
  cur->st = Fiber::RUN;
}
void part_sync(int id, int threads) {
  if (id < 1 || id > 15 || threads % 32) { fprintf(stderr, "emu: barrier %d of %d threads; barriers are 1 to 15, of whole warps\n", id, threads); abort(); }
  if (++part_arrived[id] == threads) { part_arrived[id] = 0; part_gen[id]++; return; }
  cur->gen = part_gen[id]; cur->part = id; cur->st = Fiber::PART;
  while (part_gen[id] == cur->gen) yield();
  cur->st = Fiber::RUN;
}
void barrier_wait(uint32_t barrier, uint32_t parity) {
  cur->barrier = barrier, cur->parity = parity, cur->st = Fiber::ARRIVAL;
  while (barrier_holds(barrier, parity)) yield();
  cur->st = Fiber::RUN;
}
static void entry() {
  kern(kargs);
  cur->st = Fiber::DONE;
  Warp& w = warps[cur->warp];
  w.alive--, block_alive--;
  if (w.alive && w.arrived == w.alive) release_warp(w);
  if (block_alive && block_arrived == block_alive) { block_arrived = 0; block_gen++; }
  yield();
  abort();
}
void launch(Kernel k, void** args, dim3 grid, dim3 block, size_t nsmem) {
  const size_t STK = 64 << 10;
  const int n = block.x * block.y * block.z, nw = (n + 31) / 32;
  kern = k, kargs = args, gDim = grid, bDim = block;
  static thread_local std::vector<char> stacks;  // kept: fresh pages cost more than most launches
  if (stacks.size() < (size_t)n * STK) stacks.resize((size_t)n * STK);
  if (posix_memalign((void**)&smem, 1024, nsmem ? nsmem : 1)) abort();  // no slack, for sanitizers
  for (bIdx.z = 0; bIdx.z < grid.z; bIdx.z++)
    for (bIdx.y = 0; bIdx.y < grid.y; bIdx.y++)
      for (bIdx.x = 0; bIdx.x < grid.x; bIdx.x++) {
        memset(smem, 0xff, nsmem);  // NaN: reading what was never written shows
        warps.assign(nw, Warp());
        fibers.assign(n, Fiber());
        block_alive = n, block_arrived = 0;
        products_begin(nw, nsmem);
        std::fill(part_arrived, part_arrived + 16, 0);
        for (int i = 0; i < n; i++) {
          Fiber& f = fibers[i];
          f.tid = dim3(i % block.x, i / block.x % block.y, i / (block.x * block.y));
          f.warp = i / 32, f.lane = i % 32, f.st = Fiber::RUN;
          warps[f.warp].alive++;
          void** sp = (void**)(((uintptr_t)(stacks.data() + (size_t)(i + 1) * STK)) & ~(uintptr_t)63);
          *--sp = nullptr;  // keeps rsp = 8 mod 16 at entry, as after a call
          *--sp = (void*)entry;
          for (int r = 0; r < 6; r++) *--sp = nullptr;
          f.sp = sp;
        }
        // HBAR_EMU_ORDER=seed permutes warps and lanes each pass: a missing barrier changes results
        static const unsigned order = getenv("HBAR_EMU_ORDER") ? strtoul(getenv("HBAR_EMU_ORDER"), 0, 10) : 0;
        unsigned rng = order * 2654435761u;
        for (int left = n; left;) {
          int moved = 0;
          const unsigned wx = order ? (rng = rng * 1664525u + 1013904223u) >> 8 : 0;
          for (int wi = 0; wi < nw; wi++) {
            const int w = (wi + wx) % nw;
            // a warp's lanes as long as the warp can go on by itself
            for (bool go = true; go;) {
              go = false;
              const unsigned lx = order ? (rng = rng * 1664525u + 1013904223u) >> 27 : 0;
              for (int li = 0; li < 32; li++) {
                const int i = w * 32 + (li ^ lx);
                if (i >= n) continue;
                Fiber& f = fibers[i];
                if (f.st == Fiber::DONE) continue;
                if (f.st == Fiber::WARP && warps[w].gen == f.gen) continue;
                if (f.st == Fiber::BLOCK && block_gen == f.gen) continue;
                if (f.st == Fiber::PART && part_gen[f.part] == f.gen) continue;
                if (f.st == Fiber::ARRIVAL && barrier_holds(f.barrier, f.parity)) continue;
                cur = &f;
                emu_swap(&sched_sp, f.sp);
                go = true, moved++;
                if (f.st == Fiber::DONE) left--;
              }
            }
          }
          if (left && !moved) { fprintf(stderr, "emu: deadlock: divergent barrier\n"); abort(); }
        }
        products_end();
      }
  free(smem);
}

float h2f(uint16_t h) {
  const int e = h >> 10 & 31, m = h & 1023;
  float v = e == 0 ? ldexpf((float)m, -24) : e == 31 ? (m ? NAN : INFINITY) : ldexpf((float)(m + 1024), e - 25);
  return h & 0x8000 ? -v : v;
}
uint16_t f2h(float f) {  // round to nearest even
  uint32_t u;
  memcpy(&u, &f, 4);
  const uint32_t s = u >> 16 & 0x8000, a = u & 0x7fffffff;
  if (a >= 0x7f800000) return s | (a > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (a >= 0x477ff000) return s | 0x7c00;
  if (a < 0x38800000) {  // subnormal
    float r = fabsf(f) * 16777216.0f;
    return s | (uint16_t)lrintf(r);
  }
  const uint32_t r = a + 0xfff + (a >> 13 & 1);
  return s | (uint16_t)((r - 0x38000000) >> 13);
}
static float h2f_tab[65536];
const float* half_values() { return h2f_tab; }
static bool tab_ready = [] { for (int i = 0; i < 65536; i++) h2f_tab[i] = h2f(i); return true; }();
std::map<std::string, Fn>& registry() {  // made at first use: the kernels' files register in any order
  static std::map<std::string, Fn> fns;
  return fns;
}
}  // namespace emu

void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  using namespace emu;
  Warp& w = warps[cur->warp];
  const int L = cur->lane;
  memcpy(w.in[L], a, 16);
  w.in[L][4] = b0, w.in[L][5] = b1;
  memcpy(&w.in[L][6], c, 16);
  if (w.arrived + 1 == w.alive) {  // last lane in computes the tile
    float A[16][16], B[16][8];
    for (int l = 0; l < 32; l++) {
      const int g = l >> 2, q = l & 3;
      for (int r = 0; r < 4; r++)
        for (int e = 0; e < 2; e++) A[g + 8 * (r & 1)][q * 2 + e + 8 * (r >> 1)] = h2f_tab[(uint16_t)(w.in[l][r] >> 16 * e)];
      for (int r = 0; r < 2; r++)
        for (int e = 0; e < 2; e++) B[q * 2 + e + 8 * r][g] = h2f_tab[(uint16_t)(w.in[l][4 + r] >> 16 * e)];
    }
    float D[16][8];
    for (int i = 0; i < 16; i++) {
      float s[8] = {0};
      for (int k = 0; k < 16; k++)
        for (int j = 0; j < 8; j++) s[j] += A[i][k] * B[k][j];
      for (int j = 0; j < 8; j++) D[i][j] = s[j];
    }
    for (int l = 0; l < 32; l++)
      for (int r = 0; r < 4; r++) {
        float v;
        memcpy(&v, &w.in[l][6 + r], 4);
        v += D[(l >> 2) + 8 * (r >> 1)][(l & 3) * 2 + (r & 1)];
        memcpy(&w.out[l][r], &v, 4);
      }
  }
  warp_sync();
  memcpy(c, w.out[L], 16);
  // no second barrier: every lane must pass the next rendezvous' arrival before out is rewritten
}

// The products of m16n8k16 in bf16 and m16n8k8 in tf32: word w of a lane holds PER numbers of k, and half h of the words is K/2 further.
template <int K, int PER, class Number>
static void mma_words(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1, Number number) {
  using namespace emu;
  Warp& w = warps[cur->warp];
  const int L = cur->lane;
  memcpy(w.in[L], a, 16);
  w.in[L][4] = b0, w.in[L][5] = b1;
  memcpy(&w.in[L][6], c, 16);
  if (w.arrived + 1 == w.alive) {  // last lane in computes the tile
    float A[16][K], B[K][8];
    for (int l = 0; l < 32; l++) {
      const int g = l >> 2, q = l & 3;
      for (int e = 0; e < PER; e++) {
        for (int r = 0; r < 4; r++) A[g + 8 * (r & 1)][q * PER + e + K / 2 * (r >> 1)] = number(w.in[l][r], e);
        for (int r = 0; r < 2; r++) B[q * PER + e + K / 2 * r][g] = number(w.in[l][4 + r], e);
      }
    }
    for (int i = 0; i < 16; i++) {
      float s[8] = {0};
      for (int k = 0; k < K; k++)
        for (int j = 0; j < 8; j++) s[j] += A[i][k] * B[k][j];
      for (int j = 0; j < 8; j++) {
        const int l = (i & 7) * 4 + j / 2, r = i / 8 * 2 + j % 2;
        float v;
        memcpy(&v, &w.in[l][6 + r], 4);
        v += s[j];
        memcpy(&w.out[l][r], &v, 4);
      }
    }
  }
  warp_sync();
  memcpy(c, w.out[L], 16);
  // no second barrier, as above
}
void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  mma_words<16, 2>(c, a, b0, b1, [](uint32_t word, int e) { return from_tf32(word >> 16 * e << 16); });
}
// Hardware ignores the low 13 bits of a tf32.
void mma_tf32(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  mma_words<8, 1>(c, a, b0, b1, [](uint32_t word, int) { return from_tf32(word & ~0x1fffu); });
}

void mma_f64(double c[4], const double a[4], double b0, double b1) {
  using namespace emu;
  Warp& w = warps[cur->warp];
  const int L = cur->lane;
  const double b[2] = {b0, b1};
  memcpy(w.in[L], a, 32);
  memcpy(&w.in[L][8], b, 16);
  memcpy(&w.in[L][12], c, 32);
  if (w.arrived + 1 == w.alive) {  // last lane in computes the tile
    double A[16][8], B[8][8], C[16][8];
    for (int l = 0; l < 32; l++) {
      const int g = l >> 2, q = l & 3;
      for (int i = 0; i < 4; i++) memcpy(&A[g + 8 * (i & 1)][q + 4 * (i >> 1)], &w.in[l][2 * i], 8);
      for (int i = 0; i < 2; i++) memcpy(&B[q + 4 * i][g], &w.in[l][8 + 2 * i], 8);
      for (int i = 0; i < 4; i++) memcpy(&C[g + 8 * (i >> 1)][2 * q + (i & 1)], &w.in[l][12 + 2 * i], 8);
    }
    for (int i = 0; i < 16; i++)
      for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) C[i][j] = fma(A[i][k], B[k][j], C[i][j]);
    for (int l = 0; l < 32; l++)
      for (int i = 0; i < 4; i++) memcpy(&w.out[l][2 * i], &C[(l >> 2) + 8 * (i >> 1)][2 * (l & 3) + (i & 1)], 8);
  }
  warp_sync();
  memcpy(c, w.out[L], 32);
  // no second barrier, as above
}
