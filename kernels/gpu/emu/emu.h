// CPU emulation of one CUDA grid: the kernels' own source, compiled by a C++ compiler with -include emu.h.
// Blocks run one after another; the threads of a block are fibers that switch at barriers, shuffles and tensor-core
// products. Shared memory starts as NaN, a divergent barrier aborts, and HBAR_EMU_ORDER=seed permutes the order of warps
// and lanes, so that a missing barrier shows as a result that depends on the seed. Approximate instructions are exact here
// unless HBAR_EMU_APPROXIMATE is set; races between blocks and timing are not modelled.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <algorithm>
#include <vector>

using std::max;
using std::min;
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define __align__(n) alignas(n)

struct dim3 { unsigned x, y, z; dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(16) double2 { double x, y; };

namespace emu {
struct Copy { void* to; const void* from; size_t size; unsigned group; };  // from null: zeros
struct Fiber { void* sp; char* stack; dim3 tid; int warp, lane; enum { RUN, WARP, BLOCK, PART, ARRIVAL, DONE } st; unsigned gen, groups; int part; std::vector<Copy> copies; uint32_t barrier, parity; };
struct Warp { int alive, arrived; unsigned gen; uint32_t in[32][20], out[32][8]; };
extern thread_local dim3 gDim, bDim, bIdx;
extern thread_local Fiber* cur;
extern thread_local std::vector<Warp> warps;
extern thread_local unsigned char* smem;
void warp_sync();   // all live lanes of the warp
void block_sync();  // all live threads of the block
void part_sync(int id, int threads);  // that many threads of the block
typedef void (*Kernel)(void** args);
void launch(Kernel k, void** args, dim3 grid, dim3 block, size_t smem);
template <class T> inline T shfl(T v, int src) {
  Warp& w = warps[cur->warp];
  memcpy(w.in[cur->lane], &v, sizeof v);
  warp_sync();
  memcpy(&v, w.in[src & 31], sizeof v);
  warp_sync();
  return v;
}
float h2f(uint16_t);
const float* half_values();  // h2f of all 65536
uint16_t f2h(float);
}  // namespace emu

#define threadIdx (emu::cur->tid)
#define blockIdx emu::bIdx
#define blockDim emu::bDim
#define gridDim emu::gDim
#define EXTERN_SHARED(T, name) T* name = (T*)emu::smem
inline void __syncthreads() { emu::block_sync(); }
inline void part_sync(int id, int threads) { emu::part_sync(id, threads); }
inline void __syncwarp(unsigned = ~0u) { emu::warp_sync(); }
template <class T> T __shfl_sync(unsigned, T v, int src, int width = 32) {
  return emu::shfl(v, (emu::cur->lane & ~(width - 1)) | (src & (width - 1)));
}
template <class T> T __shfl_xor_sync(unsigned, T v, int m, int = 32) { return emu::shfl(v, emu::cur->lane ^ m); }
// cp.async: until the thread waits for its copies, NaN is where they go. Groups end with copies_commit; copies_wait<N> leaves
// the last N of them.
template <class T> void copy_async(T* shared, const T* global, bool there) {
  if (((uintptr_t)shared | (there ? (uintptr_t)global : 0)) % sizeof(T)) {
    fprintf(stderr, "emu: an asynchronous copy of %zu bytes from %p to %p, which is not aligned\n", sizeof(T), (const void*)global, (const void*)shared);
    abort();
  }
  memset((void*)shared, 0xff, sizeof(T));
  emu::cur->copies.push_back({shared, there ? global : nullptr, sizeof(T), emu::cur->groups});
}
inline void copies_commit() { emu::cur->groups++; }
template <int LEAVE> void copies_wait() {
  std::vector<emu::Copy>& all = emu::cur->copies;
  size_t n = 0;
  for (const emu::Copy& c : all)
    if (c.group + LEAVE >= emu::cur->groups) all[n++] = c;
    else c.from ? (void)memcpy(c.to, c.from, c.size) : (void)memset(c.to, 0, c.size);
  all.resize(n);
}
// ldmatrix.x4: lane l gives the address of row l % 8 of matrix l / 8, and gets of each matrix the word l % 4 of row l / 4.
inline void load_matrices(uint32_t r[4], const void* row) {
  emu::Warp& w = emu::warps[emu::cur->warp];
  const int l = emu::cur->lane;
  memcpy(w.in[l], &row, sizeof row);
  emu::warp_sync();
  for (int i = 0; i < 4; i++) {
    const char* from;
    memcpy(&from, w.in[8 * i + l / 4], sizeof from);
    memcpy(&r[i], from + 4 * (l % 4), 4);
  }
  emu::warp_sync();
}
inline uint32_t __umulhi(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return (uint64_t)(((unsigned __int128)a * b) >> 64); }
template <class T> T __ldg(const T* p) { return *p; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float4 make_float4(float x, float y, float z, float w) { return float4{x, y, z, w}; }
inline void sincospif(float x, float* s, float* c) { *s = (float)sin(M_PI * x), *c = (float)cos(M_PI * x); }
inline void sincospi(double x, double* s, double* c) { *s = sin(M_PI * x), *c = cos(M_PI * x); }
// The approximate instructions: exact, or with HBAR_EMU_APPROXIMATE=1 off by up to the largest relative errors that the PTX
// manual states (ex2 2^-22.5, rcp 2^-23, tanh 2^-11), by an amount that looks random and is the same for the same argument.
namespace emu {
extern const bool approximate;
inline float off(double exact, float x, double bound) {
  uint32_t h;
  memcpy(&h, &x, 4);
  h = (h ^ h >> 16) * 0x7feb352du, h = (h ^ h >> 15) * 0x846ca68bu, h ^= h >> 16;
  return (float)(exact * (1 + bound * ((int32_t)h * 0x1p-31)));
}
inline float ex2(float x) { return approximate ? off(exp2((double)x), x, 0x1p-22 * 0.70710678) : exp2f(x); }
}  // namespace emu
inline float rcp_fast(float x) { return emu::approximate ? emu::off(1.0 / x, x, 0x1p-23) : 1.0f / x; }
inline float tanh_fast(float x) { return emu::approximate ? emu::off(tanh((double)x), x, 0x1p-11) : tanhf(x); }
inline float exp_fast(float x) { return emu::approximate ? emu::ex2(x * 1.44269504f) : expf(x); }
inline float sigmoid_fast(float x) { return rcp_fast(1.0f + exp_fast(-x)); }
inline uint32_t pack_f16(float lo, float hi) { return emu::f2h(lo) | (uint32_t)emu::f2h(hi) << 16; }
inline void unpack_f16(uint32_t v, float* lo, float* hi) { *lo = emu::h2f((uint16_t)v), *hi = emu::h2f(v >> 16); }
void mma_f16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
// tf32: a float32 of 10 bits of mantissa, rounded to nearest, ties away from zero. bf16: of 7, ties to even.
inline uint32_t to_tf32(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return (u & 0x7f800000) == 0x7f800000 ? u : (u + 0x1000) & ~0x1fffu;
}
inline float from_tf32(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}
inline uint32_t to_bf16(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  if ((u & 0x7fffffff) > 0x7f800000) return 0x7fff;
  return (u + 0x7fff + (u >> 16 & 1)) >> 16;
}
inline uint32_t pack_bf16(float lo, float hi) { return to_bf16(lo) | to_bf16(hi) << 16; }
void mma_tf32(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1);
void mma_f64(double c[4], const double a[4], double b0, double b1);
