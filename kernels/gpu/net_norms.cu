// Norms of programs: by groups of channels over all positions of a sample, or by rows of the last dimension.
#include "net_halves.cuh"

enum { NORM_THREADS = 256, MOST_COLUMNS = 64 };

// A group norm of x [positions][channels] of each sample, mirrored by cuda/programs/op_norms.go.
struct GroupNorm {
  const float *x, *weight, *bias, *g;  // g: the cotangent of the result
  float *y, *dweight, *dbias;          // y: the result, or the cotangent of x; dweight, dbias: a row for each sample
  long long x_sample, g_sample;
  int positions, channels, groups, act;
  double eps;
  // Of the kernels on vectors: blocks of a sample, columns of a block, positions that it has at a time, threads that add up a column, groups of a block, and
  // vectors of a group.
  int blocks, columns, step, lanes, together, vectors;
  int halves;  // what y is, of the kernels on vectors (net_halves.cuh)
};

// The kernels for any sizes: a block takes the `per` channels of a group; element e of it is channel e % per of position e / per.
struct GroupOf {
  const float *x, *g;
  long long out;
  int per, first, count, channels;
  double mean, rstd;
  __device__ __forceinline__ int at(int e) const { return e / per * channels + first + e % per; }
  __device__ __forceinline__ float hat(int at) const { return (float)((x[at] - mean) * rstd); }
  __device__ __forceinline__ GroupOf(const GroupNorm& q, double* scratch) : channels(q.channels) {
    const long long sample = blockIdx.x / q.groups;
    per = q.channels / q.groups, first = blockIdx.x % q.groups * per, count = q.positions * per;
    x = q.x + sample * q.x_sample;
    g = q.g ? q.g + sample * q.g_sample : nullptr;
    out = sample * q.positions * q.channels;
    double s = 0;
    for (int e = threadIdx.x; e < count; e += NORM_THREADS) s += x[at(e)];
    mean = block_total(s, scratch) / count;
    s = 0;
    for (int e = threadIdx.x; e < count; e += NORM_THREADS) {
      const double d = x[at(e)] - mean;
      s += d * d;
    }
    rstd = 1.0 / sqrt(block_total(s, scratch) / count + q.eps);
  }
};

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_group_norm(GroupNorm q) {
  EXTERN_SHARED(double, scratch);
  const GroupOf of(q, scratch);
  for (int e = threadIdx.x; e < of.count; e += NORM_THREADS) {
    const int at = of.at(e), c = at % q.channels;
    q.y[of.out + at] = program_act(q.act, fmaf(q.weight[c], of.hat(at), q.bias[c]));
  }
}
KERNEL(net_group_norm)

// The cotangent of the normalised value.
__device__ __forceinline__ float inner_cotangent(const GroupNorm& q, const GroupOf& of, int at, float* hat) {
  const int c = at % q.channels;
  *hat = of.hat(at);
  return of.g[at] * (q.act ? program_slope(q.act, fmaf(q.weight[c], *hat, q.bias[c])) : 1.0f);
}

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_group_norm_input(GroupNorm q) {
  EXTERN_SHARED(double, scratch);
  const GroupOf of(q, scratch);
  double sum = 0, dot = 0;
  for (int e = threadIdx.x; e < of.count; e += NORM_THREADS) {
    const int at = of.at(e);
    float hat;
    const double d = (double)inner_cotangent(q, of, at, &hat) * q.weight[at % q.channels];
    sum += d, dot += d * hat;
  }
  const double mean = block_total(sum, scratch) / of.count, slope = block_total(dot, scratch) / of.count;
  for (int e = threadIdx.x; e < of.count; e += NORM_THREADS) {
    const int at = of.at(e);
    float hat;
    const double d = (double)inner_cotangent(q, of, at, &hat) * q.weight[at % q.channels];
    q.y[of.out + at] = (float)(of.rstd * (d - mean - hat * slope));
  }
}
KERNEL(net_group_norm_input)

// dweight and dbias of each sample: threads of a warp share a channel's positions.
extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_group_norm_params(GroupNorm q) {
  EXTERN_SHARED(double, scratch);
  const GroupOf of(q, scratch);
  const long long sample = blockIdx.x / q.groups;
  const int lane = threadIdx.x % 32;
  for (int c = threadIdx.x / 32; c < of.per; c += NORM_THREADS / 32) {
    double w = 0, b = 0;
    for (int p = lane; p < q.positions; p += 32) {
      float hat;
      const double d = inner_cotangent(q, of, p * q.channels + of.first + c, &hat);
      w += d * hat, b += d;
    }
    w = warp_sum(w), b = warp_sum(b);
    if (lane) continue;
    q.dweight[sample * 2 * q.channels + of.first + c] = (float)w;
    q.dbias[sample * 2 * q.channels + of.first + c] = (float)b;
  }
}
KERNEL(net_group_norm_params)

// The kernels on vectors of V channels of one group: a block takes the groups of `columns` neighbouring vectors of a sample. A thread has one of these columns, at
// every step-th position, HELD of them in registers; what has more positions is read again for each pass. Sums are float32 in a vector, or over a thread's
// positions of a channel, and float64 beyond.
template <int V, int HELD, bool ONCE>
struct Columns {
  int column, position, channel, places;  // places: this thread's positions
  long long sample;
  __device__ __forceinline__ Columns(const GroupNorm& q) {
    sample = blockIdx.x / q.blocks;
    position = threadIdx.x / q.columns, column = threadIdx.x - position * q.columns;
    places = position < q.step ? (q.positions - position + q.step - 1) / q.step : 0;
    channel = ((int)(blockIdx.x - sample * q.blocks) * q.columns + column) * V;
  }
  __device__ __forceinline__ int group(const GroupNorm& q) const { return position < q.step ? column / q.vectors : 0; }
  __device__ __forceinline__ int at(const GroupNorm& q, int base) const { return (base * q.step + position) * q.channels + channel; }
  // The vectors at places base ..., zeros behind the last.
  __device__ __forceinline__ void load(float (&x)[HELD][V], const float* p, const GroupNorm& q, int base) const {
    p += at(q, base);
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      if (base + k < places) load_vector(x[k], p);
      else
#pragma unroll
        for (int v = 0; v < V; v++) x[k][v] = 0.0f;
      p += q.step * q.channels;
    }
  }
  __device__ __forceinline__ void store(const float (&x)[HELD][V], const GroupNorm& q, int base) const {
    long long to = sample * q.positions * q.channels + at(q, base);
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      if (base + k < places) store_numbers(q.y, to, x[k], q.halves);
      to += q.step * q.channels;
    }
  }
  // The sums of each column, of SUMS numbers of each thread, behind those in shared memory; finish makes results of a group of them, which total returns.
  template <int SUMS, class F>
  __device__ __forceinline__ double* total(const GroupNorm& q, double* shared, const double (&mine)[SUMS], F finish) const {
    double *const parts = shared, *const sums = parts + SUMS * NORM_THREADS, *const results = sums + SUMS * MOST_COLUMNS;
    __syncthreads();
#pragma unroll
    for (int i = 0; i < SUMS; i++) parts[i * NORM_THREADS + threadIdx.x] = mine[i];
    __syncthreads();
    const int lane = threadIdx.x & (q.lanes - 1), team = threadIdx.x / q.lanes, teams = NORM_THREADS / q.lanes;
#pragma unroll 1
    for (int u0 = 0; u0 < SUMS * q.columns; u0 += teams) {
      const int u = u0 + team, i = u / q.columns, c = u - i * q.columns;
      double s = 0;
      if (u < SUMS * q.columns)
#pragma unroll 2
        for (int k = lane; k < q.step; k += q.lanes) s += parts[i * NORM_THREADS + k * q.columns + c];
#pragma unroll 1
      for (int m = q.lanes / 2; m; m >>= 1) s += __shfl_xor_sync(0xffffffffu, s, m);
      if (lane == 0 && u < SUMS * q.columns) sums[i * q.columns + c] = s;
    }
    __syncthreads();
#pragma unroll 1
    for (int g = threadIdx.x; g < q.together; g += NORM_THREADS) finish(sums, g, results);
    __syncthreads();
    return results;
  }
};

// Mean and 1/sqrt of the variance of this thread's group, from x, which is held or read again.
template <int V, int HELD, bool ONCE>
struct Normalised {
  float high, low, rstd;  // the mean as the sum of two numbers
  // The distance from the mean, and the normalised value; in registers what is held is centred already.
  __device__ __forceinline__ float centred(float x) const { return ONCE ? x : (x - high) - low; }
  __device__ __forceinline__ float operator()(float x) const { return centred(x) * rstd; }
  __device__ __forceinline__ Normalised(const Columns<V, HELD, ONCE>& c, const GroupNorm& q, float (&x)[HELD][V], const float* from, double* shared) {
    const int most = (q.positions + q.step - 1) / q.step, group = c.group(q);
    const double count = (double)q.positions * q.vectors * V;
    const float near = from[c.channel - c.column * V + group * q.vectors * V];  // one of the group's numbers: sums of distances from it keep the digits
    double s[1] = {0};
#pragma unroll 1
    for (int base = 0; base < (ONCE ? 1 : most); base += HELD) {
      c.load(x, from, q, base);
#pragma unroll
      for (int k = 0; k < HELD; k++) {
        float d[V];
#pragma unroll
        for (int v = 0; v < V; v++) d[v] = x[k][v] - near;
        if (base + k < c.places) s[0] += vector_sum(d);
      }
    }
    const double mean = near + c.total(q, shared, s, [&](const double* sums, int g, double* results) {
      double t = 0;
#pragma unroll 1
      for (int i = 0; i < q.vectors; i++) t += sums[g * q.vectors + i];
      results[g] = t / count;
    })[group];
    high = (float)mean, low = (float)(mean - high);
    s[0] = 0;
#pragma unroll 1
    for (int base = 0; base < (ONCE ? 1 : most); base += HELD) {
      if (!ONCE) c.load(x, from, q, base);
#pragma unroll
      for (int k = 0; k < HELD; k++) {
        float d[V];
#pragma unroll
        for (int v = 0; v < V; v++) x[k][v] = (x[k][v] - high) - low, d[v] = x[k][v] * x[k][v];
        if (base + k < c.places) s[0] += vector_sum(d);
      }
    }
    rstd = (float)c.total(q, shared, s, [&](const double* sums, int g, double* results) {
      double t = 0;
#pragma unroll 1
      for (int i = 0; i < q.vectors; i++) t += sums[g * q.vectors + i];
      results[g] = rsqrt(t / count + q.eps);
    })[group];
  }
};

template <int V, int HELD, int ACT, bool ONCE>
__device__ __forceinline__ void group_norm(const GroupNorm& q) {
  EXTERN_SHARED(double, shared);
  const Columns<V, HELD, ONCE> c(q);
  const float* from = q.x + c.sample * q.x_sample;
  float x[HELD][V], w[V], b[V];
  const Normalised<V, HELD, ONCE> n(c, q, x, from, shared);
  load_vector(w, q.weight + c.channel), load_vector(b, q.bias + c.channel);
#pragma unroll
  for (int v = 0; v < V; v++) w[v] *= n.rstd;
  const int most = (q.positions + q.step - 1) / q.step;
#pragma unroll 1
  for (int base = 0; base < (ONCE ? 1 : most); base += HELD) {
    if (!ONCE) c.load(x, from, q, base);
#pragma unroll
    for (int k = 0; k < HELD; k++) {
#pragma unroll
      for (int v = 0; v < V; v++) x[k][v] = act_near<ACT>(q.act, fmaf(w[v], n.centred(x[k][v]), b[v]));
    }
    c.store(x, q, base);
  }
}

// The cotangent of x and, if they are wanted, this sample's of weight and bias. With c the cotangent of the normalised value times the weight, and its sums over
// the positions of each channel, the sums over the group that the cotangent of x wants are those of the channels, times their weights.
template <int V, int HELD, int ACT, bool ONCE>
__device__ __forceinline__ void group_norm_input(const GroupNorm& q) {
  EXTERN_SHARED(double, shared);
  const Columns<V, HELD, ONCE> c(q);
  const float *from = q.x + c.sample * q.x_sample, *g = q.g + c.sample * q.g_sample;
  float x[HELD][V], dy[HELD][V], w[V], b[V];
  if (ONCE) c.load(dy, g, q, 0);
  const Normalised<V, HELD, ONCE> n(c, q, x, from, shared);
  load_vector(w, q.weight + c.channel), load_vector(b, q.bias + c.channel);
  const auto normalise = [&](int k, int v) {  // x, and its cotangent before the activation in place of the one behind it
    x[k][v] = n(x[k][v]);
    if (ACT != ACT_IDENTITY) dy[k][v] *= slope_near<ACT>(q.act, fmaf(w[v], x[k][v], b[v]));
  };
  const int most = (q.positions + q.step - 1) / q.step;
  double mine[2 * V] = {};  // of the cotangent, and of it times the normalised value
#pragma unroll 1
  for (int base = 0; base < (ONCE ? 1 : most); base += HELD) {
    if (!ONCE) c.load(x, from, q, base), c.load(dy, g, q, base);
    float sum[V] = {}, dot[V] = {};
#pragma unroll
    for (int k = 0; k < HELD; k++)
#pragma unroll
      for (int v = 0; v < V; v++) {
        normalise(k, v);
        sum[v] += dy[k][v], dot[v] = fmaf(dy[k][v], x[k][v], dot[v]);
      }
#pragma unroll
    for (int v = 0; v < V; v++) mine[v] += sum[v], mine[V + v] += dot[v];
  }
  const int first = c.channel - c.column * V;
  const double* r = c.total(q, shared, mine, [&](const double* sums, int group, double* results) {
    double sum = 0, dot = 0;
#pragma unroll 1
    for (int i = group * q.vectors; i < (group + 1) * q.vectors; i++)
      for (int v = 0; v < V; v++) {
        const double weight = q.weight[first + i * V + v];
        sum += weight * sums[v * q.columns + i], dot += weight * sums[(V + v) * q.columns + i];
      }
    const double count = (double)q.positions * q.vectors * V;
    results[2 * group] = sum / count, results[2 * group + 1] = dot / count;
  });
  if (q.dweight) {
    const double* sums = shared + 2 * V * NORM_THREADS;
    for (int i = threadIdx.x; i < V * q.columns; i += NORM_THREADS) {
      const int at = i % V * q.columns + i / V;
      q.dbias[c.sample * 2 * q.channels + first + i] = (float)sums[at];
      q.dweight[c.sample * 2 * q.channels + first + i] = (float)sums[V * q.columns + at];
    }
  }
  const int group = c.group(q);
  const float mean = (float)r[2 * group], slope = (float)r[2 * group + 1];
#pragma unroll 1
  for (int base = 0; base < (ONCE ? 1 : most); base += HELD) {
    if (!ONCE) {
      c.load(x, from, q, base), c.load(dy, g, q, base);
#pragma unroll
      for (int k = 0; k < HELD; k++)
#pragma unroll
        for (int v = 0; v < V; v++) normalise(k, v);
    }
#pragma unroll
    for (int k = 0; k < HELD; k++) {
#pragma unroll
      for (int v = 0; v < V; v++) x[k][v] = n.rstd * fmaf(-x[k][v], slope, fmaf(dy[k][v], w[v], -mean));
    }
    c.store(x, q, base);
  }
}

#define GROUP_NORMS(V, HELD, name, ACT, ONCE, BLOCKS)                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(NORM_THREADS, BLOCKS) net_group_norm_v##V##name(GroupNorm q) { group_norm<V, HELD, ACT, ONCE>(q); }             \
  KERNEL(net_group_norm_v##V##name)                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(NORM_THREADS, 2) net_group_norm_input_v##V##name(GroupNorm q) { group_norm_input<V, HELD, ACT, ONCE>(q); } \
  KERNEL(net_group_norm_input_v##V##name)

GROUP_NORMS(4, 8, , ACT_IDENTITY, true, 2)
GROUP_NORMS(4, 8, _silu, ACT_SILU, true, 3)
GROUP_NORMS(4, 4, _long, ACT_IDENTITY, false, 3)
GROUP_NORMS(4, 4, _long_silu, ACT_SILU, false, 3)

// Norms of rows. With h the normalised row, (x - mean)/sqrt(variance + eps) or, for a root mean square, x/sqrt(mean(x^2) + eps):
// y = (offset + scale) h + shift. A warp takes a row. Distances from one sample to the next; 0 where all share an array.
struct RowNorm {
  const float *x, *shift, *scale, *g;
  float *y, *dshift, *dscale;
  double* stats;  // mean and 1/sqrt of each row, which the cotangents of shift and scale want
  long long rows, x_sample, shift_sample, scale_sample, g_sample;
  int positions, channels, centred;
  float offset;
  int halves;  // what y is, of the kernels of rows that a warp holds (net_halves.cuh)
  double eps, share;  // share: 1/channels
};

__device__ __forceinline__ void row_statistics(const RowNorm& q, const float* x, double* mean, double* rstd) {
  const int lane = threadIdx.x % 32;
  double s = 0;
  *mean = 0;
  if (q.centred) {
    for (int c = lane; c < q.channels; c += 32) s += x[c];
    *mean = warp_sum(s) / q.channels, s = 0;
  }
  for (int c = lane; c < q.channels; c += 32) {
    const double d = x[c] - *mean;
    s += d * d;
  }
  *rstd = 1.0 / sqrt(warp_sum(s) / q.channels + q.eps);
}

#define EACH_ROW(r, all) for (long long r = ((long long)blockIdx.x * blockDim.x + threadIdx.x) / 32; r < (all); r += (long long)gridDim.x * blockDim.x / 32)

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_row_norm(RowNorm q) {
  EACH_ROW(r, q.rows) {
    const long long sample = r / q.positions, p = r % q.positions;
    const float* x = q.x + sample * q.x_sample + p * q.channels;
    double mean, rstd;
    row_statistics(q, x, &mean, &rstd);
    for (int c = threadIdx.x % 32; c < q.channels; c += 32) {
      float y = (float)((x[c] - mean) * rstd);
      if (q.scale) y *= q.offset + q.scale[sample * q.scale_sample + c];
      if (q.shift) y += q.shift[sample * q.shift_sample + c];
      q.y[r * q.channels + c] = y;
    }
  }
}
KERNEL(net_row_norm)

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_row_norm_input(RowNorm q) {
  EACH_ROW(r, q.rows) {
    const long long sample = r / q.positions, p = r % q.positions;
    const float *x = q.x + sample * q.x_sample + p * q.channels, *g = q.g + sample * q.g_sample + p * q.channels;
    const float* scale = q.scale ? q.scale + sample * q.scale_sample : nullptr;
    double mean, rstd, sum = 0, dot = 0;
    row_statistics(q, x, &mean, &rstd);
    for (int c = threadIdx.x % 32; c < q.channels; c += 32) {
      const double d = g[c] * (scale ? (double)q.offset + scale[c] : 1.0);
      sum += d, dot += d * (x[c] - mean) * rstd;
    }
    sum = q.centred ? warp_sum(sum) / q.channels : 0, dot = warp_sum(dot) / q.channels;
    for (int c = threadIdx.x % 32; c < q.channels; c += 32) {
      const double d = g[c] * (scale ? (double)q.offset + scale[c] : 1.0);
      q.y[r * q.channels + c] = (float)(rstd * (d - sum - (x[c] - mean) * rstd * dot));
    }
    if (q.stats && threadIdx.x % 32 == 0) q.stats[2 * r] = mean, q.stats[2 * r + 1] = rstd;
  }
}
KERNEL(net_row_norm_input)

// The same for rows of whole vectors of four that a warp holds in registers, ROW_QUADS for each lane. Sums are float32 in a vector and float64 beyond.
enum { ROW_QUADS = 8 };
struct HeldRow {
  float x[ROW_QUADS][4];
  int quads, lane;
  __device__ __forceinline__ HeldRow(const float* p, int channels) : quads(channels / 4), lane(threadIdx.x % 32) {
#pragma unroll
    for (int k = 0; k < ROW_QUADS; k++) {
      if (k * 32 + lane < quads) load_vector(x[k], p + 4 * (k * 32 + lane));
      else x[k][0] = x[k][1] = x[k][2] = x[k][3] = 0.0f;
    }
  }
  __device__ __forceinline__ bool there(int k) const { return k * 32 + lane < quads; }
  // Leaves what is normalised but for the factor 1/sqrt, which it returns.
  __device__ __forceinline__ float centre(const RowNorm& q, double* mean, double* rstd) {
    double s = 0;
    *mean = 0;
    if (q.centred) {
      const float near = __shfl_sync(0xffffffffu, x[0][0], 0);  // one of the row's numbers: sums of distances from it keep the digits
#pragma unroll
      for (int k = 0; k < ROW_QUADS; k++)
        if (there(k)) s += (double)(((x[k][0] - near) + (x[k][1] - near)) + ((x[k][2] - near) + (x[k][3] - near)));
      *mean = near + warp_sum(s) * q.share, s = 0;
    }
    const float high = (float)*mean, low = (float)(*mean - high);
#pragma unroll
    for (int k = 0; k < ROW_QUADS; k++) {
      if (!there(k)) continue;
      float d[4];
#pragma unroll
      for (int v = 0; v < 4; v++) x[k][v] = (x[k][v] - high) - low, d[v] = x[k][v] * x[k][v];
      s += vector_sum(d);
    }
    *rstd = rsqrt(warp_sum(s) * q.share + q.eps);
    return (float)*rstd;
  }
};

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_row_norm_held(RowNorm q) {
  EACH_ROW(r, q.rows) {
    const long long sample = (unsigned)r / (unsigned)q.positions;
    HeldRow h(q.x + sample * q.x_sample + (r - sample * q.positions) * q.channels, q.channels);
    double mean, exact;
    const float rstd = h.centre(q, &mean, &exact);
    const float *scale = q.scale + sample * q.scale_sample, *shift = q.shift + sample * q.shift_sample;
#pragma unroll
    for (int k = 0; k < ROW_QUADS; k++) {
      if (!h.there(k)) continue;
      const int c = 4 * (k * 32 + h.lane);
      float a[4] = {1.0f, 1.0f, 1.0f, 1.0f}, b[4] = {};
      if (q.scale) {
        load_vector(a, scale + c);
#pragma unroll
        for (int v = 0; v < 4; v++) a[v] += q.offset;
      }
      if (q.shift) load_vector(b, shift + c);
#pragma unroll
      for (int v = 0; v < 4; v++) b[v] = fmaf(h.x[k][v] * rstd, a[v], b[v]);
      store_numbers(q.y, r * q.channels + c, b, q.halves);
    }
  }
}
KERNEL(net_row_norm_held)

extern "C" __global__ void __launch_bounds__(NORM_THREADS, 2) net_row_norm_input_held(RowNorm q) {
  EACH_ROW(r, q.rows) {
    const long long sample = (unsigned)r / (unsigned)q.positions, p = (r - sample * q.positions) * q.channels;
    HeldRow g(q.g + sample * q.g_sample + p, q.channels), h(q.x + sample * q.x_sample + p, q.channels);
    const float* scale = q.scale + sample * q.scale_sample;
    double mean, exact;
    const float rstd = h.centre(q, &mean, &exact);
    double sum = 0, dot = 0;
#pragma unroll
    for (int k = 0; k < ROW_QUADS; k++) {
      if (!h.there(k)) continue;
      float a[4];
      if (q.scale) {
        load_vector(a, scale + 4 * (k * 32 + h.lane));
#pragma unroll
        for (int v = 0; v < 4; v++) g.x[k][v] *= a[v] + q.offset;
      }
#pragma unroll
      for (int v = 0; v < 4; v++) h.x[k][v] *= rstd, a[v] = g.x[k][v] * h.x[k][v];
      sum += vector_sum(g.x[k]), dot += vector_sum(a);
    }
    const float less = q.centred ? (float)(warp_sum(sum) * q.share) : 0.0f, slope = (float)(warp_sum(dot) * q.share);
#pragma unroll
    for (int k = 0; k < ROW_QUADS; k++) {
      if (!h.there(k)) continue;
#pragma unroll
      for (int v = 0; v < 4; v++) h.x[k][v] = rstd * fmaf(-h.x[k][v], slope, g.x[k][v] - less);
      store_numbers(q.y, r * q.channels + 4 * (k * 32 + h.lane), h.x[k], q.halves);
    }
    if (q.stats && h.lane == 0) q.stats[2 * r] = mean, q.stats[2 * r + 1] = exact;
  }
}
KERNEL(net_row_norm_input_held)

// dshift and dscale of each sample, from the rows' statistics: a block takes 32 channels of a sample.
enum { PARAM_LANES = 8 };
extern "C" __global__ void __launch_bounds__(32 * PARAM_LANES) net_row_norm_params(RowNorm q) {
  EXTERN_SHARED(double, sums);  // [2][PARAM_LANES][32]
  const int blocks = (q.channels + 31) / 32, lane = threadIdx.x / 32;
  const long long sample = blockIdx.x / blocks;
  const int c = blockIdx.x % blocks * 32 + threadIdx.x % 32;
  double shift = 0, scale = 0;
  if (c < q.channels)
    for (int p = lane; p < q.positions; p += PARAM_LANES) {
      const double* s = q.stats + 2 * (sample * q.positions + p);
      const double g = q.g[sample * q.g_sample + (long long)p * q.channels + c];
      shift += g, scale += g * (q.x[sample * q.x_sample + (long long)p * q.channels + c] - s[0]) * s[1];
    }
  sums[threadIdx.x] = shift, sums[32 * PARAM_LANES + threadIdx.x] = scale;
  __syncthreads();
  if (lane || c >= q.channels) return;
  for (int k = 1; k < PARAM_LANES; k++) shift += sums[k * 32 + threadIdx.x], scale += sums[(PARAM_LANES + k) * 32 + threadIdx.x];
  if (q.dshift) q.dshift[sample * q.channels + c] = (float)shift;
  if (q.dscale) q.dscale[sample * q.channels + c] = (float)scale;
}
KERNEL(net_row_norm_params)

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_softmax(float* y, const float* x, long long rows, int channels) {
  EACH_ROW(r, rows) {
    const float* in = x + r * channels;
    float top = -INFINITY, s = 0;
    for (int c = threadIdx.x % 32; c < channels; c += 32) top = fmaxf(top, in[c]);
#pragma unroll
    for (int m = 16; m; m >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, m));
    for (int c = threadIdx.x % 32; c < channels; c += 32) s += expf(in[c] - top);
    const float scale = 1.0f / warp_sum(s);
    for (int c = threadIdx.x % 32; c < channels; c += 32) y[r * channels + c] = expf(in[c] - top) * scale;
  }
}
KERNEL(net_softmax)

extern "C" __global__ void __launch_bounds__(NORM_THREADS) net_log_sum_exp(float* y, const float* x, long long rows, int channels) {
  EACH_ROW(r, rows) {
    const float* in = x + r * channels;
    float top = -INFINITY, s = 0;
    for (int c = threadIdx.x % 32; c < channels; c += 32) top = fmaxf(top, in[c]);
#pragma unroll
    for (int m = 16; m; m >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, m));
    for (int c = threadIdx.x % 32; c < channels; c += 32) s += expf(in[c] - top);
    s = top + logf(warp_sum(s));
    if (threadIdx.x % 32 == 0) y[r] = s;
  }
}
KERNEL(net_log_sum_exp)
