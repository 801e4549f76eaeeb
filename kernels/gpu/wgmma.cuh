// Products of a warpgroup, four warps, on the tensor cores of compute capability 9.0a (wgmma): 64 rows of A in registers or in shared
// memory, times B in shared memory. Files whose name ends in _wgmma.cu use it and are compiled for sm_90a alone.
//
// Warp w of the warpgroup has rows 16 w to 16 w + 15. With g = lane/4 and q = lane%4, lane holds
//   A, 16 inputs: as of mma.sync (mma.cuh)
//   the sums, N columns: d[4j], d[4j+1] (row g, columns 8j + 2q, + 1), d[4j+2], d[4j+3] (row g + 8, same columns)
// so eight neighbouring sums, packed to f16, are the A operand of 16 inputs of the next product.
//
// B is in panels of 64 inputs (k): row n of a panel is 128 bytes, the inputs of column n, whose 16-byte chunk c is stored at chunk
// c ^ (n % 8). A panel begins at a multiple of 1024 bytes. In PTX's words: K-major with 128-byte swizzle, 1024 bytes between groups
// of eight columns. A in shared memory lies in the same way, row m of A where column n of B would be.
//
// Products run asynchronously. What the order of calls must be:
//   shared_to_async   by each thread that wrote B, before the barrier after which B is used
//   wg_fence          before the first product after the threads wrote or read the registers of A or of the sums
//   wgmma             any number of them; those into the same sums run in order
//   wg_commit         ends a group of products
//   wg_wait<N>        until all groups but the last N are done; not before may the sums be read, or B be overwritten
//   keep              after it, for each array of sums, so that the compiler reads none earlier
#pragma once
#include "mma.cuh"

#ifdef __CUDACC__
#define PANELS_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
__device__ __forceinline__ void wg_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wg_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N>
__device__ __forceinline__ void wg_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }
template <int R>
__device__ __forceinline__ void keep(float (&sums)[R]) {
#pragma unroll
  for (int i = 0; i < R; i++) asm volatile("" : "+f"(sums[i])::"memory");
}
// v, by an instruction that the compiler cannot leave out: what is computed while products run may only become an operand of later ones
// after a wait, else ptxas makes all of them wait for each other (C7513). zero must be 0 and not be known to the compiler.
__device__ __forceinline__ uint32_t after_wait(uint32_t v, uint32_t zero) {
  uint32_t out;
  asm volatile("xor.b32 %0, %1, %2;" : "=r"(out) : "r"(v), "r"(zero));
  return out;
}
__device__ __forceinline__ void shared_to_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// A warpgroup gives registers of its threads back, or takes more (setmaxnreg): those of a block were shared out evenly at its start.
template <int N>
__device__ __forceinline__ void registers_at_most() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N)); }
template <int N>
__device__ __forceinline__ void registers_at_least() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N)); }
__device__ __forceinline__ uint32_t shared_address(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }
__device__ __forceinline__ uint64_t descriptor_words(uint32_t low, uint32_t high) {
  uint64_t d;
  asm("mov.b64 %0, {%1, %2};" : "=l"(d) : "r"(low), "r"(high));
  return d;
}

// d += a b, or d = a b unless add; b is a descriptor.
#define SUMS8(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define SUMS64(d, i) SUMS8(d, i), SUMS8(d, i + 8), SUMS8(d, i + 16), SUMS8(d, i + 24), SUMS8(d, i + 32), SUMS8(d, i + 40), SUMS8(d, i + 48), SUMS8(d, i + 56)
#define NAMES32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define NAMES64 NAMES32 ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define NAMES128                                                                                                                                   \
  NAMES64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"  \
  "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
__device__ __forceinline__ void wgmma(float (&d)[64], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{" NAMES64 "}, "
      "{%64,%65,%66,%67}, %68, p, 1, 1, 0;\n}"
      : SUMS64(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma(float (&d)[32], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 "
      "{" NAMES32 "}, "
      "{%32,%33,%34,%35}, %36, p, 1, 1, 0;\n}"
      : SUMS8(d, 0), SUMS8(d, 8), SUMS8(d, 16), SUMS8(d, 24)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
// The same with operands in bf16.
__device__ __forceinline__ void wgmma_bf16(float (&d)[64], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{" NAMES64 "}, "
      "{%64,%65,%66,%67}, %68, p, 1, 1, 0;\n}"
      : SUMS64(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
// The same with A in shared memory, by a descriptor.
__device__ __forceinline__ void wgmma(float (&d)[64], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
      "{" NAMES64 "}, "
      "%64, %65, p, 1, 1, 0, 0;\n}"
      : SUMS64(d, 0)
      : "l"(a), "l"(b), "r"(add));
}
__device__ __forceinline__ void wgmma(float (&d)[128], uint64_t a, uint64_t b, int add) {
  asm volatile(
      "{ .reg .pred p;\n setp.ne.b32 p, %130, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 "
      "{" NAMES128 "}, "
      "%128, %129, p, 1, 1, 0, 0;\n}"
      : SUMS64(d, 0), SUMS64(d, 64)
      : "l"(a), "l"(b), "r"(add));
}
#endif

// A descriptor is two words, of which the place in shared memory is in the low one: an address in units of 16 bytes. 16 inputs further is 2
// further; 8 columns, 64.
__device__ __forceinline__ uint32_t panel_address(uint32_t address) { return (address & 0x3ffff) >> 4; }
__device__ __forceinline__ uint64_t panel_descriptor(uint32_t place) { return descriptor_words(place | 1u << 16, (1024 >> 4) | 1u << 30); }

// Halves of a layer of W inputs and W units: W/64 panels. Bytes.
template <int W>
__device__ __forceinline__ constexpr int layer_bytes() { return 2 * W * W; }

// What to add to the place of a layer's first column and input for column n, a multiple of 8, and inputs 16 kt ...
template <int W>
__device__ __forceinline__ constexpr uint32_t panel_offset(int n, int kt) { return ((kt >> 2) * W * 128 + n * 128 + (kt & 3) * 32) >> 4; }

// The input, an even one, and the unit whose weights of this input and the next are word i of a layer.
template <int W>
__device__ __forceinline__ void panel_place(int i, int* k, int* unit) {
  const int byte = 4 * i, row = byte >> 7 & (W - 1);
  *unit = row;
  *k = byte / (W * 128) * 64 + ((byte >> 4 & 7) ^ (row & 7)) * 8 + (byte & 15) / 2;
}
