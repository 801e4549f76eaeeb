// The fused probability flow of flow_fp32.cu on warpgroup products, for compute capability 9.0; see split_wgmma.cuh for their arithmetic.
//
// A warpgroup takes 32 samples, a warp 8 of them: rows g are values and rows g + 8 a tangent of the same samples. A lane then has a unit's value
// and its tangent, so the slope of the activation is where it is needed. Each tangent takes a pass through the network, with the values again.
// States and stages of a warp are in shared memory if there is room for them, else in device memory. Panels are packed by
// sampler_split_wgmma.cu.
#include "flow_triple.cuh"

enum { SAMPLES = 8 };  // of a warp

// activate_halves of split_wgmma.cuh for values in row g and tangents in row g + 8: those are multiplied by the slope.
template <int ACT, bool FIRST>
__device__ __forceinline__ void activate_pairs(const float* c, float unscale, float4 b, uint32_t (&hi)[4], uint32_t (&lo)[4], bool residual) {
  float v[8];
#pragma unroll
  for (int e = 0; e < 4; e++) {
    const int i = (e & 1) + 4 * (e >> 1);
    float slope;
    v[i] = activate_slope<ACT>(FIRST ? c[i] : fmaf(c[i], unscale, e == 0 ? b.x : e == 1 ? b.y : e == 2 ? b.z : b.w), &slope);
    v[i + 2] = c[i + 2] * (FIRST ? slope : slope * unscale);
  }
  operand(v, hi, lo, residual);
}

// The last hidden layer's activations and their tangents, from the warp's inputs xs [16][D].
template <int W, int ACT>
__device__ __forceinline__ void hidden_pairs(const SamplerShared<W, 2>& shared, const Net& net, uint32_t weights, const float* __restrict__ bias0, uint32_t (&hi)[W / 16][4], uint32_t (&lo)[W / 16][4], const Lane& l) {
  enum { KT = W / 16 };
  const uint32_t part = layer_bytes<W>() >> 4;
  const bool residual = net.residual;
  float acc[W / 2];
#pragma unroll
  for (int kt = 0; kt < KT; kt++) {
    const float4 b = ((const float4*)bias0)[kt * 4 + l.q];
    float* c = &acc[8 * kt];
    c[0] = b.x, c[1] = b.y, c[4] = b.z, c[5] = b.w, c[2] = c[3] = c[6] = c[7] = 0.0f;
  }
#pragma unroll 1
  for (int d = 0; d < net.d; d++) {
    const float up = shared.xs[l.g * net.d + d], down = shared.xs[(l.g + 8) * net.d + d];
    const float4* w = (const float4*)(shared.w1 + d * W) + l.q;
#pragma unroll
    for (int kt = 0; kt < KT; kt++) add_input(&acc[8 * kt], w[kt * 4], up, down);
  }
#pragma unroll
  for (int kt = 0; kt < KT; kt++) activate_pairs<ACT, true>(&acc[8 * kt], 1.0f, make_float4(0.0f, 0.0f, 0.0f, 0.0f), hi[kt], lo[kt], false);
#pragma unroll 1
  for (int layer = 1; layer < net.hidden; layer++) {
    const uint32_t bhi = weights + (layer - 1) * 2 * part, blo = bhi + part;
    const float4* bias = (const float4*)(shared.bias + (layer - 1) * W) + l.q;
    wg_fence();
#pragma unroll
    for (int kt = 0; kt < KT; kt++) {
      wgmma(acc, lo[kt], panel_descriptor(bhi + panel_offset<W>(0, kt)), kt > 0);
      wgmma(acc, hi[kt], panel_descriptor(blo + panel_offset<W>(0, kt)), 1);
    }
#pragma unroll
    for (int kt = 0; kt < KT; kt++) wgmma(acc, hi[kt], panel_descriptor(bhi + panel_offset<W>(0, kt)), 1);
    wg_commit();
    const float unscale = shared.extra[layer];
    wg_wait<0>();
    keep(acc);
#pragma unroll
    for (int kt = 0; kt < KT; kt++) activate_pairs<ACT, false>(&acc[8 * kt], unscale, bias[kt * 4], hi[kt], lo[kt], residual);
  }
}

// The samples of this warp, described anew where it is needed: nothing of it takes a register while the layers run.
struct WarpFlow {
  int lane, first, comps;  // first: the number of its first sample
  double* home;            // rows of comps numbers: states, then stages k, squared errors of two kinds, traces
  __device__ __forceinline__ WarpFlow(unsigned char* sm, const Flow& f, double* scratch, int tile) {
    const int warp = thread_now() >> 5, all = zero_now() + (f.stages + 4) * f.numbers;
    lane = thread_now() & 31, comps = f.numbers, first = tile * 4 * SAMPLES + (warp & 3) * SAMPLES;
    home = (f.held ? (double*)(sm + f.held) : scratch + blockIdx.x * (blockDim.x >> 5) * all) + warp * all;
  }
  __device__ __forceinline__ double* row(int i) const { return home + i * comps; }
};

template <int W, int ACT>
__device__ __forceinline__ void flow_split_wgmma(const Net& net, const SplitScale& scale, const Flow& f, const uint32_t* __restrict__ panels, const float* __restrict__ blob,
                                                 const float* __restrict__ bias0, const double* __restrict__ hs, const FlowStage* __restrict__ at,
                                                 const double* __restrict__ tableau, double* __restrict__ x, double* __restrict__ div, double* __restrict__ est,
                                                 const float* __restrict__ probes, double* scratch) {
  PANELS_SHARED(sm);
  enum { KT = W / 16 };
  const Lane l;
  const SamplerShared<W, 2> shared(sm, net, l.warp);
  fill_shared<W>(shared, sm, net, scale, panels, blob);
  const int &D = net.d, &K = f.k, &C = f.components, &T = f.tangents, &stages = f.stages;
  const int tiles = (f.n + 4 * SAMPLES - 1) / (4 * SAMPLES);
  const uint32_t weights = panel_address(shared_address(sm));
  for (int tile = blockIdx.x + (threadIdx.x >> 7) * gridDim.x; tile < tiles; tile += gridDim.x * (blockDim.x >> 7)) {
    {
      const WarpFlow p(sm, f, scratch, tile);
      for (int c = p.lane; c < p.comps; c += 32) {
        const int s = p.first + c / C, j = c % C;
        p.row(0)[c] = s >= f.n ? 0.0 : j < D ? x[(size_t)s * D + j] : div[(size_t)s * K + j - D];
      }
    }
#pragma unroll 1
    for (int e = 0; e < f.steps * stages; e++) {
      {
        const WarpFlow p(sm, f, scratch, tile);
        const int i = (zero_now() + e) % stages;
        const double h = hs[(zero_now() + e) / stages];
#pragma unroll 1
        for (int c = p.lane; c < p.comps; c += 32) {
          double sum = 0.0;
          for (int j = 0; j < i; j++) sum += tableau[i * stages + j] * p.row(1 + j)[c];
          p.row(1 + i)[c] = p.row(0)[c] + h * sum;  // the stage's state, until its derivative replaces it
        }
      }
#pragma unroll 1
      for (int t = 0; t < T; t++) {
        __syncwarp();  // the states are written, and the outputs of the pass before have been read
        {
          const WarpFlow p(sm, f, scratch, tile);
          const int r = p.lane & 15, s = r & (SAMPLES - 1);  // a row: a value, a unit vector, a probe, or nothing
          float* in = SamplerShared<W, 2>(sm, net, thread_now() >> 5).xs + r * D;
          const double cin = at[zero_now() + e].cin, *state = p.row(1 + (zero_now() + e) % stages) + s * C;
          const float* probe = probes && p.first + s < f.n ? probes + ((size_t)(p.first + s) * T + t) * D : nullptr;
          for (int d = p.lane >> 4; d < D; d += 2) in[d] = r < SAMPLES ? (float)(cin * state[d]) : TANGENT * (probe ? probe[d] : !probes && t == d ? 1.0f : 0.0f);
        }
        __syncwarp();
        uint32_t hi[KT][4], lo[KT][4];
        hidden_pairs<W, ACT>(shared, net, weights, bias0 + (size_t)(zero_now() + e) * W, hi, lo, l);
        __syncwarp();
        const bool all = probes || t == T - 1;  // else one output is enough
        head_rows<W>(shared, shared.xs, hi, lo, shared.extra[0], D, all ? 0 : t / 8, all ? (D + 7) / 8 : t / 8 + 1, l);
        __syncwarp();
        const WarpFlow p(sm, f, scratch, tile);
        const SamplerShared<W, 2> now(sm, net, thread_now() >> 5);
        const FlowStage g = at[zero_now() + e];
        const bool last = t == T - 1;
        double *k = p.row(1 + (zero_now() + e) % stages), *trace = p.row(stages + 3);
#pragma unroll 1
        for (int c = p.lane; c < p.comps; c += 32) {
          const int s = c / C, j = c % C;
          if (j < D) {
            if (last) k[c] = g.u * k[c] + g.v * (double)(now.xs[s * D + j] + now.head_bias[j]);
            continue;
          }
          const float* out = now.xs + (s + SAMPLES) * D;
          double sum = t ? trace[c] : 0.0, norm = D;
          if (!probes) {
            sum += (double)(out[t] * (1.0f / TANGENT));
          } else if (p.first + s < f.n) {
            const float* probe = probes + ((size_t)(p.first + s) * T + j - D) * D;
            norm = 0.0;
            for (int o = 0; o < D; o++) {
              if (t == j - D) sum += (double)probe[o] * (double)(out[o] * (1.0f / TANGENT));
              norm += (double)probe[o] * (double)probe[o];
            }
          }
          trace[c] = sum;
          if (last) k[c] = D * g.w + (g.u - g.w) * norm + g.v * g.cin * sum;
        }
      }
      if ((zero_now() + e) % stages != stages - 1) continue;
      const WarpFlow p(sm, f, scratch, tile);
      const double h = hs[(zero_now() + e) / stages];
      flow_step(f, h, tableau, p.home, p.comps, p.lane, 32);
      __syncwarp();
      const int s = p.first + p.lane;
      if (f.estimate && p.lane < SAMPLES && s < f.n) flow_estimate(f, h, p.row(stages + 1) + p.lane * C, p.row(stages + 2) + p.lane * C, &est[s]);
    }
    const WarpFlow p(sm, f, scratch, tile);
    for (int c = p.lane; c < p.comps; c += 32) {
      const int s = p.first + c / C, j = c % C;
      if (s >= f.n) continue;
      if (j < D) x[(size_t)s * D + j] = p.row(0)[c];
      else div[(size_t)s * K + j - D] = p.row(0)[c];
    }
  }
}

#define FLOW_SPLIT_WGMMA(name, W, ACT, THREADS)                                                                                  \
  extern "C" __global__ void __launch_bounds__(THREADS, 1) name(Net net, SplitScale scale, Flow f, const unsigned* panels, const float* blob, const float* bias0, \
      const double* hs, const FlowStage* at, const double* tableau, double* x, double* div, double* est, const float* probes, double* scratch) { \
    flow_split_wgmma<W, ACT>(net, scale, f, panels, blob, bias0, hs, at, tableau, x, div, est, probes, scratch);                 \
  }                                                                                                                              \
  KERNEL(name)
FLOW_SPLIT_WGMMA(flow_split_wgmma_w64_silu, 64, ACT_SILU, 512)
FLOW_SPLIT_WGMMA(flow_split_wgmma_w64_gelu, 64, ACT_GELU, 512)
FLOW_SPLIT_WGMMA(flow_split_wgmma_w64_tanh, 64, ACT_TANH, 512)
FLOW_SPLIT_WGMMA(flow_split_wgmma_w128_silu, 128, ACT_SILU, 384)
FLOW_SPLIT_WGMMA(flow_split_wgmma_w128_gelu, 128, ACT_GELU, 384)
FLOW_SPLIT_WGMMA(flow_split_wgmma_w128_tanh, 128, ACT_TANH, 384)

#define FLOW_TRIPLE_WGMMA(name, ACT, RESIDUAL)                                                                                            \
  extern "C" __global__ void __launch_bounds__(TRIPLE_THREADS, 1) name(Net net, SplitScale scale, Flow f, const unsigned* panels, const float* blob, const float* bias0, \
      const double* hs, const FlowStage* at, const double* tableau, double* x, double* div, double* est, const float* probes, double* scratch) { \
    flow_triple<ACT, RESIDUAL>(net, scale, f, panels, blob, bias0, hs, at, tableau, x, div, est, probes);                                  \
  }                                                                                                                              \
  KERNEL(name)
FLOW_TRIPLE_WGMMA(flow_triple_wgmma_w128_silu, ACT_SILU, false)
FLOW_TRIPLE_WGMMA(flow_triple_wgmma_w128_silu_residual, ACT_SILU, true)
FLOW_TRIPLE_WGMMA(flow_triple_wgmma_w128_tanh, ACT_TANH, false)
FLOW_TRIPLE_WGMMA(flow_triple_wgmma_w128_tanh_residual, ACT_TANH, true)
