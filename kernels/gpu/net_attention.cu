// Attention of programs without the matrix of probabilities in memory: result, tangent, and cotangents of queries, keys and values,
// by tiles with a running maximum (Dao 2022, arXiv:2205.14135), on tensor cores in three arithmetics, the result also in F16. Maxima, exponentials and sums are float32.
// net_heads.cuh has the tiles and their products.
#include "net_heads.cuh"

template <class A>
__device__ __forceinline__ float exponential(float x) {
  return A::PARTS ? expf(x) : exp_fast(x);
}

template <int N>
__device__ __forceinline__ void clear(float (&v)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; i++) v[i][0] = v[i][1] = v[i][2] = v[i][3] = 0.0f;
}

// What is known of two rows of scores so far: the largest, the sum of exponentials, and the sum of these times something.
struct Running {
  float top[2], sum[2], mean[2], fade[2];
  __device__ __forceinline__ Running() {
#pragma unroll
    for (int i = 0; i < 2; i++) top[i] = -INFINITY, sum[i] = mean[i] = 0.0f;
  }
  // Scores of columns s0 .. become exponentials, and those of before fade. With WEIGHTS, weights become weights times exponentials.
  template <class A, bool WEIGHTS>
  __device__ __forceinline__ void take(float (&s)[A::COLS][4], float (&weights)[A::COLS][4], int s0, const Where<A>& w, const Attention& q) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      float most = top[i], here = 0.0f, there = 0.0f;
#pragma unroll
      for (int e = 0; e < 2 * A::COLS; e++) {
        float& v = s[e / 2][2 * i + e % 2];
        v = s0 + e / 2 * 8 + 2 * w.q + e % 2 < q.S ? v * q.scale : -INFINITY;
        most = fmaxf(most, v);
      }
      most = row_max(most);
      fade[i] = exponential<A>(top[i] - most);
      top[i] = most;
#pragma unroll
      for (int e = 0; e < 2 * A::COLS; e++) {
        float& v = s[e / 2][2 * i + e % 2];
        v = exponential<A>(v - most);
        here += v;
        if (WEIGHTS) there += weights[e / 2][2 * i + e % 2] *= v;
      }
      sum[i] = fmaf(sum[i], fade[i], row_sum(here));
      if (WEIGHTS) mean[i] = fmaf(mean[i], fade[i], row_sum(there));
    }
  }
  template <int N>
  __device__ __forceinline__ void faded(float (&acc)[N][4]) const {
#pragma unroll
    for (int e = 0; e < 4 * N; e++) acc[e / 4][e % 4] *= fade[e % 4 / 2];
  }
};

template <class A>
__device__ __forceinline__ void attend(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *tq = (uint32_t*)shared, *tk = tq + A::OWN_WORDS, *tv = tk + A::NEXT_WORDS;
  const Where<A> w(q.blocks, q.heads);
  const float *k = w.of(q.k, q.d), *v = w.of(q.v, q.d);
  load_tile<A, A::OWN>(tq, nullptr, w.of(q.q, q.d), q.q, w.first, q.T, q.d);
  load_tile<A, A::NEXT>(tk, nullptr, k, q.k, 0, q.S, q.d);
  copies_commit();
  load_tile<A, A::NEXT>(A::PAIRS ? nullptr : tv, tv, v, q.v, 0, q.S, q.d);
  copies_commit();
  float acc[A::OUTS][4];
  clear(acc);
  Running r;
#pragma unroll 1
  for (int s0 = 0; s0 < q.S; s0 += A::NEXT) {
    const int next = s0 + A::NEXT;
    float s[A::COLS][4];
    clear(s);
    copies_wait<1>();
    __syncthreads();  // the keys are there
    scores<A>(s, tq, tk, w, q.d);
    __syncthreads();
    if (next < q.S) load_tile<A, A::NEXT>(tk, nullptr, k, q.k, next, q.S, q.d);
    copies_commit();
    r.take<A, false>(s, s, s0, w, q);
    r.faded(acc);
    copies_wait<1>();
    __syncthreads();  // the values are there
    mix<A>(acc, s, tv, w, q.d);
    __syncthreads();
    if (next < q.S) load_tile<A, A::NEXT>(A::PAIRS ? nullptr : tv, tv, v, q.v, next, q.S, q.d);
    copies_commit();
  }
  copies_wait<0>();
  const float scale[2] = {1.0f / r.sum[0], 1.0f / r.sum[1]};
  store_rows<A>(q.y, w, acc, q.T, q.d, scale);
}

// The tangent, in F32:
//   y' = sum p (s' - m) v + p v',  s' = (q' k + q k')/sqrt d,  m = sum p s'
template <class A>
__device__ __forceinline__ void attend_tangent(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *tq = (uint32_t*)shared, *tdq = tq + A::OWN_WORDS, *tk = tdq + A::OWN_WORDS, *tdk = tk + A::NEXT_WORDS;
  uint32_t *const tv = tk, *const tdv = tdk;  // values come where keys were
  const Where<A> w(q.blocks, q.heads);
  load_tile<A, A::OWN>(tq, tq, w.of(q.q, q.d), q.q, w.first, q.T, q.d);
  load_tile<A, A::OWN>(tdq, tdq, w.of(q.dq, q.d), q.dq, w.first, q.T, q.d);
  float acc[A::OUTS][4], tan[A::OUTS][4];
  clear(acc), clear(tan);
  Running r;
#pragma unroll 1
  for (int s0 = 0; s0 < q.S; s0 += A::NEXT) {
    float s[A::COLS][4], ds[A::COLS][4];
    clear(s), clear(ds);
    __syncthreads();
    load_tile<A, A::NEXT>(tk, tk, w.of(q.k, q.d), q.k, s0, q.S, q.d);
    load_tile<A, A::NEXT>(tdk, tdk, w.of(q.dk, q.d), q.dk, s0, q.S, q.d);
    copies_commit(), copies_wait<0>();
    __syncthreads();
    scores<A>(s, tq, tk, w, q.d);
    scores<A>(ds, tdq, tk, w, q.d);
    scores<A>(ds, tq, tdk, w, q.d);
    __syncthreads();
    load_tile<A, A::NEXT>(tv, tv, w.of(q.v, q.d), q.v, s0, q.S, q.d);
    load_tile<A, A::NEXT>(tdv, tdv, w.of(q.dv, q.d), q.dv, s0, q.S, q.d);
    copies_commit();
#pragma unroll
    for (int e = 0; e < 4 * A::COLS; e++) ds[e / 4][e % 4] *= q.scale;
    r.take<A, true>(s, ds, s0, w, q);
    r.faded(acc), r.faded(tan);
    copies_wait<0>();
    __syncthreads();
    mix<A>(acc, s, tv, w, q.d);
    mix<A>(tan, ds, tv, w, q.d);
    mix<A>(tan, s, tdv, w, q.d);
  }
  const float scale[2] = {1.0f / r.sum[0], 1.0f / r.sum[1]}, mean[2] = {r.mean[0] * scale[0], r.mean[1] * scale[1]};
#pragma unroll
  for (int e = 0; e < 4 * A::OUTS; e++) tan[e / 4][e % 4] = fmaf(-mean[e % 4 / 2], acc[e / 4][e % 4], tan[e / 4][e % 4]);
  store_rows<A>(q.y, w, tan, q.T, q.d, scale);
}

// The statistics of queries for their cotangents.
template <class A>
__device__ __forceinline__ void attention_stats(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *tq = (uint32_t*)shared, *tg = tq + A::OWN_WORDS, *tk = tg + A::OWN_WORDS, *tv = tk + A::NEXT_WORDS;
  const Where<A> w(q.blocks, q.heads);
  load_tile<A, A::OWN>(tq, nullptr, w.of(q.q, q.d), q.q, w.first, q.T, q.d);
  load_tile<A, A::OWN>(tg, nullptr, w.of(q.g, q.d), q.g, w.first, q.T, q.d);
  Running r;
#pragma unroll 1
  for (int s0 = 0; s0 < q.S; s0 += A::NEXT) {
    float s[A::COLS][4], dp[A::COLS][4];
    clear(s), clear(dp);
    __syncthreads();
    load_tile<A, A::NEXT>(tk, nullptr, w.of(q.k, q.d), q.k, s0, q.S, q.d);
    load_tile<A, A::NEXT>(tv, nullptr, w.of(q.v, q.d), q.v, s0, q.S, q.d);
    copies_commit(), copies_wait<0>();
    __syncthreads();
    scores<A>(s, tq, tk, w, q.d);
    scores<A>(dp, tg, tv, w, q.d);
    r.take<A, true>(s, dp, s0, w, q);
  }
  if (w.q || w.channel) return;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int t = w.first + w.row + 8 * i;
    if (t >= q.T) continue;
    float* out = q.stats + (((long long)w.sample * q.heads + w.head) * q.T + t) * 3;
    out[0] = r.top[i], out[1] = 1.0f / r.sum[i], out[2] = r.mean[i] / r.sum[i];
  }
}

// A score and the cotangent of its probability become the probability and, times the scale, the cotangent of the score. stats are the query's.
template <class A>
__device__ __forceinline__ void cotangent(float& p, float& ds, bool there, const float* stats, float scale) {
  p = there ? exponential<A>(fmaf(p, scale, -stats[0])) * stats[1] : 0.0f;
  ds = there ? p * (ds - stats[2]) * scale : 0.0f;
}

// Cotangents of queries, which a block owns.
template <class A>
__device__ __forceinline__ void attention_queries(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *tq = (uint32_t*)shared, *tg = tq + A::OWN_WORDS, *tk = tg + A::OWN_WORDS, *tv = tk + A::NEXT_WORDS, *turned = A::PAIRS ? tv + A::NEXT_WORDS : tk;
  const Where<A> w(q.blocks, q.heads);
  load_tile<A, A::OWN>(tq, nullptr, w.of(q.q, q.d), q.q, w.first, q.T, q.d);
  load_tile<A, A::OWN>(tg, nullptr, w.of(q.g, q.d), q.g, w.first, q.T, q.d);
  float stats[2][3];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const int t = min(w.first + w.row + 8 * i, q.T - 1);
    const float* from = q.stats + (((long long)w.sample * q.heads + w.head) * q.T + t) * 3;
    stats[i][0] = from[0], stats[i][1] = from[1], stats[i][2] = from[2];
  }
  float acc[A::OUTS][4];
  clear(acc);
#pragma unroll 1
  for (int s0 = 0; s0 < q.S; s0 += A::NEXT) {
    float p[A::COLS][4], ds[A::COLS][4];
    clear(p), clear(ds);
    __syncthreads();
    load_tile<A, A::NEXT>(tk, turned, w.of(q.k, q.d), q.k, s0, q.S, q.d);
    load_tile<A, A::NEXT>(tv, nullptr, w.of(q.v, q.d), q.v, s0, q.S, q.d);
    copies_commit(), copies_wait<0>();
    __syncthreads();
    scores<A>(p, tq, tk, w, q.d);
    scores<A>(ds, tg, tv, w, q.d);
#pragma unroll
    for (int e = 0; e < 4 * A::COLS; e++)
      cotangent<A>(p[e / 4][e % 4], ds[e / 4][e % 4], s0 + e / 4 * 8 + 2 * w.q + e % 2 < q.S, stats[e % 4 / 2], q.scale);
    mix<A>(acc, ds, turned, w, q.d);
  }
  const float one[2] = {1.0f, 1.0f};
  store_rows<A>(q.gq, w, acc, q.T, q.d, one);
}

// Cotangents of keys and values, which a block owns.
template <class A>
__device__ __forceinline__ void attention_keys(const Attention& q) {
  EXTERN_SHARED(uint4, shared);
  uint32_t *tk = (uint32_t*)shared, *tv = tk + A::OWN_WORDS, *tq = tv + A::OWN_WORDS, *tg = tq + A::NEXT_WORDS;
  uint32_t *turned_q = A::PAIRS ? tg + A::NEXT_WORDS : tq, *turned_g = A::PAIRS ? turned_q + A::TURNED_WORDS : tg;
  const Where<A> w(q.blocks, q.heads);
  const float* stats = q.stats + ((long long)w.sample * q.heads + w.head) * q.T * 3;
  load_tile<A, A::OWN>(tk, nullptr, w.of(q.k, q.d), q.k, w.first, q.S, q.d);
  load_tile<A, A::OWN>(tv, nullptr, w.of(q.v, q.d), q.v, w.first, q.S, q.d);
  float ak[A::OUTS][4], av[A::OUTS][4];
  clear(ak), clear(av);
#pragma unroll 1
  for (int t0 = 0; t0 < q.T; t0 += A::NEXT) {
    float p[A::COLS][4], ds[A::COLS][4];
    clear(p), clear(ds);
    __syncthreads();
    load_tile<A, A::NEXT>(tq, turned_q, w.of(q.q, q.d), q.q, t0, q.T, q.d);
    load_tile<A, A::NEXT>(tg, turned_g, w.of(q.g, q.d), q.g, t0, q.T, q.d);
    copies_commit(), copies_wait<0>();
    __syncthreads();
    scores<A>(p, tk, tq, w, q.d);
    scores<A>(ds, tv, tg, w, q.d);
#pragma unroll
    for (int e = 0; e < 2 * A::COLS; e++) {
      const int t = t0 + e / 2 * 8 + 2 * w.q + e % 2;
      const float* s = stats + 3 * min(t, q.T - 1);
#pragma unroll
      for (int i = 0; i < 2; i++) cotangent<A>(p[e / 2][2 * i + e % 2], ds[e / 2][2 * i + e % 2], t < q.T, s, q.scale);
    }
    mix<A>(ak, ds, turned_q, w, q.d);
    mix<A>(av, p, turned_g, w, q.d);
  }
  const float one[2] = {1.0f, 1.0f};
  store_rows<A>(q.gk, w, ak, q.S, q.d, one);
  store_rows<A>(q.gv, w, av, q.S, q.d, one);
}

#define ATTENTION(name, does, arith, ARITH, D, OWN, NEXT, BLOCKS)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(128, BLOCKS) net_attention##name##_##arith##_d##D(Attention q) { does<HeadTile<ARITH, D, OWN, NEXT>>(q); } \
  KERNEL(net_attention##name##_##arith##_d##D)
#define ATTENTIONS(arith, ARITH, D, OWN, NEXT, BLOCKS)                            \
  ATTENTION(, attend, arith, ARITH, D, OWN, NEXT, BLOCKS)                         \
  ATTENTION(_stats, attention_stats, arith, ARITH, D, OWN, NEXT, BLOCKS)          \
  ATTENTION(_queries, attention_queries, arith, ARITH, D, OWN, NEXT, BLOCKS)      \
  ATTENTION(_keys, attention_keys, arith, ARITH, D, OWN, NEXT, BLOCKS)
#define WIDTH(D, OWN, NEXT, BLOCKS)                                               \
  ATTENTIONS(f32, ARITH_F32, D, OWN, NEXT, BLOCKS)                                \
  ATTENTIONS(tf32, ARITH_TF32, D, OWN, NEXT, BLOCKS)                              \
  ATTENTIONS(bf16, ARITH_BF16, D, OWN, NEXT, BLOCKS)                              \
  ATTENTION(, attend, f16, ARITH_F16, D, OWN, NEXT, BLOCKS)                       \
  ATTENTION(_tangent, attend_tangent, f32, ARITH_F32, D, OWN, NEXT, (BLOCKS + 1) / 2)

WIDTH(64, 64, 32, 3)
WIDTH(128, 64, 32, 1)
WIDTH(256, 32, 16, 1)
