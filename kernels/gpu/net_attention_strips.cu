// Attention of programs in halves, by strips: the result in BF16 and F16, and in BF16 the cotangents of queries, keys and values, by tiles with a running maximum as in net_attention.cu, which has
// the kernels for other arithmetic and for arrays without whole quads.
#include "net_strips.cuh"

// Scores of rows that do not exist are minus infinity.
template <class B>
__device__ __forceinline__ void strip_mask(float (&s)[B::TILES][B::COLS][4], int s0, const StripPlace<B>& w, int rows) {
  if (s0 + B::NEXT <= rows) return;
#pragma unroll
  for (int e = 0; e < 4 * B::TILES * B::COLS; e++)
    if (s0 + e / 4 % B::COLS * 8 + 2 * w.q + e % 2 >= rows) s[e / (4 * B::COLS)][e / 4 % B::COLS][e % 4] = -INFINITY;
}

// The result, by strips.
template <class B>
__device__ __forceinline__ void attend_strips(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *const tk = (uint32_t*)shared, *const tv = tk + 2 * B::ALONG_WORDS, *const tq = tv + 2 * B::TURNED_WORDS;
  const StripPlace<B> w(q.blocks, q.heads, threadIdx.x);
  const long long k = w.of(q.k, q.d), v = w.of(q.v, q.d);
  const float to_base_2 = q.scale * 1.44269504f;
  Fetched<B> f;
  f.fetch(q.k, k, 0, q.S, q.d), f.along(tk);
  f.fetch(q.v, v, 0, q.S, q.d), f.turned(tv);
  const Owned<B> own(q.q, w, q.T, q.d, tq);
  float acc[B::TILES][B::OUTS][4], top[B::TILES][2], sum[B::TILES][2];
  strip_clear<B>(acc);
#pragma unroll
  for (int m = 0; m < 2 * B::TILES; m++) top[m / 2][m % 2] = -INFINITY, sum[m / 2][m % 2] = 0.0f;
  __syncthreads();
#pragma unroll 1
  for (int s0 = 0; s0 < q.S; s0 += B::NEXT) {
    const int next = s0 + B::NEXT, now = s0 / B::NEXT & 1;
    float s[B::TILES][B::COLS][4];
    strip_clear<B>(s);
    if (next < q.S) f.fetch(q.k, k, next, q.S, q.d);
    strip_scores<B>(s, own, tk + now * B::ALONG_WORDS, w, q.d);
    if (next < q.S) f.along(tk + (1 - now) * B::ALONG_WORDS), f.fetch(q.v, v, next, q.S, q.d);
    strip_mask<B>(s, s0, w, q.S);
#pragma unroll
    for (int m = 0; m < B::TILES; m++) {
      float fade[2];
#pragma unroll
      for (int r = 0; r < 2; r++) {
        float most = s[m][0][2 * r], here = 0.0f;
#pragma unroll
        for (int e = 1; e < 2 * B::COLS; e++) most = fmaxf(most, s[m][e / 2][2 * r + e % 2]);
        most = fmaxf(top[m][r], row_max(most));
        fade[r] = exp2_fast((top[m][r] - most) * to_base_2);
        top[m][r] = most;
        const float less = most * to_base_2;
#pragma unroll
        for (int e = 0; e < 2 * B::COLS; e++) {
          float& x = s[m][e / 2][2 * r + e % 2];
          x = exp2_fast(fmaf(x, to_base_2, -less));
          here += x;
        }
        sum[m][r] = fmaf(sum[m][r], fade[r], here);  // of this lane's columns
      }
      if (fade[0] != 1.0f || fade[1] != 1.0f) {
#pragma unroll
        for (int e = 0; e < 4 * B::OUTS; e++) acc[m][e / 4][e % 4] *= fade[e % 4 / 2];
      }
    }
    strip_mix<B>(acc, s, tv + now * B::TURNED_WORDS, w, q.d);
    if (next < q.S) f.turned(tv + (1 - now) * B::TURNED_WORDS);
    __syncthreads();  // the next tiles are there
  }
#pragma unroll
  for (int m = 0; m < 2 * B::TILES; m++) sum[m / 2][m % 2] = 1.0f / row_sum(sum[m / 2][m % 2]);
  strip_store<B>(q.y, StripPlace<B>(q.blocks, q.heads, thread_now()), acc, q.T, q.d, sum);
}

// Statistics of queries and their cotangents in bf16, by strips: the block passes over the keys and values twice.
template <class B>
__device__ __forceinline__ void attention_queries_strips(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *const tk = (uint32_t*)shared, *const tv = tk + 2 * B::ALONG_WORDS, *const turned = tv + 2 * B::ALONG_WORDS;
  uint32_t *const tq = turned + 2 * B::TURNED_WORDS, *const tg = tq + B::OWN_WORDS;
  const StripPlace<B> w(q.blocks, q.heads, threadIdx.x);
  const long long k = w.of(q.k, q.d), v = w.of(q.v, q.d);
  const float to_base_2 = q.scale * 1.44269504f;
  Fetched<B> f;
  f.fetch(q.k, k, 0, q.S, q.d), f.along(tk);
  f.fetch(q.v, v, 0, q.S, q.d), f.along(tv);
  const Owned<B> own(q.q, w, q.T, q.d, tq), cot(q.g, w, q.T, q.d, tg);
  float acc[B::TILES][B::OUTS][4], top[B::TILES][2], sum[B::TILES][2], mean[B::TILES][2];
  strip_clear<B>(acc);
#pragma unroll
  for (int m = 0; m < 2 * B::TILES; m++) top[m / 2][m % 2] = -INFINITY, sum[m / 2][m % 2] = mean[m / 2][m % 2] = 0.0f;
  __syncthreads();
  bool again = false;
  int now = 0;
#pragma unroll 1
  for (int s0 = 0;; now ^= 1) {
    const bool last = s0 + B::NEXT >= q.S, more = !last || !again;
    const int next = last ? 0 : s0 + B::NEXT, other = now ^ 1;
    float s[B::TILES][B::COLS][4], ds[B::TILES][B::COLS][4];
    strip_clear<B>(s), strip_clear<B>(ds);
    if (more) f.fetch(q.k, k, next, q.S, q.d);
    strip_scores<B>(s, own, tk + now * B::ALONG_WORDS, w, q.d);
    if (more) {
      f.along(tk + other * B::ALONG_WORDS);
      if (again || last) f.turned(turned + other * B::TURNED_WORDS);
      f.fetch(q.v, v, next, q.S, q.d);
    }
    strip_scores<B>(ds, cot, tv + now * B::ALONG_WORDS, w, q.d);
    if (more) f.along(tv + other * B::ALONG_WORDS);
    strip_mask<B>(s, s0, w, q.S);
#pragma unroll
    for (int m = 0; m < B::TILES; m++)
#pragma unroll
      for (int r = 0; r < 2; r++) {
        if (again) {
          const float less = top[m][r];
#pragma unroll
          for (int e = 0; e < 2 * B::COLS; e++) {
            float& d = ds[m][e / 2][2 * r + e % 2];
            d = exp2_fast(fmaf(s[m][e / 2][2 * r + e % 2], to_base_2, -less)) * sum[m][r] * (d - mean[m][r]);
          }
          continue;
        }
        float most = s[m][0][2 * r], here = 0.0f, there = 0.0f;
#pragma unroll
        for (int e = 1; e < 2 * B::COLS; e++) most = fmaxf(most, s[m][e / 2][2 * r + e % 2]);
        most = fmaxf(top[m][r], row_max(most));
        const float fade = exp2_fast((top[m][r] - most) * to_base_2), less = most * to_base_2;
        top[m][r] = most;
#pragma unroll
        for (int e = 0; e < 2 * B::COLS; e++) {
          const float x = exp2_fast(fmaf(s[m][e / 2][2 * r + e % 2], to_base_2, -less));
          here += x, there = fmaf(x, ds[m][e / 2][2 * r + e % 2], there);
        }
        sum[m][r] = fmaf(sum[m][r], fade, here), mean[m][r] = fmaf(mean[m][r], fade, there);  // of this lane's columns
      }
    if (again) strip_mix<B>(acc, ds, turned + now * B::TURNED_WORDS, w, q.d);
    if (last && again) break;
    if (last) {
#pragma unroll
      for (int m = 0; m < B::TILES; m++)
#pragma unroll
        for (int r = 0; r < 2; r++) {
          const int t = w.first + w.row + m * 16 + 8 * r + w.g;
          const float one = 1.0f / row_sum(sum[m][r]);
          mean[m][r] = row_sum(mean[m][r]) * one;
          if (!w.q && !w.channel && t < q.T) {
            float* out = q.stats + (((long long)w.sample * q.heads + w.head) * q.T + t) * 3;
            out[0] = top[m][r] * q.scale, out[1] = one, out[2] = mean[m][r];
          }
          top[m][r] *= to_base_2, sum[m][r] = one * q.scale;
        }
    }
    again = again || last;
    s0 = next;
    __syncthreads();  // the next tiles are there
  }
  float one[B::TILES][2];
#pragma unroll
  for (int m = 0; m < 2 * B::TILES; m++) one[m / 2][m % 2] = 1.0f;
  strip_store<B>(q.gq, StripPlace<B>(q.blocks, q.heads, thread_now()), acc, q.T, q.d, one);
}

// Cotangents of keys and values in bf16, by strips.
template <class B>
__device__ __forceinline__ void attention_keys_strips(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *const tq = (uint32_t*)shared, *const tg = tq + 2 * B::ALONG_WORDS, *const turned_q = tg + 2 * B::ALONG_WORDS, *const turned_g = turned_q + 2 * B::TURNED_WORDS;
  uint32_t *const tk = turned_g + 2 * B::TURNED_WORDS, *const tv = tk + B::OWN_WORDS;
  float* const of = (float*)(tv + B::OWN_WORDS);  // twice the statistics of the tile's queries: [3][NEXT]
  const StripPlace<B> w(q.blocks, q.heads, threadIdx.x);
  const long long p = w.of(q.q, q.d), g = w.of(q.g, q.d);
  const float to_base_2 = q.scale * 1.44269504f;
  const float* stats = q.stats + ((long long)w.sample * q.heads + w.head) * q.T * 3;
  // Of queries that do not exist the probabilities are zero.
  auto statistic = [&](int t0) {
    const int t = t0 + (int)threadIdx.x % B::NEXT, i = threadIdx.x / B::NEXT;
    return i < 3 && t < q.T ? stats[3 * t + i] * (i == 0 ? 1.44269504f : 1.0f) : 0.0f;
  };
  auto keep = [&](float* to, float x) {
    if (threadIdx.x < 3 * B::NEXT) to[threadIdx.x] = x;
  };
  Fetched<B> f;
  f.fetch(q.q, p, 0, q.T, q.d), f.along(tq), f.turned(turned_q);
  f.fetch(q.g, g, 0, q.T, q.d), f.along(tg), f.turned(turned_g);
  keep(of, statistic(0));
  const Owned<B> own(q.k, w, q.S, q.d, tk), values(q.v, w, q.S, q.d, tv);
  float ak[B::TILES][B::OUTS][4], av[B::TILES][B::OUTS][4];
  strip_clear<B>(ak), strip_clear<B>(av);
  __syncthreads();
#pragma unroll 1
  for (int t0 = 0; t0 < q.T; t0 += B::NEXT) {
    const int next = t0 + B::NEXT, now = t0 / B::NEXT & 1, other = now ^ 1;
    float s[B::TILES][B::COLS][4], ds[B::TILES][B::COLS][4];
    strip_clear<B>(s), strip_clear<B>(ds);
    if (next < q.T) f.fetch(q.q, p, next, q.T, q.d);
    strip_scores<B>(s, own, tq + now * B::ALONG_WORDS, w, q.d);
    if (next < q.T) {
      f.along(tq + other * B::ALONG_WORDS), f.turned(turned_q + other * B::TURNED_WORDS);
      keep(of + other * 3 * B::NEXT, statistic(next));
    }
    strip_scores<B>(ds, values, tg + now * B::ALONG_WORDS, w, q.d);
    const float* here = of + now * 3 * B::NEXT + 2 * w.q;
#pragma unroll
    for (int j = 0; j < B::COLS; j++) {
      const float2 less = *(const float2*)(here + 8 * j), one = *(const float2*)(here + B::NEXT + 8 * j), mean = *(const float2*)(here + 2 * B::NEXT + 8 * j);
#pragma unroll
      for (int m = 0; m < B::TILES; m++)
#pragma unroll
        for (int r = 0; r < 4; r += 2) {
          s[m][j][r] = exp2_fast(fmaf(s[m][j][r], to_base_2, -less.x)) * one.x, s[m][j][r + 1] = exp2_fast(fmaf(s[m][j][r + 1], to_base_2, -less.y)) * one.y;
          ds[m][j][r] = (ds[m][j][r] - mean.x) * q.scale * s[m][j][r], ds[m][j][r + 1] = (ds[m][j][r + 1] - mean.y) * q.scale * s[m][j][r + 1];
        }
    }
    strip_mix<B>(ak, ds, turned_q + now * B::TURNED_WORDS, w, q.d);
    if (next < q.T) f.fetch(q.g, g, next, q.T, q.d);
    strip_mix<B>(av, s, turned_g + now * B::TURNED_WORDS, w, q.d);
    if (next < q.T) f.along(tg + other * B::ALONG_WORDS), f.turned(turned_g + other * B::TURNED_WORDS);
    __syncthreads();  // the next tiles are there
  }
  float one[B::TILES][2];
#pragma unroll
  for (int m = 0; m < 2 * B::TILES; m++) one[m / 2][m % 2] = 1.0f;
  const StripPlace<B> end(q.blocks, q.heads, thread_now());
  strip_store<B>(q.gk, end, ak, q.S, q.d, one);
  strip_store<B>(q.gv, end, av, q.S, q.d, one);
}

#define STRIPS(name, does, arith, ARITH, D, TILES, WARPS, GROUPS, NEXT, BLOCKS)                                                                                                            \
  extern "C" __global__ void __launch_bounds__(32 * WARPS, BLOCKS) net_attention_strips##name##_##arith##_d##D(Attention q) { does<Strip<ARITH, D, TILES, WARPS, GROUPS, NEXT>>(q); } \
  KERNEL(net_attention_strips##name##_##arith##_d##D)
// Mirrored by cuda/programs/op_attention.go.
STRIPS(, attend_strips, bf16, ARITH_BF16, 64, 2, 4, 1, 32, 3)
STRIPS(, attend_strips, bf16, ARITH_BF16, 128, 1, 4, 1, 32, 3)
STRIPS(, attend_strips, bf16, ARITH_BF16, 256, 1, 8, 1, 32, 1)
STRIPS(_queries, attention_queries_strips, bf16, ARITH_BF16, 64, 2, 4, 1, 32, 2)
STRIPS(_queries, attention_queries_strips, bf16, ARITH_BF16, 128, 1, 4, 1, 32, 2)
STRIPS(_queries, attention_queries_strips, bf16, ARITH_BF16, 256, 1, 8, 1, 16, 1)
STRIPS(_keys, attention_keys_strips, bf16, ARITH_BF16, 64, 2, 4, 1, 32, 2)
STRIPS(_keys, attention_keys_strips, bf16, ARITH_BF16, 128, 1, 4, 1, 16, 2)
STRIPS(_keys, attention_keys_strips, bf16, ARITH_BF16, 256, 1, 8, 2, 16, 1)
STRIPS(, attend_strips, f16, ARITH_F16, 64, 2, 4, 1, 32, 3)
STRIPS(, attend_strips, f16, ARITH_F16, 128, 1, 4, 1, 32, 3)
STRIPS(, attend_strips, f16, ARITH_F16, 256, 1, 8, 1, 32, 1)
