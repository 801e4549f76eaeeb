// Tiles of the heads of attentions in shared memory, and their products on tensor cores in the arithmetic of net_mma.cuh.
//
// A word is a float32 number or, in BF16 and F16, two numbers that follow each other in the sum: a product of eight words is one instruction.
// A tile lies along its channels, a row a row; or, for sums over rows, turned: in BF16 and F16 a word then has rows 2i and 2i + 1 of a channel, and
// for float32 numbers both are the same. Rows are so far apart that the lanes of a fragment meet all banks.
#pragma once
#include "net_mma.cuh"

// Channel c of head h of position t of sample s is p[s sample + t row + h d + c]; sample 0 for an array that all share.
struct Heads {
  const float* p;
  long long sample;
  int row, wide;  // wide: rows of heads begin at multiples of 16 bytes and end with whole quads
};
struct HeadsOut {
  float* p;
  long long sample;
  int row, even;  // even: rows of heads begin at multiples of 8 bytes and end with whole pairs
};

// Mirrored by cuda/programs/op_attention.go.
struct Attention {
  Heads q, k, v, g, dq, dk, dv;  // g: the cotangent of the result; d: tangents
  HeadsOut y, gq, gk, gv;        // result or its tangent; cotangents
  float* stats;  // [sample][head][T][3]: largest score, 1 over the sum of exponentials, the mean of the cotangents of probabilities
  int T, S, heads, d;
  float scale;
  int blocks;  // of the dimension that is cut
};

// The sum, or the largest, of a row's numbers in the four lanes that share it.
__device__ __forceinline__ float row_sum(float v) {
  v += __shfl_xor_sync(0xffffffffu, v, 1);
  return v + __shfl_xor_sync(0xffffffffu, v, 2);
}
__device__ __forceinline__ float row_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 1));
  return fmaxf(v, __shfl_xor_sync(0xffffffffu, v, 2));
}

// A block of four warps owns OWN rows of one head of one sample and passes over the others, NEXT at a time. GROUPS warps share 16 rows, each
// with its share of the channels of their results.
template <int ARITH_, int D_, int OWN_, int NEXT_>
struct HeadTile {
  enum {
    ARITH = ARITH_, D = D_, OWN = OWN_, NEXT = NEXT_, THREADS = 128, GROUPS = 64 / OWN, C = D / GROUPS,
    PARTS = ARITH == ARITH_F32, PAIRS = ARITH == ARITH_BF16 || ARITH == ARITH_F16, WORDS = PAIRS ? D / 2 : D,
    ALONG = WORDS + 4, TURNED = PAIRS ? D + 8 : D + 4,  // words from a row to the next
    OWN_WORDS = OWN * ALONG, NEXT_WORDS = NEXT * ALONG, TURNED_WORDS = PAIRS ? NEXT / 2 * TURNED : NEXT * ALONG,
    COLS = NEXT / 8, OUTS = C / 8,  // tiles of eight columns: of scores, of results
  };
};

// The tile's place in the arrays, and this lane's in the tile: rows row and row + 8 of the block's, of the channels from `channel` on.
template <class A>
struct Where {
  int sample, head, first, row, channel, g, q;
  __device__ __forceinline__ Where(int blocks, int heads) {
    first = blockIdx.x % blocks * A::OWN;
    head = blockIdx.x / blocks % heads, sample = blockIdx.x / blocks / heads;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    g = lane / 4, q = lane % 4, row = warp / A::GROUPS * 16 + g, channel = warp % A::GROUPS * A::C;
  }
  __device__ __forceinline__ const float* of(const Heads& h, int d) const { return h.p + sample * h.sample + head * d; }
};

// Four numbers from p on where there is a p and so many are left, zeros behind.
template <bool WIDE>
__device__ __forceinline__ float4 read_quad(const float* p, bool there, int count) {
  if (!there) return float4{0.0f, 0.0f, 0.0f, 0.0f};
  if (WIDE) return *(const float4*)p;
  return float4{p[0], count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, count > 3 ? p[3] : 0.0f};
}

// Rows of float32 numbers to shared memory, with copies that need no register.
template <class A, int ROWS, bool WIDE>
__device__ __forceinline__ void load_numbers(float* to, const float* p, int row, int left, int d) {
  enum { QUADS = A::D / 4, STEP = A::THREADS / QUADS };
  const int r = threadIdx.x / QUADS, c = threadIdx.x % QUADS * 4;
  const float* from = p + (long long)r * row + c;
  to += r * A::ALONG + c;
#pragma unroll 4
  for (int i = 0; i < ROWS; i += STEP) {
    const bool there = r + i < left && c < d;
    if (WIDE) copy_async((float4*)to, (const float4*)(there ? from : p), there);
    else copy_quad(to, from, there, false, d - c, p);
    from += (long long)STEP * row, to += STEP * A::ALONG;
  }
}

// Rows of pairs of halves, along and turned where there is a place for it.
template <class A, int ROWS, bool WIDE>
__device__ __forceinline__ void load_pairs(uint32_t* along, uint32_t* turned, const float* p, int row, int left, int d) {
  enum { QUADS = A::D / 4, STEP = 2 * A::THREADS / QUADS };
  const int r = threadIdx.x / QUADS * 2, c = threadIdx.x % QUADS * 4;
  p += (long long)r * row + c;
#pragma unroll 2
  for (int i = 0; i < ROWS; i += STEP) {
    const float4 x = read_quad<WIDE>(p, r + i < left && c < d, d - c), y = read_quad<WIDE>(p + row, r + i + 1 < left && c < d, d - c);
    p += (long long)STEP * row;
    if (along) {
      uint32_t* to = along + (r + i) * A::ALONG + c / 2;
      *(unsigned long long*)to = pack_halves<A::ARITH>(x.x, x.y) | (unsigned long long)pack_halves<A::ARITH>(x.z, x.w) << 32;
      *(unsigned long long*)(to + A::ALONG) = pack_halves<A::ARITH>(y.x, y.y) | (unsigned long long)pack_halves<A::ARITH>(y.z, y.w) << 32;
    }
    if (turned) *(uint4*)(turned + (r + i) / 2 * A::TURNED + c) = uint4{pack_halves<A::ARITH>(x.x, y.x), pack_halves<A::ARITH>(x.y, y.y), pack_halves<A::ARITH>(x.z, y.z), pack_halves<A::ARITH>(x.w, y.w)};
  }
}

// Rows first .. first + ROWS - 1 of a head to shared memory, along and turned where there is a place for it; zeros behind the last row and
// behind the channels. A thread has a quad of channels of every STEP-th row.
template <class A, int ROWS>
__device__ __forceinline__ void load_tile(uint32_t* along, uint32_t* turned, const float* p, const Heads& h, int first, int rows, int d) {
  p += (long long)first * h.row;
  if constexpr (A::PAIRS) {
    if (h.wide) load_pairs<A, ROWS, true>(along, turned, p, h.row, rows - first, d);
    else load_pairs<A, ROWS, false>(along, turned, p, h.row, rows - first, d);
  } else {
    if (h.wide) load_numbers<A, ROWS, true>((float*)along, p, h.row, rows - first, d);
    else load_numbers<A, ROWS, false>((float*)along, p, h.row, rows - first, d);
  }
}

// A number as the sum of two tf32.
struct Parts {
  uint32_t hi, lo;
  __device__ __forceinline__ void operator=(float x) { hi = to_tf32(x), lo = to_tf32(x - from_tf32(hi)); }
};

// c += a b over 16 steps of k in F32; the first index of a and b is the half of the steps.
__device__ __forceinline__ void mma_f32(float c[4], const Parts a[2][4], const Parts b[2][2]) {
  float t[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
  for (int s = 0; s < 2; s++) {
    const uint32_t lo[4] = {a[s][0].lo, a[s][1].lo, a[s][2].lo, a[s][3].lo}, hi[4] = {a[s][0].hi, a[s][1].hi, a[s][2].hi, a[s][3].hi};
    mma_tf32(t, lo, b[s][0].hi, b[s][1].hi);
    mma_tf32(t, hi, b[s][0].lo, b[s][1].lo);
  }
#pragma unroll
  for (int s = 0; s < 2; s++) {
    const uint32_t hi[4] = {a[s][0].hi, a[s][1].hi, a[s][2].hi, a[s][3].hi};
    mma_tf32(t, hi, b[s][0].hi, b[s][1].hi);
  }
#pragma unroll
  for (int e = 0; e < 4; e++) c[e] += t[e];
}

__device__ __forceinline__ float number(uint32_t word) { return from_tf32(word); }  // a float32 in a word of shared memory

// s += the products of this warp's 16 rows of a with the rows of b, over the channels: column 8 j + 2 q + e of row g + 8 h is s[j][2 h + e].
template <class A>
__device__ __forceinline__ void scores(float (&s)[A::COLS][4], const uint32_t* a, const uint32_t* b, const Where<A>& w, int d) {
  const int words = A::PAIRS ? (d + 1) / 2 : d;
  a += w.row * A::ALONG + w.q, b += w.g * A::ALONG + w.q;
  if constexpr (A::PARTS) {
#pragma unroll 1
    for (int c = 0; c < words; c += 16) {
      Parts pa[2][4], pb[2][2];
#pragma unroll
      for (int e = 0; e < 8; e++) pa[e / 4][e % 4] = number(a[e % 2 * 8 * A::ALONG + c + e / 2 * 4]);
#pragma unroll
      for (int j = 0; j < A::COLS; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) pb[e / 2][e % 2] = number(b[8 * j * A::ALONG + c + e * 4]);
        mma_f32(s[j], pa, pb);
      }
    }
  } else {
#pragma unroll 2
    for (int c = 0; c < words; c += 8) {
      uint32_t wa[4];
#pragma unroll
      for (int e = 0; e < 4; e++) {
        wa[e] = a[e % 2 * 8 * A::ALONG + c + e / 2 * 4];
        if (!A::PAIRS) wa[e] = to_tf32(number(wa[e]));
      }
#pragma unroll
      for (int j = 0; j < A::COLS; j++) {
        const uint32_t b0 = b[8 * j * A::ALONG + c], b1 = b[8 * j * A::ALONG + c + 4];
        if (A::PAIRS) mma_halves<A::ARITH>(s[j], wa, b0, b1);
        else mma_tf32(s[j], wa, to_tf32(number(b0)), to_tf32(number(b1)));
      }
    }
  }
}

// acc += the products of p, as scores leaves it, with a turned tile: channel w.channel + 8 n + 2 q + e of row g + 8 h is acc[n][2 h + e].
// Columns 2 q and 2 q + 1 of p are what steps q and q + 4 of a product with tf32 ask for, in an order of the sum that both factors share.
template <class A>
__device__ __forceinline__ void mix(float (&acc)[A::OUTS][4], const float (&p)[A::COLS][4], const uint32_t* v, const Where<A>& w, int d) {
  const int channels = d - w.channel;
  v += w.channel + w.g;
#pragma unroll
  for (int j = 0; j < A::COLS; j += 2) {
    if constexpr (A::PAIRS) {
      const uint32_t a[4] = {pack_halves<A::ARITH>(p[j][0], p[j][1]), pack_halves<A::ARITH>(p[j][2], p[j][3]), pack_halves<A::ARITH>(p[j + 1][0], p[j + 1][1]), pack_halves<A::ARITH>(p[j + 1][2], p[j + 1][3])};
      const uint32_t* b = v + (4 * j + w.q) * A::TURNED;
#pragma unroll
      for (int n = 0; n < A::OUTS; n++)
        if (8 * n < channels) mma_halves<A::ARITH>(acc[n], a, b[8 * n], b[8 * n + 4 * A::TURNED]);
    } else {
      const uint32_t* b = v + (8 * j + 2 * w.q) * A::TURNED;
      Parts pa[2][4], pb[2][2];
#pragma unroll
      for (int e = 0; e < 8; e++) pa[e / 4][e % 4] = p[j + e / 4][e % 2 * 2 + e % 4 / 2];
#pragma unroll
      for (int n = 0; n < A::OUTS; n++) {
        if (8 * n >= channels) continue;
#pragma unroll
        for (int e = 0; e < 4; e++) pb[e / 2][e % 2] = number(b[8 * n + (e / 2 * 8 + e % 2) * A::TURNED]);
        if constexpr (A::PARTS) {
          mma_f32(acc[n], pa, pb);
        } else {
#pragma unroll
          for (int s = 0; s < 2; s++) {
            const uint32_t a[4] = {pa[s][0].hi, pa[s][1].hi, pa[s][2].hi, pa[s][3].hi};
            mma_tf32(acc[n], a, pb[s][0].hi, pb[s][1].hi);
          }
        }
      }
    }
  }
}

// Rows and channels of sums, times a number for each of this lane's two rows, to memory.
template <class A>
__device__ __forceinline__ void store_rows(const HeadsOut& h, const Where<A>& w, const float (&acc)[A::OUTS][4], int rows, int d, const float (&scale)[2]) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int t = w.first + w.row + 8 * i;
    if (t >= rows) continue;
    float* p = h.p + w.sample * h.sample + w.head * d + (long long)t * h.row;
#pragma unroll
    for (int n = 0; n < A::OUTS; n++) {
      const int c = w.channel + 8 * n + 2 * w.q;
      const float x = acc[n][2 * i] * scale[i], y = acc[n][2 * i + 1] * scale[i];
      if (h.even) {
        if (c < d) *(float2*)(p + c) = float2{x, y};
        continue;
      }
      if (c < d) p[c] = x;
      if (c + 1 < d) p[c + 1] = y;
    }
  }
}
