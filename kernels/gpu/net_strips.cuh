// Attention in BF16 or F16, for warps that have strips of TILES times 16 rows: a block owns the strips of its warps, of which GROUPS share one, each with its part of the channels of results, and passes over the rows of the other side, NEXT at a time. Tiles of
// these lie in shared memory twice, so that the next are fetched while products of the last are made, with one barrier between.
// All arrays have whole quads of channels, at multiples of 16 bytes; or of halves, at multiples of 8 bytes, where `wide`, or `even` of a result, is HALVES.
//
// The order of a sum is free if both factors share it, and so is the order of columns. So a lane's words of a fragment lie side by side, and come with one load of 16 bytes: of 16
// words along a row, lane q = lane % 4 has words 4 q ... 4 q + 3, for two products; of 32 channels of a turned tile, lane g = lane / 4 has channels 4 g ... 4 g + 3, columns of four products.
#pragma once
#include "net_heads.cuh"

template <int ARITH_, int D_, int TILES_, int WARPS_, int GROUPS_, int NEXT_>
struct Strip {
  enum {
    ARITH = ARITH_, D = D_, TILES = TILES_, WARPS = WARPS_, GROUPS = GROUPS_, NEXT = NEXT_, THREADS = 32 * WARPS, OWN = WARPS / GROUPS * TILES * 16, C = D / GROUPS,
    ALONG = D / 2 + 16, TURNED = D + 8,  // words from a row to the next
    ALONG_WORDS = NEXT * ALONG, TURNED_WORDS = NEXT / 2 * TURNED, OWN_WORDS = OWN * ALONG,
    COLS = NEXT / 8, OUTS = C / 8, STEPS = D / 32, TASKS = NEXT / 2 * (D / 4) / THREADS,
  };
};

#ifdef __CUDACC__
__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#else
inline float exp2_fast(float x) { return emu::ex2(x); }
#endif

enum { HALVES = 2 };  // mirrored by cuda/programs/op_attention.go

// Four numbers at number `at` of an array of float32 or of halves, zeros where there are none. A bf16 number is the upper half of a float32 one, and so of one of tf32.
template <int ARITH>
__device__ __forceinline__ float4 read_numbers(const float* p, long long at, bool halves, bool there) {
  if (!there) return float4{0.0f, 0.0f, 0.0f, 0.0f};
  if (!halves) return *(const float4*)(p + at);
  const uint2 v = *(const uint2*)((const uint16_t*)p + at);
  if constexpr (ARITH == ARITH_F16) {
    float4 x;
    unpack_f16(v.x, &x.x, &x.y), unpack_f16(v.y, &x.z, &x.w);
    return x;
  }
  return float4{from_tf32(v.x << 16), from_tf32(v.x & 0xffff0000u), from_tf32(v.y << 16), from_tf32(v.y & 0xffff0000u)};
}

template <class B>
struct StripPlace {
  int sample, head, first, row, channel, g, q;  // row: of the warp's first, in the block; channel: the first of its results
  __device__ __forceinline__ StripPlace(int blocks, int heads, int thread) {
    const int lane = thread % 32, next = blockIdx.x / blocks;
    first = (blockIdx.x - next * blocks) * B::OWN, sample = next / heads, head = next - sample * heads;
    g = lane / 4, q = lane % 4, row = thread / 32 / B::GROUPS * B::TILES * 16, channel = thread / 32 % B::GROUPS * B::C;
  }
  __device__ __forceinline__ long long of(const Heads& h, int d) const { return sample * h.sample + head * d; }  // the number where the head begins
};

// Quads of two neighbouring rows on their way to shared memory, zeros behind the last row and the channels. A thread has a quad of channels, of every STEP-th pair of rows.
template <class B>
struct Fetched {
  enum { QUADS = B::D / 4, STEP = B::THREADS / QUADS };
  float4 x[B::TASKS], y[B::TASKS];
  __device__ __forceinline__ void fetch(const Heads& h, long long at, int first, int rows, int d) {
    const int c = threadIdx.x % QUADS * 4, r = first + threadIdx.x / QUADS * 2, left = c < d ? rows - r : 0;
    const bool halves = h.wide == HALVES;
    at += (long long)r * h.row + c;
#pragma unroll
    for (int t = 0; t < B::TASKS; t++) {
      x[t] = read_numbers<B::ARITH>(h.p, at, halves, 2 * STEP * t < left), y[t] = read_numbers<B::ARITH>(h.p, at + h.row, halves, 2 * STEP * t + 1 < left);
      at += 2 * STEP * h.row;
    }
  }
  __device__ __forceinline__ void along(uint32_t* to) const {
    to += threadIdx.x / QUADS * 2 * B::ALONG + threadIdx.x % QUADS * 2;
#pragma unroll
    for (int t = 0; t < B::TASKS; t++) {
      unsigned long long* w = (unsigned long long*)(to + 2 * STEP * t * B::ALONG);
      w[0] = pack_halves<B::ARITH>(x[t].x, x[t].y) | (unsigned long long)pack_halves<B::ARITH>(x[t].z, x[t].w) << 32;
      w[B::ALONG / 2] = pack_halves<B::ARITH>(y[t].x, y[t].y) | (unsigned long long)pack_halves<B::ARITH>(y[t].z, y[t].w) << 32;
    }
  }
  __device__ __forceinline__ void turned(uint32_t* to) const {
    to += threadIdx.x / QUADS * B::TURNED + threadIdx.x % QUADS * 4;
#pragma unroll
    for (int t = 0; t < B::TASKS; t++)
      *(uint4*)(to + STEP * t * B::TURNED) = uint4{pack_halves<B::ARITH>(x[t].x, y[t].x), pack_halves<B::ARITH>(x[t].y, y[t].y), pack_halves<B::ARITH>(x[t].z, y[t].z), pack_halves<B::ARITH>(x[t].w, y[t].w)};
  }
};

// The rows that a block owns, in shared memory.
template <class B>
struct Owned {
  const uint32_t* tile;  // this lane's words
  __device__ __forceinline__ Owned(const Heads& h, const StripPlace<B>& w, int rows, int d, uint32_t* shared) : tile(shared + (w.row + w.g) * B::ALONG + 4 * w.q) {
    const long long p = w.of(h, d);
#pragma unroll 1
    for (int r = 0; r < B::OWN; r += B::NEXT) {
      Fetched<B> f;
      f.fetch(h, p, w.first + r, rows, d);
      f.along(shared + r * B::ALONG);
    }
  }
  // The fragments of 32 channels of 16 rows.
  __device__ __forceinline__ void get(uint32_t (&f)[2][4], int m, int c) const {
#pragma unroll
    for (int e = 0; e < 2; e++) {
      const uint4 v = *(const uint4*)(tile + (m * 16 + e * 8) * B::ALONG + 16 * c);
      f[0][e] = v.x, f[0][2 + e] = v.y, f[1][e] = v.z, f[1][2 + e] = v.w;
    }
  }
};

// s += the products of the owned rows with the rows of b: column 8 j + 2 q + e of row g + 8 h of tile m is s[m][j][2 h + e].
template <class B>
__device__ __forceinline__ void strip_scores(float (&s)[B::TILES][B::COLS][4], const Owned<B>& own, const uint32_t* b, const StripPlace<B>& w, int d) {
  b += w.g * B::ALONG + 4 * w.q;
#pragma unroll
  for (int c = 0; c < B::STEPS; c++) {
    if (32 * c >= d) break;
    uint32_t a[B::TILES][2][4];
#pragma unroll
    for (int m = 0; m < B::TILES; m++) own.get(a[m], m, c);
#pragma unroll
    for (int j = 0; j < B::COLS; j++) {
      const uint4 v = *(const uint4*)(b + 8 * j * B::ALONG + 16 * c);
#pragma unroll
      for (int m = 0; m < B::TILES; m++) mma_halves<B::ARITH>(s[m][j], a[m][0], v.x, v.y), mma_halves<B::ARITH>(s[m][j], a[m][1], v.z, v.w);
    }
  }
}

// acc += the products of p, as strip_scores leaves it, with a turned tile: channel w.channel + 32 h + 8 q + 4 e + i of row g + 8 r of tile m is acc[m][4 h + i][2 r + e].
template <class B>
__device__ __forceinline__ void strip_mix(float (&acc)[B::TILES][B::OUTS][4], const float (&p)[B::TILES][B::COLS][4], const uint32_t* v, const StripPlace<B>& w, int d) {
  v += w.q * B::TURNED + w.channel + 4 * w.g;
#pragma unroll
  for (int j = 0; j < B::COLS; j += 2) {
    uint32_t a[B::TILES][4];
#pragma unroll
    for (int m = 0; m < B::TILES; m++)
#pragma unroll
      for (int e = 0; e < 4; e++) a[m][e] = pack_halves<B::ARITH>(p[m][j + e / 2][e % 2 * 2], p[m][j + e / 2][e % 2 * 2 + 1]);
#pragma unroll
    for (int h = 0; h < B::C / 32; h++) {
      if (w.channel + 32 * h >= d) break;
      const uint4 x = *(const uint4*)(v + 4 * j * B::TURNED + 32 * h), y = *(const uint4*)(v + 4 * (j + 1) * B::TURNED + 32 * h);
#pragma unroll
      for (int m = 0; m < B::TILES; m++) {
        mma_halves<B::ARITH>(acc[m][4 * h], a[m], x.x, y.x), mma_halves<B::ARITH>(acc[m][4 * h + 1], a[m], x.y, y.y);
        mma_halves<B::ARITH>(acc[m][4 * h + 2], a[m], x.z, y.z), mma_halves<B::ARITH>(acc[m][4 * h + 3], a[m], x.w, y.w);
      }
    }
  }
}

template <class B>
__device__ __forceinline__ void strip_store(const HeadsOut& h, const StripPlace<B>& w, const float (&acc)[B::TILES][B::OUTS][4], int rows, int d, const float (&scale)[B::TILES][2]) {
#pragma unroll
  for (int m = 0; m < B::TILES; m++)
#pragma unroll
    for (int r = 0; r < 2; r++) {
      const int t = w.first + w.row + m * 16 + 8 * r + w.g;
      if (t >= rows) continue;
      const long long at = w.sample * h.sample + w.head * d + (long long)t * h.row;
#pragma unroll
      for (int n = 0; n < B::OUTS; n += 4)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const int c = w.channel + 8 * n + 8 * w.q + 4 * e;
          const float4 v = float4{acc[m][n][2 * r + e] * scale[m][r], acc[m][n + 1][2 * r + e] * scale[m][r], acc[m][n + 2][2 * r + e] * scale[m][r], acc[m][n + 3][2 * r + e] * scale[m][r]};
          if (c >= d) continue;
          if (h.even == HALVES) *(uint2*)((uint16_t*)h.p + at + c) = uint2{pack_halves<B::ARITH>(v.x, v.y), pack_halves<B::ARITH>(v.z, v.w)};
          else *(float4*)(h.p + at + c) = v;
        }
    }
}

template <class B, int N>
__device__ __forceinline__ void strip_clear(float (&x)[B::TILES][N][4]) {
#pragma unroll
  for (int e = 0; e < B::TILES * N * 4; e++) x[e / (4 * N)][e / 4 % N][e % 4] = 0.0f;
}
