// Code that all kernels share: portability between nvcc and the emulator, the network description, random numbers,
// activations. The same text is compiled by nvcc and, with -include emu/emu.h, by a C++ compiler.
#pragma once
#include <stdint.h>

#ifdef __CUDACC__
#define EXTERN_SHARED(T, name) extern __shared__ __align__(16) T name[]
#define KERNEL(name)  // registers a kernel with the emulator

// threadIdx.x and 0, read anew: the compiler then does not keep values derived from them in registers across the parts of the kernel.
__device__ __forceinline__ int thread_now() {
  int i;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(i));
  return i;
}
__device__ __forceinline__ int zero_now() {
  int i;
  asm volatile("mov.u32 %0, 0;" : "=r"(i));
  return i;
}
#else
inline int thread_now() { return threadIdx.x; }
inline int zero_now() { return 0; }
#endif

// ---- the network: a chain of dense layers, mirrored by cuda/chains/net.go --------------------------------------------------
enum { MAX_LAYERS = 16, MAX_D = 32 };
enum { ACT_SILU = 1, ACT_GELU = 2, ACT_TANH = 3 };  // simd.Act's numbers

struct Net {
  int d;         // dimensions of a sample
  int width;     // hidden units, padded with zeros to a multiple of 64
  int hidden;    // hidden layers; the head follows
  int act;       // ACT_*, of every hidden layer
  int residual;  // layers 1.. add their input
  int head;      // offset of the head's weights [width][d], then its bias [d], in floats
  int w[MAX_LAYERS];  // offset of layer i's weights [in][width], units in panel order (see unit_slot)
  int b[MAX_LAYERS];  // offset of layer i's bias [width]; layer 0's is given per row of the table instead
};

// One row of a step table, kernels.Row in its order: x' = a x + b n + m mem + c z, mem' = g x + h n + j z + k mem.
struct Row {
  float cin, a, b, m;
  float c, g, h, j;
  float k;
  uint32_t step;
  uint32_t pad[2];
};

// Units of a group of 64 are stored so that a lane's four (n, n+16, n+32, n+48) are one 16-byte load.
__device__ __forceinline__ int unit_slot(int n) { return (n & ~63) + (n & 15) * 4 + ((n >> 4) & 3); }

#ifdef __CUDACC__
// A barrier, 1 to 15, for so many threads of the block; those of a warp may come one by one.
__device__ __forceinline__ void part_sync(int id, int threads) { asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
#endif

// ---- fast scalar functions --------------------------------------------------------------------------------------------
#ifdef __CUDACC__
__device__ __forceinline__ float sigmoid_fast(float x) {  // one asm block: separate ones spill
  float y;
  asm("{ .reg .f32 t;\n mul.ftz.f32 t, %1, 0fBFB8AA3B;\n ex2.approx.ftz.f32 t, t;\n add.ftz.f32 t, t, 0f3F800000;\n rcp.approx.ftz.f32 %0, t; }"
      : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float tanh_fast(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float rcp_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float exp_fast(float x) {
  float y;
  asm("{ .reg .f32 t;\n mul.ftz.f32 t, %1, 0f3FB8AA3B;\n ex2.approx.ftz.f32 %0, t; }" : "=f"(y) : "f"(x));
  return y;
}
#endif

// The activations to float32 accuracy.
template <int ACT>
__device__ __forceinline__ float activate(float x) {
  if (ACT == ACT_SILU) return x < -87.0f ? 0.0f : x * sigmoid_fast(x);
  if (ACT == ACT_GELU) {  // Abramowitz and Stegun 7.1.26, |error| <= 1.5e-7 in erf, without erff's branches
    const float u = fabsf(x) * 0.70710678118f, t = rcp_fast(fmaf(0.3275911f, u, 1.0f));
    const float p = t * fmaf(t, fmaf(t, fmaf(t, fmaf(t, 1.061405429f, -1.453152027f), 1.421413741f), -0.284496736f), 0.254829592f);
    const float tail = 0.5f * p * exp_fast(-u * u);  // 1 - Phi(|x|)
    return x * (x < 0.0f ? tail : 1.0f - tail);
  }
  return tanhf(x);
}

// ---- random numbers: word for word those of kernels.Normals -------------------------------------------------------------
struct U4 { uint32_t x, y, z, w; };

__device__ __forceinline__ U4 philox10(U4 c, uint32_t k0, uint32_t k1) {
#pragma unroll
  for (int r = 0; r < 10; r++) {
    const uint32_t h0 = __umulhi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x;
    const uint32_t h1 = __umulhi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
    c = U4{h1 ^ c.y ^ k0, l1, h0 ^ c.w ^ k1, l0};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

// The block of a sample: counter (block, stream, sample low, sample high), key seed.
__device__ __forceinline__ U4 noise_block(uint64_t seed, uint32_t stream, uint64_t sample, uint32_t block) {
  return philox10(U4{block, stream, (uint32_t)sample, (uint32_t)(sample >> 32)}, (uint32_t)seed, (uint32_t)(seed >> 32));
}

// Box-Muller: component d (0 cos, 1 sin) of the pair of words a, b. u = ((a>>1) + 1/2)/2^31, angle 2 pi b/2^32.
__device__ __forceinline__ float normal(uint32_t a, uint32_t b, int d) {
  const float u = fmaf((float)(a >> 1), 4.65661287e-10f, 2.32830644e-10f);
  float s, c;
  sincospif((float)(int32_t)b * 4.65661287e-10f, &s, &c);
  return sqrtf(-2.0f * logf(fminf(u, 1.0f))) * (d ? s : c);
}

// z of coordinate d at a step, for d coordinates in all: pair q = step ceil(dims/2) + d/2.
struct Normals {
  uint64_t seed, sample;
  uint32_t stream, block;
  U4 words;
  __device__ __forceinline__ Normals(uint64_t seed, uint32_t stream, uint64_t sample) : seed(seed), sample(sample), stream(stream), block(0xffffffffu), words{0, 0, 0, 0} {}
  __device__ __forceinline__ float operator()(uint32_t step, int dims, int d) {
    const uint64_t q = (uint64_t)step * (uint64_t)((dims + 1) / 2) + (uint64_t)(d / 2);
    const uint32_t b = (uint32_t)(q / 2);
    if (b != block) words = noise_block(seed, stream, sample, block = b);
    return (q & 1) ? normal(words.z, words.w, d & 1) : normal(words.x, words.y, d & 1);
  }
};
