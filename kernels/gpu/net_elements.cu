// Elementwise operations of programs, sums, and copies between layouts.
#include "net_halves.cuh"

enum { WALK = 6, OPERANDS = 4 };
enum { EL_COPY, EL_ADD, EL_MUL, EL_AFFINE, EL_GATED, EL_SLOPE, EL_ACT, EL_POWER, EL_ERROR, EL_FILL };

// out[walk] = f(in0, in1, ...), mirrored by cuda/programs/walk.go: sizes and distances of up to six dimensions, the last
// varying fastest. A distance of 0 repeats an operand. With vectors of V numbers the last dimension counts these; operands are contiguous there, or repeated.
struct Elements {
  float* out;
  const float* in[OPERANDS];
  int size[WALK], to[WALK], from[OPERANDS][WALK];
  unsigned multiplier[WALK];  // of quotients by sizes
  int shift[WALK];
  int rank, op, act, operands;
  float a, b;
  long long count;
  int halves;  // what out is, of vectors (net_halves.cuh)
};

// x becomes f(x, y, z, w).
template <int V>
__device__ __forceinline__ void apply(const Elements& q, float (&x)[V], const float (&y)[V], const float (&z)[V], const float (&w)[V]) {
#define ALL(value)                                  \
  {                                                 \
    _Pragma("unroll") for (int v = 0; v < V; v++) x[v] = value; \
    break;                                          \
  }
  switch (q.op) {
    case EL_ADD: ALL(x[v] + y[v])
    case EL_MUL: ALL(x[v] * y[v])
    case EL_AFFINE: ALL(fmaf(q.a, x[v], q.b))
    case EL_GATED: ALL(fmaf(y[v], z[v], x[v]))
    case EL_SLOPE: ALL(x[v] * program_slope(q.act, y[v]))
    case EL_ACT: ALL(program_act(q.act, x[v]))
    case EL_POWER: ALL(q.a == -0.5f ? 1.0f / sqrtf(x[v]) : powf(x[v], q.a))
    case EL_ERROR: ALL(2.0f * z[v] * w[v] * (x[v] - y[v]))
    case EL_FILL: ALL(q.a)
  }
#undef ALL
}

// A vector of an operand, or a number that is repeated.
template <int V>
__device__ __forceinline__ void operand(float (&x)[V], const Elements& q, int i, int at) {
  if (V > 1 && q.from[i][q.rank - 1] == 0) {
    const float one = q.in[i][at];
#pragma unroll
    for (int v = 0; v < V; v++) x[v] = one;
  } else {
    load_vector(x, q.in[i] + at);
  }
}

template <int V>
__device__ __forceinline__ void elements(const Elements& q) {
  EACH(i, q.count) {
    unsigned left = (unsigned)i;
    int to = 0, at[OPERANDS] = {};
#pragma unroll
    for (int k = WALK - 1; k >= 0; k--) {
      if (k >= q.rank) continue;
      int here = (int)left;
      if (k) {
        const unsigned next = quotient(left, q.multiplier[k], q.shift[k]);
        here = (int)(left - next * (unsigned)q.size[k]), left = next;
      }
      if (V > 1 && k == q.rank - 1) here *= V;
      to += here * q.to[k];
#pragma unroll
      for (int e = 0; e < OPERANDS; e++)
        if (e < q.operands) at[e] += here * q.from[e][k];
    }
    float x[V] = {}, y[V] = {}, z[V] = {}, w[V] = {};
    if (q.operands > 0) operand(x, q, 0, at[0]);
    if (q.operands > 1) operand(y, q, 1, at[1]);
    if (q.operands > 2) operand(z, q, 2, at[2]);
    if (q.operands > 3) operand(w, q, 3, at[3]);
    apply(q, x, y, z, w);
    if constexpr (V == 4) store_numbers(q.out, to, x, q.halves);
    else store_vector(q.out + to, x);
  }
}

extern "C" __global__ void __launch_bounds__(256) net_elements(Elements q) { elements<1>(q); }
KERNEL(net_elements)
// Where the last dimension is of whole vectors of four that begin at multiples of 16 bytes.
extern "C" __global__ void __launch_bounds__(256) net_elements_vectors(Elements q) { elements<4>(q); }
KERNEL(net_elements_vectors)

// Where all is one run besides.
extern "C" __global__ void __launch_bounds__(256) net_elements_flat(Elements q) {
  EACH(i, q.count) {
    float x[4] = {}, y[4] = {}, z[4] = {}, w[4] = {};
    if (q.operands > 0) load_vector(x, q.in[0] + 4 * i);
    if (q.operands > 1) load_vector(y, q.in[1] + 4 * i);
    if (q.operands > 2) load_vector(z, q.in[2] + 4 * i);
    if (q.operands > 3) load_vector(w, q.in[3] + 4 * i);
    apply(q, x, y, z, w);
    store_numbers(q.out, 4 * i, x, q.halves);
  }
}
KERNEL(net_elements_flat)

// Taylor coefficients of the two functions that activations.cuh lacks.
template <int ORDER>
__device__ __forceinline__ void program_taylor(int act, double x, double (&c)[ORDER + 1]) {
  if (act == ACT_EXP) {
    c[0] = exp(x);
#pragma unroll
    for (int k = 1; k <= ORDER; k++) c[k] = c[k - 1] * (1.0 / k);
    return;
  }
  if (act != ACT_GELU_TANH) {
    act_taylor<ORDER, double>(act, x, c);
    return;
  }
  const double v = clamp(x, 40.0), f = 1.5957691216057308;
  double u[4] = {f * (v + 0.044715 * v * v * v), f * (1 + 0.134145 * v * v), f * 0.134145 * v, f * 0.044715};
  double s[ORDER + 1], r[ORDER + 1];  // the logistic function of u, and s (1 - s)
  double big, small;
  sigmoids(u[0], &big, &small);
  s[0] = big, r[0] = big * small;
#pragma unroll
  for (int k = 1; k <= ORDER; k++) {
    s[k] = 0;
#pragma unroll
    for (int j = 0; j < k; j++)
      if (k - j < 4) s[k] += r[j] * u[k - j] * ((k - j) / (double)k);
    r[k] = s[k];
#pragma unroll
    for (int j = 0; j <= k; j++) r[k] -= s[j] * s[k - j];
  }
  c[0] = x > v ? x : v * s[0];
#pragma unroll
  for (int k = 1; k <= ORDER; k++) c[k] = v * s[k] + s[k - 1];
}

template <int ORDER>
__device__ __forceinline__ double derivative(int act, double x) {
  double c[ORDER + 1];
  program_taylor<ORDER>(act, x, c);
  double f = 1;
#pragma unroll
  for (int k = 2; k <= ORDER; k++) f *= k;
  return f * c[ORDER];
}

// The derivative of the given order, 2 to 6, of an activation.
extern "C" __global__ void __launch_bounds__(128) net_derivative(float* out, const float* in, int act, int order, long long count) {
  EACH(i, count) {
    const double x = in[i];
    double y = 0;
    switch (order) {
      case 2: y = derivative<2>(act, x); break;
      case 3: y = derivative<3>(act, x); break;
      case 4: y = derivative<4>(act, x); break;
      case 5: y = derivative<5>(act, x); break;
      case 6: y = derivative<6>(act, x); break;
    }
    if (act != ACT_EXP && fabs(x) > 40) y = 0;
    out[i] = (float)y;
  }
}
KERNEL(net_derivative)

// out[walk over kept] = sum over a walk of the others, mirrored by cuda/programs/elements.go.
struct Sums {
  float* out;
  const float* in;
  int size[WALK], from[WALK], inner[WALK], step[WALK];
  int rank, depth;
  int count, terms;  // of sums, and of each
};

__device__ __forceinline__ int walk(int rank, const int* size, const int* step, unsigned left) {
  int at = 0;
#pragma unroll
  for (int k = WALK - 1; k >= 0; k--) {
    if (k >= rank) continue;
    unsigned i = left;
    if (k) i = left % (unsigned)size[k], left /= (unsigned)size[k];
    at += i * step[k];
  }
  return at;
}

// A thread makes a sum: for few terms, or where neighbouring sums read neighbours.
extern "C" __global__ void __launch_bounds__(256) net_sums(Sums q) {
  EACH(i, q.count) {
    const float* in = q.in + walk(q.rank, q.size, q.from, (unsigned)i);
    double s = 0;
    for (int k = 0; k < q.terms; k++) s += in[walk(q.depth, q.inner, q.step, k)];
    q.out[i] = (float)s;
  }
}
KERNEL(net_sums)

// A thread makes four neighbouring sums of few terms: the last size counts vectors, of numbers that lie side by side.
extern "C" __global__ void __launch_bounds__(256) net_sums_v4(Sums q) {
  EACH(i, q.count) {
    const float* in = q.in + walk(q.rank, q.size, q.from, (unsigned)i);
    double s[4] = {};
#pragma unroll 4
    for (int k = 0; k < q.terms; k++) {
      float x[4];
      load_vector(x, in + walk(q.depth, q.inner, q.step, k));
#pragma unroll
      for (int v = 0; v < 4; v++) s[v] += x[v];
    }
    const float y[4] = {(float)s[0], (float)s[1], (float)s[2], (float)s[3]};
    store_vector(q.out + 4 * i, y);
  }
}
KERNEL(net_sums_v4)

// A warp makes a sum.
extern "C" __global__ void __launch_bounds__(256) net_sums_warp(Sums q) {
  for (long long i = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32; i < q.count; i += (long long)gridDim.x * blockDim.x / 32) {
    const float* in = q.in + walk(q.rank, q.size, q.from, (unsigned)i);
    double s = 0;
    for (int k = threadIdx.x % 32; k < q.terms; k += 32) s += in[walk(q.depth, q.inner, q.step, k)];
    s = warp_sum(s);
    if (threadIdx.x % 32 == 0) q.out[i] = (float)s;
  }
}
KERNEL(net_sums_warp)

// part[g][c] = the sum of column c over rows g per ... (g + 1) per - 1 of all. A block makes the sums of `wide` neighbouring vectors of V columns, a power of two up to 32; the
// threads of a column take every 256/wide-th row. Sums are float32 over eight rows of a thread, pair by pair, and float64 beyond.
struct ColumnSums {
  float* part;
  const float* in;
  long long rows, per;
  int columns, wide;
};
template <int V>
__device__ __forceinline__ void column_sums(const ColumnSums& q) {
  EXTERN_SHARED(double, sums);  // [V][256]
  enum { AHEAD = 8 };
  const int blocks = (q.columns + V * q.wide - 1) / (V * q.wide), lanes = 256 / q.wide, lane = threadIdx.x / q.wide;
  const int g = blockIdx.x / blocks, c = ((blockIdx.x - g * blocks) * q.wide + threadIdx.x % q.wide) * V;
  double s[V] = {};
  if (c < q.columns) {
    const float* p = q.in + (g * q.per + lane) * q.columns + c;
    const long long distance = (long long)lanes * q.columns;
    for (int left = (int)min(q.per, q.rows - g * q.per) - lane; left > 0; left -= AHEAD * lanes) {
      float x[AHEAD][V] = {};
#pragma unroll
      for (int k = 0; k < AHEAD; k++)
        if (k * lanes < left) load_vector(x[k], p + k * distance);
      p += AHEAD * distance;
#pragma unroll
      for (int v = 0; v < V; v++) s[v] += ((x[0][v] + x[1][v]) + (x[2][v] + x[3][v])) + ((x[4][v] + x[5][v]) + (x[6][v] + x[7][v]));
    }
  }
#pragma unroll
  for (int v = 0; v < V; v++) sums[v * 256 + threadIdx.x] = s[v];
  __syncthreads();
  const int v = threadIdx.x / q.wide;  // a thread adds up a column
  if (v >= V || c >= q.columns) return;
  double all = 0;
  for (int k = 0; k < lanes; k++) all += sums[v * 256 + k * q.wide + threadIdx.x % q.wide];
  q.part[(long long)g * q.columns + c + v] = (float)all;
}
extern "C" __global__ void __launch_bounds__(256) net_columns(ColumnSums q) { column_sums<1>(q); }
KERNEL(net_columns)
extern "C" __global__ void __launch_bounds__(256, 4) net_columns_v4(ColumnSums q) { column_sums<4>(q); }
KERNEL(net_columns_v4)

// out[i] = (more ? out[i] : 0) + group 0 + group 1 + ..., in this order; a group is the sum of `together` neighbours of part[0][i], part[1][i], ..., those of 16 samples. So blocks of
// multiples of 16 samples give the same sums as all at once. Numbers from `split` on go to `second`.
struct Join {
  float *out, *second;
  const float* part;
  int parts, together;
  long long size, split;
  int more;
};
template <int V>
__device__ __forceinline__ void group_sum(float (&t)[V], const Join& q, int first, long long i) {
  const int last = min(first + q.together, q.parts);
  const float* p = q.part + first * q.size + i;
#pragma unroll 8
  for (int k = first; k < last; k++) {
    float x[V];
    load_vector(x, p);
    p += q.size;
#pragma unroll
    for (int v = 0; v < V; v++) t[v] += x[v];
  }
}
template <int V>
__device__ __forceinline__ void join(const Join& q) {
  EACH(j, q.size / V) {
    const long long i = V * j;
    float* out = i < q.split ? q.out + i : q.second + (i - q.split);
    float s[V] = {};
    if (q.more) load_vector(s, out);
    for (int k = 0; k < q.parts; k += q.together) {
      float t[V] = {};
      group_sum(t, q, k, i);
#pragma unroll
      for (int v = 0; v < V; v++) s[v] += t[v];
    }
    store_vector(out, s);
  }
}
extern "C" __global__ void __launch_bounds__(256) net_join(Join q) { join<1>(q); }
KERNEL(net_join)
extern "C" __global__ void __launch_bounds__(256) net_join_v4(Join q) { join<4>(q); }
KERNEL(net_join_v4)

// The same of many parts and few numbers: a block has 32 of these, and eight groups at a time.
extern "C" __global__ void __launch_bounds__(256) net_join_groups(Join q) {
  EXTERN_SHARED(float, ends);  // [8][32]
  const long long i = blockIdx.x * 32 + threadIdx.x % 32;
  const int lane = threadIdx.x / 32;
  float* out = i < q.split ? q.out + i : q.second + (i - q.split);
  float s = q.more && !lane && i < q.size ? *out : 0.0f;
  for (int k = 0; k < q.parts; k += 8 * q.together) {
    float t[1] = {};
    if (i < q.size) group_sum(t, q, k + lane * q.together, i);
    ends[threadIdx.x] = t[0];
    __syncthreads();
    for (int e = 0; e < 8 && !lane && k + e * q.together < q.parts; e++) s += ends[e * 32 + threadIdx.x];
    __syncthreads();
  }
  if (!lane && i < q.size) *out = s;
}
KERNEL(net_join_groups)

// Einstein sums of any indices: a walk over the output's, then one over those that are summed.
struct Einsum {
  float* out;
  const float *a, *b;
  int size[WALK], from_a[WALK], from_b[WALK], inner[WALK], step_a[WALK], step_b[WALK];
  int rank, depth, count, terms;
};
extern "C" __global__ void __launch_bounds__(256) net_einsum(Einsum q) {
  EACH(i, q.count) {
    const float *a = q.a + walk(q.rank, q.size, q.from_a, (unsigned)i), *b = q.b + walk(q.rank, q.size, q.from_b, (unsigned)i);
    float s = 0;
    for (int k = 0; k < q.terms; k++) s = fmaf(a[walk(q.depth, q.inner, q.step_a, k)], b[walk(q.depth, q.inner, q.step_b, k)], s);
    q.out[i] = s;
  }
}
KERNEL(net_einsum)

// The derivative of an activation.
extern "C" __global__ void __launch_bounds__(256) net_slopes(float* out, const float* in, int act, long long count) {
  EACH(i, count) out[i] = program_slope(act, in[i]);
}
KERNEL(net_slopes)
