// The fused probability flow of flow_fp32.cu on tensor cores, at float32's accuracy: every number of the hidden layers'
// products is the sum of two halves (f16), x = hi + lo to 22 bits, and a product is lo·hi + hi·lo + hi·hi. Sums of 16
// products are made by the tensor cores, which round towards zero, and added up in float32 outside of them (Ootomo and
// Yokota 2022, arXiv:2203.03341, section 3). Powers of two keep the halves away from f16's smallest numbers.
//
// Four warps own 16 samples, each a quarter of the units: one tile of 16 rows for the samples' values and one for each of
// two tangents, so that a thread has a unit's value and its derivatives in the same place, and weights are read once for 48
// rows. Activations pass from layer to layer in shared memory, in the order in which tensor cores take them. More tangents
// take several passes. State and stages are kept as in flow_fp32.cu; barriers are those of the four warps alone.
#include "activations.cuh"
#include "flow.cuh"
#include "mma.cuh"

#ifdef __CUDACC__
// A barrier, 1 to 15, for so many threads of the block.
__device__ __forceinline__ void part_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
// threadIdx.x and 0, made anew: what follows from them is not kept in registers from one part of the kernel to the next.
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

enum { TILES = 3, SAMPLES = 16, TEAM = 128 };  // rows of mma tiles, samples, threads of four warps

// The network in natural order: first layer [D][W], biases of the others [hidden - 1][W], head [W][D] and its bias [D]. scale
// is what the weights of layer 1.. are multiplied by in halves.
struct SplitNet {
  int d, hidden, act, residual;
  float scale[MAX_LAYERS];
};

#define ACTIVATIONS 16.0f  // what activations are multiplied by in halves: up to 4094 of them fit

// Two numbers as halves and what is left of them.
__device__ __forceinline__ void split(float a, float b, uint32_t* hi, uint32_t* lo) {
  float x, y;
  *hi = pack_f16(a, b);
  unpack_f16(*hi, &x, &y);
  *lo = pack_f16(a - x, b - y);
}

// Words of one hidden layer's weights: [W/16 inputs][W/16 pairs of unit tiles][hi, lo][lane][4].
template <int W>
__device__ __forceinline__ int layer_words() { return W * W; }

// Hidden layers 1.. as the fragments of products; one thread a word of hi.
template <int W>
__device__ __forceinline__ void pack_split(const Net& net, const SplitNet& s, const float* __restrict__ blob, uint32_t* __restrict__ words) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int per = layer_words<W>() / 2, layer = 1 + i / per, at = i % per;
  if (layer >= net.hidden) return;
  const int j = at & 3, lane = at >> 2 & 31, pair = at >> 7, tiles = W / 16;
  const int unit = (pair % tiles * 2 + (j >> 1)) * 8 + (lane >> 2), k = pair / tiles * 16 + (lane & 3) * 2 + (j & 1) * 8;
  const float* w = blob + net.w[layer] + unit_slot(unit);
  uint32_t* to = words + (layer - 1) * layer_words<W>() + pair * 256 + lane * 4 + j;
  split(w[k * W] * s.scale[layer], w[(k + 1) * W] * s.scale[layer], to, to + 128);
}

template <int W>
struct Team {
  static const int NT = W / 32;  // tiles of 8 units that a warp has
  static const int WORDS = TILES * 2 * (W / 16) * 128;  // of activations: [tile][hi, lo][W/16][lane][4]
  int lane, warp, id, tid;  // of this thread; the barrier of the team; the thread in the team
  uint32_t* a;

  // all are the arrays of the block's teams.
  __device__ __forceinline__ explicit Team(uint32_t* all) {
    const int i = thread_now();
    lane = i & 31, tid = i % TEAM, warp = tid >> 5, id = 1 + i / TEAM, a = all + i / TEAM * WORDS;
  }

  __device__ __forceinline__ void sync() const { part_sync(id, TEAM); }

  // acc = in times the weights of one layer, both as halves.
  __device__ __forceinline__ void product(float acc[TILES][NT][4], const uint32_t* __restrict__ words) const {
#pragma unroll 1
    for (int kt = 0; kt < W / 16; kt++) {
      uint4 bh[NT / 2], bl[NT / 2];
#pragma unroll
      for (int p = 0; p < NT / 2; p++) {
        const uint4* b = (const uint4*)(words + (kt * (W / 16) + warp * (NT / 2) + p) * 256) + lane;
        bh[p] = b[0], bl[p] = b[32];
      }
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        uint32_t ah[4], al[4];
        *(uint4*)ah = ((const uint4*)(a + (tile * 2 * (W / 16) + kt) * 128))[lane];
        *(uint4*)al = ((const uint4*)(a + ((tile * 2 + 1) * (W / 16) + kt) * 128))[lane];
#pragma unroll
        for (int nt = 0; nt < NT; nt++) {
          const uint4 h = bh[nt / 2], l = bl[nt / 2];
          float t[4] = {0.0f, 0.0f, 0.0f, 0.0f};
          mma_f16(t, al, nt & 1 ? h.z : h.x, nt & 1 ? h.w : h.y);
          mma_f16(t, ah, nt & 1 ? l.z : l.x, nt & 1 ? l.w : l.y);
          mma_f16(t, ah, nt & 1 ? h.z : h.x, nt & 1 ? h.w : h.y);
#pragma unroll
          for (int e = 0; e < 4; e++) acc[tile][nt][e] += t[e];
        }
      }
    }
  }

  // The first layer, of inputs [tile][sample][D] at the start of a.
  __device__ __forceinline__ void first(float acc[TILES][NT][4], const float* __restrict__ w, int dims) const {
    const float* in = (const float*)a + (lane >> 2) * dims;
#pragma unroll 1
    for (int d = 0; d < dims; d++) {
      float x[TILES][2];
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) x[tile][0] = in[tile * SAMPLES * dims + d], x[tile][1] = in[(tile * SAMPLES + 8) * dims + d];
#pragma unroll
      for (int nt = 0; nt < NT; nt++) {
        const float2 v = *(const float2*)(w + d * W + unit(nt));
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
          for (int e = 0; e < 4; e++) acc[tile][nt][e] = fmaf(x[tile][e >> 1], e & 1 ? v.y : v.x, acc[tile][nt][e]);
      }
    }
  }

  // The first of the two neighbouring units of this thread in tile nt.
  __device__ __forceinline__ int unit(int nt) const { return (warp * NT + nt) * 8 + (lane & 3) * 2; }

  // Sums, times unscale, become activations times ACTIVATIONS.
  template <int ACT>
  __device__ __forceinline__ void activate(float acc[TILES][NT][4], float unscale, const float* __restrict__ bias) const {
#pragma unroll
    for (int nt = 0; nt < NT; nt++) {
      const float2 b = *(const float2*)(bias + unit(nt));
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const float x = fmaf(acc[0][nt][e], unscale, e & 1 ? b.y : b.x);
        float slope;
        if (ACT == ACT_SILU) {
          const float s = sigmoid_fast(x), v = x < -87.0f ? 0.0f : x * s;
          slope = fmaf(v, 1.0f - s, s);
          acc[0][nt][e] = v * ACTIVATIONS;
        } else {
          acc[0][nt][e] = act_value(ACT, x, true, &slope) * ACTIVATIONS;
        }
        slope *= unscale * ACTIVATIONS;
        acc[1][nt][e] *= slope, acc[2][nt][e] *= slope;
      }
    }
  }

  // This thread's words of tile and pair p of its tiles of units: those of hi, and of lo (W/16)*128 further on.
  __device__ __forceinline__ uint4* own(int tile, int p) const { return (uint4*)(a + (tile * 2 * (W / 16) + warp * (NT / 2) + p) * 128) + lane; }

  // Adds what store left here.
  __device__ __forceinline__ void add_own(float acc[TILES][NT][4]) const {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int p = 0; p < NT / 2; p++) {
        uint32_t hi[4], lo[4];
        *(uint4*)hi = *own(tile, p), *(uint4*)lo = own(tile, p)[W / 16 * 32];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          float x, y, u, v;
          unpack_f16(hi[j], &x, &y), unpack_f16(lo[j], &u, &v);
          float* c = acc[tile][2 * p + (j >> 1)] + (j & 1) * 2;
          c[0] += x + u, c[1] += y + v;
        }
      }
  }

  __device__ __forceinline__ void store(const float acc[TILES][NT][4]) const {
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int p = 0; p < NT / 2; p++) {
        uint32_t hi[4], lo[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const float* c = acc[tile][2 * p + (j >> 1)] + (j & 1) * 2;
          split(c[0], c[1], &hi[j], &lo[j]);
        }
        *own(tile, p) = *(uint4*)hi, own(tile, p)[W / 16 * 32] = *(uint4*)lo;
      }
  }

  // Output o of tile's rows, this warp's quarter of the sum, to parts [warp][tile][sample][D] at the start of a.
  __device__ __forceinline__ void head(const float acc[NT][4], int tile, const float* __restrict__ w, int o, int dims) const {
    float s0 = 0.0f, s1 = 0.0f;
#pragma unroll
    for (int nt = 0; nt < NT; nt++) {
      const float x = w[unit(nt) * dims + o], y = w[(unit(nt) + 1) * dims + o];
      s0 = fmaf(acc[nt][0], x, fmaf(acc[nt][1], y, s0)), s1 = fmaf(acc[nt][2], x, fmaf(acc[nt][3], y, s1));
    }
    s0 += __shfl_xor_sync(~0u, s0, 1), s1 += __shfl_xor_sync(~0u, s1, 1);
    s0 += __shfl_xor_sync(~0u, s0, 2), s1 += __shfl_xor_sync(~0u, s1, 2);
    float* part = (float*)a + ((warp * TILES + tile) * SAMPLES + (lane >> 2)) * dims + o;
    if ((lane & 3) == 0) part[0] = s0, part[8 * dims] = s1;
  }

  // Takes the inputs at the start of a through the network; parts of the outputs that are needed replace them: of the values
  // if last, of tangents t0 and t0 + 1 all outputs for probes and their own for unit vectors.
  __device__ __forceinline__ void pass(const SplitNet& net, const float* __restrict__ blob, const uint32_t* __restrict__ layers, const float* __restrict__ bias0, int evaluation, int t0, bool last, bool probes) const {
    float acc[TILES][NT][4];
#pragma unroll 1
    for (int layer = 0; layer < net.hidden; layer++) {
#pragma unroll
      for (int q = 0; q < TILES * NT * 4; q++) acc[q / 4 / NT][q / 4 % NT][q % 4] = 0.0f;
      float unscale = 1.0f;
      const float* bias;
      if (layer == 0) {
        first(acc, blob, net.d);
        bias = bias0 + (size_t)evaluation * W;
      } else {
        product(acc, layers + (layer - 1) * layer_words<W>());
        unscale = 1.0f / (ACTIVATIONS * net.scale[layer]);
        bias = blob + (net.d + layer - 1) * W;
      }
      if (net.act == ACT_SILU) activate<ACT_SILU>(acc, unscale, bias);
      else if (net.act == ACT_GELU) activate<ACT_GELU>(acc, unscale, bias);
      else activate<ACT_TANH>(acc, unscale, bias);
      if (net.residual && layer) add_own(acc);
      sync();  // what the layer read may be overwritten
      if (layer < net.hidden - 1) {
        store(acc);
        sync();
      }
    }
    const float* w = blob + (zero_now() + net.d + net.hidden - 1) * W;
    for (int o = 0; o < net.d; o++) {
      if (last) head(acc[0], 0, w, o, net.d);
      if (probes || t0 == o) head(acc[1], 1, w, o, net.d);
      if (probes || t0 + 1 == o) head(acc[2], 2, w, o, net.d);
    }
    sync();
  }

  // The sum of the four quarters.
  __device__ __forceinline__ float output(int tile, int s, int o, int dims) const {
    const float* part = (const float*)a + (tile * SAMPLES + s) * dims + o;
    const int step = TILES * SAMPLES * dims;
    return ((part[0] + part[step]) + (part[2 * step] + part[3 * step])) * (1.0f / ACTIVATIONS);
  }
};

template <int W, bool WS>
__device__ __forceinline__ void flow_split_body(const SplitNet& net, const Flow& f, const float* __restrict__ blob, const uint32_t* __restrict__ words,
                                                const float* __restrict__ bias0, const double* __restrict__ hs, const FlowStage* __restrict__ at,
                                                const double* __restrict__ tableau, double* __restrict__ x, double* __restrict__ div, double* __restrict__ est,
                                                const float* __restrict__ probes, double* scratch) {
  EXTERN_SHARED(uint32_t, sm);
  const int teams = blockDim.x / TEAM, me = threadIdx.x / TEAM;
  const int &D = net.d, &K = f.k, &C = f.components, &T = f.tangents, &comps = f.numbers, &stages = f.stages;
  if (WS) {
    for (int i = threadIdx.x; i < f.held / 4; i += blockDim.x) ((uint4*)sm)[i] = ((const uint4*)words)[i];
    __syncthreads();
  }
  // of the team, rows of comps numbers: its samples' state, then stages k, squared errors of two kinds, traces
  const int home = (blockIdx.x * teams + me) * (stages + 4) * comps;
  const auto row = [&](int i) { return scratch + (home + (zero_now() + i) * comps); };
  const int tiles = (f.n + SAMPLES - 1) / SAMPLES;
  for (int tile = me * gridDim.x + blockIdx.x; tile < tiles; tile += gridDim.x * teams) {  // few tiles: all blocks first
    for (int c = Team<W>(sm).tid; c < comps; c += TEAM) {
      const int s = tile * SAMPLES + c / C, j = c % C;
      row(0)[c] = s >= f.n ? 0.0 : j < D ? x[(size_t)s * D + j] : div[(size_t)s * K + j - D];
    }
    for (int e = 0; e < f.steps * stages; e++) {
      {
        const int i = (zero_now() + e) % stages;
        const double h = hs[(zero_now() + e) / stages];
#pragma unroll 1
        for (int c = Team<W>(sm).tid; c < comps; c += TEAM) {
          double sum = 0.0;
          for (int j = 0; j < i; j++) sum += tableau[i * stages + j] * row(1 + j)[c];
          row(1 + i)[c] = row(0)[c] + h * sum;  // the stage's state, until its derivative replaces it
        }
      }
      for (int t0 = 0; t0 < T; t0 += TILES - 1) {
        {
          const Team<W> team(sm + f.held);
          team.sync();  // states are there, the parts of the pass before are read
          if (team.tid < TILES * SAMPLES) {  // a row: a value, a unit vector, a probe, or nothing
            const int mine = team.tid / SAMPLES, s = team.tid % SAMPLES, t = t0 + mine - 1;
            const float* probe = probes && mine && t < T && tile * SAMPLES + s < f.n ? probes + ((size_t)(tile * SAMPLES + s) * T + t) * D : nullptr;
            const double cin = at[e].cin;
            const double* state = row(1 + (zero_now() + e) % stages) + s * C;
            for (int d = 0; d < D; d++)
              ((float*)team.a)[team.tid * D + d] = !mine ? (float)(cin * state[d]) : probe ? probe[d] : !probes && t == d ? 1.0f : 0.0f;
          }
          team.sync();
        }
        Team<W>(sm + f.held).pass(net, blob, WS ? sm : words, bias0, e, t0, t0 + TILES - 1 >= T, probes);
        const Team<W> team(sm + f.held);
        const FlowStage g = at[e];
        const float* head_bias = blob + (zero_now() + D + net.hidden - 1) * W + W * D;
        const bool last = t0 + TILES - 1 >= T;
        double *k = row(1 + (zero_now() + e) % stages), *trace = row(stages + 3);
#pragma unroll 1
        for (int c = team.tid; c < comps; c += TEAM) {
          const int s = c / C, j = c % C;
          if (j < D) {
            if (last) k[c] = g.u * k[c] + g.v * (double)(team.output(0, s, j, D) + head_bias[j]);
            continue;
          }
          double sum = t0 ? trace[c] : 0.0, norm = D;
          if (!probes) {
            for (int t = t0; t < min(T, t0 + TILES - 1); t++) sum += team.output(1 + t - t0, s, t, D);
          } else if (tile * SAMPLES + s < f.n) {
            const int t = j - D;
            const float* probe = probes + ((size_t)(tile * SAMPLES + s) * T + t) * D;
            norm = 0.0;
            for (int o = 0; o < D; o++) {
              if (t >= t0 && t < t0 + TILES - 1) sum += (double)probe[o] * (double)team.output(1 + t - t0, s, o, D);
              norm += (double)probe[o] * (double)probe[o];
            }
          }
          trace[c] = sum;
          if (last) k[c] = D * g.w + (g.u - g.w) * norm + g.v * g.cin * sum;
        }
      }
      if ((zero_now() + e) % stages != stages - 1) continue;
      const Team<W> team(sm);
      const double h = hs[(zero_now() + e) / stages];
      const double *B = tableau + (zero_now() + stages) * stages, *E = B + stages, *E3 = E + stages;
      double *y = row(0), *first = row(stages + 1), *second = row(stages + 2);
#pragma unroll 1
      for (int c = team.tid; c < comps; c += TEAM) {
        double next = 0.0, e = 0.0, e3 = 0.0;
        for (int j = 0; j < stages; j++) {
          const double v = row(1 + j)[c];
          next += B[j] * v, e += E[j] * v, e3 += E3[j] * v;
        }
        const double y0 = y[c], y1 = y0 + h * next, unit = f.tol * (1.0 + fmax(fabs(y0), fabs(y1)));
        e /= unit, e3 /= unit;
        y[c] = y1, first[c] = e * e, second[c] = e3 * e3;
      }
      team.sync();
      if (f.estimate && team.tid < SAMPLES && tile * SAMPLES + team.tid < f.n) {
        const double worst = est[tile * SAMPLES + team.tid];
        double e = 0.0, e3 = 0.0;
        for (int j = 0; j < C; j++) e += first[team.tid * C + j], e3 += second[team.tid * C + j];
        double err = fabs(h) * sqrt(e / C);
        if (f.estimate == 2 && e != 0.0) err = fabs(h) * e / sqrt((e + 0.01 * e3) * C);
        if (worst == worst && !(err <= worst)) est[tile * SAMPLES + team.tid] = err;  // NaN stays
      }
    }
    for (int c = Team<W>(sm).tid; c < comps; c += TEAM) {
      const int s = tile * SAMPLES + c / C, j = c % C;
      if (s >= f.n) continue;
      if (j < D) x[(size_t)s * D + j] = row(0)[c];
      else div[(size_t)s * K + j - D] = row(0)[c];
    }
  }
}

#define FLOW_SPLIT(name, W, WS)                                                                                                  \
  extern "C" __global__ void __launch_bounds__(512, 1) name(SplitNet net, Flow f, const float* blob, const uint32_t* words, const float* bias0, \
      const double* hs, const FlowStage* at, const double* tableau, double* x, double* div, double* est, const float* probes, double* scratch) { \
    flow_split_body<W, WS>(net, f, blob, words, bias0, hs, at, tableau, x, div, est, probes, scratch);                              \
  }                                                                                                                              \
  KERNEL(name)
#define PACK_SPLIT(name, W)                                                                                              \
  extern "C" __global__ void __launch_bounds__(256) name(Net net, SplitNet s, const float* blob, uint32_t* words) { \
    pack_split<W>(net, s, blob, words);                                                                               \
  }                                                                                                                   \
  KERNEL(name)
FLOW_SPLIT(flow_split_w64_shared, 64, true)
FLOW_SPLIT(flow_split_w128_shared, 128, true)
FLOW_SPLIT(flow_split_w128_stream, 128, false)
PACK_SPLIT(flow_split_pack_w64, 64)
PACK_SPLIT(flow_split_pack_w128, 128)
