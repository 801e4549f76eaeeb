// The fused probability flow with the three warpgroups of a block on the same 64 samples: the first has their values, each other one a tangent
// of them. A lane has the same unit of the same sample in all three, so that slopes of activations pass from thread to thread at one
// address of shared memory. While the first makes a layer's activations, the products of the tangents run, and the other way round. Each number is
// computed once for two tangents. flow_split_wgmma.cu, whose passes take one tangent, has the kernels for one tangent, for narrower networks, for
// GELU, which needs more registers than a thread has here, and for networks beside which shared memory has no room for the slopes.
#pragma once
#include "flow_wgmma.cuh"

enum { TRIPLE = 64, TRIPLE_THREADS = 384 };  // samples of a block at a time

// Shared memory after the network and the inputs (f.held): outputs [3][64][D], slopes [2][16][128] of four numbers, then rows of f.numbers: states,
// stages k, squared errors of two kinds, traces. Described anew where it is needed; see WarpFlow.
struct TripleFlow {
  float *out, *slopes;
  double* rows;
  int thread, comps;
  __device__ __forceinline__ TripleFlow(unsigned char* sm, const Net& net, const Flow& f) {
    out = (float*)(sm + zero_now() + f.held), slopes = out + 3 * TRIPLE * net.d, rows = (double*)(slopes + 2 * 64 * 128);
    thread = thread_now(), comps = f.numbers;
  }
  __device__ __forceinline__ double* row(int i) const { return rows + i * comps; }
};

// Sums of a layer's values become operands, and the slopes are left for the tangents. FIRST: the first layer's, which contain their biases and have
// no scale.
template <int ACT, bool RESIDUAL, bool FIRST>
__device__ __forceinline__ void values_on(const float (&acc)[64], float unscale, const float4* bias, float4* slopes, uint32_t (&hi)[8][4], uint32_t (&lo)[8][4]) {
#pragma unroll
  for (int kt = 0; kt < 8; kt++) {
    const float4 b = FIRST ? make_float4(0.0f, 0.0f, 0.0f, 0.0f) : bias[kt * 4];
    float v[8];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float s[4];
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const float c = acc[8 * kt + 4 * half + e], u = FIRST ? c : fmaf(c, unscale, half ? e & 1 ? b.w : b.z : e & 1 ? b.y : b.x);
        v[4 * half + e] = activate_slope<ACT>(u, &s[e]);
      }
      slopes[kt * 256 + half * 128] = make_float4(s[0], s[1], s[2], s[3]);
    }
    operand(v, hi[kt], lo[kt], RESIDUAL);
  }
}

template <bool RESIDUAL>
__device__ __forceinline__ void tangents_on(const float (&acc)[64], float unscale, const float4* slopes, uint32_t (&hi)[8][4], uint32_t (&lo)[8][4]) {
#pragma unroll
  for (int kt = 0; kt < 8; kt++) {
    const float4 s = slopes[kt * 256], r = slopes[kt * 256 + 128];
    const float* c = &acc[8 * kt];
    float v[8] = {c[0] * (s.x * unscale), c[1] * (s.y * unscale), c[2] * (s.z * unscale), c[3] * (s.w * unscale),
                  c[4] * (r.x * unscale), c[5] * (r.y * unscale), c[6] * (r.z * unscale), c[7] * (r.w * unscale)};
    operand(v, hi[kt], lo[kt], RESIDUAL);
  }
}

template <int ACT, bool RESIDUAL>
__device__ __forceinline__ void flow_triple(const Net& net, const SplitScale& scale, const Flow& f, const uint32_t* __restrict__ panels, const float* __restrict__ blob,
                                            const float* __restrict__ bias0, const double* __restrict__ hs, const FlowStage* __restrict__ at, const double* __restrict__ tableau,
                                            double* __restrict__ x, double* __restrict__ div, double* __restrict__ est, const float* __restrict__ probes) {
  PANELS_SHARED(sm);
  enum { W = 128, KT = W / 16 };
  const Lane l;
  const SamplerShared<W, 2> shared(sm, net, l.warp);
  fill_shared<W>(shared, sm, net, scale, panels, blob);
  const int &D = net.d, &K = f.k, &C = f.components, &T = f.tangents, &stages = f.stages;
  const uint32_t weights = panel_address(shared_address(sm)), part = layer_bytes<W>() >> 4;
#pragma unroll 1
  for (int tile = blockIdx.x; tile * TRIPLE < f.n; tile += gridDim.x) {
    {
      const TripleFlow p(sm, net, f);
      for (int c = p.thread; c < p.comps; c += TRIPLE_THREADS) {
        const int s = tile * TRIPLE + c / C, j = c % C;
        p.row(0)[c] = s >= f.n ? 0.0 : j < D ? x[(size_t)s * D + j] : div[(size_t)s * K + j - D];
      }
    }
#pragma unroll 1
    for (int e = 0, step = 0, stage = 0; step < f.steps; e++) {
      {
        const TripleFlow p(sm, net, f);
        float* inputs = SamplerShared<W, 2>(sm, net, 0).xs;
        const int i = zero_now() + stage;
        const double h = hs[zero_now() + step], cin = at[zero_now() + e].cin;
#pragma unroll 1
        for (int c = p.thread; c < p.comps; c += TRIPLE_THREADS) {
          double sum = 0.0;
          for (int j = 0; j < i; j++) sum += tableau[i * stages + j] * p.row(1 + j)[c];
          sum = p.row(0)[c] + h * sum;
          p.row(1 + i)[c] = sum;  // the stage's state, until its derivative replaces it
          if (c % C < D) inputs[c / C * D + c % C] = (float)(cin * sum);
        }
      }
#pragma unroll 1
      for (int t0 = 0; t0 < T; t0 += 2) {
        if (thread_now() >= 128) {  // a row is a unit vector, a probe, or nothing
          const int lane = thread_now() & 31, warp = thread_now() >> 5, t = t0 + (warp >> 2) - 1, s = tile * TRIPLE + (warp & 3) * 16 + (lane & 15);
          float* in = SamplerShared<W, 2>(sm, net, warp).xs + (lane & 15) * D;
          const float* probe = probes && t < T && s < f.n ? probes + ((size_t)s * T + t) * D : nullptr;
          for (int d = lane >> 4; d < D; d += 2) in[d] = TANGENT * (probe ? probe[d] : !probes && t == d ? 1.0f : 0.0f);
        }
        const bool values = l.group == 0;
        uint32_t hi[KT][4], lo[KT][4];
        float acc[W / 2];
#pragma unroll
        for (int kt = 0; kt < KT; kt++) spread(&acc[8 * kt], values ? ((const float4*)(bias0 + (size_t)(zero_now() + e) * W))[kt * 4 + l.q] : make_float4(0.0f, 0.0f, 0.0f, 0.0f));
        __syncthreads();  // the inputs are written
#pragma unroll 1
        for (int d = 0; d < D; d++) {
          const float up = shared.xs[l.g * D + d], down = shared.xs[(l.g + 8) * D + d];
          const float4* w = (const float4*)(shared.w1 + d * W) + l.q;
#pragma unroll
          for (int kt = 0; kt < KT; kt++) add_input(&acc[8 * kt], w[kt * 4], up, down);
        }
        float4* slopes = (float4*)TripleFlow(sm, net, f).slopes + (threadIdx.x & 127);
        if (values) values_on<ACT, false, true>(acc, 1.0f, nullptr, slopes, hi, lo);
        __syncthreads();  // the slopes are written
        if (!values) tangents_on<false>(acc, 1.0f, slopes, hi, lo);
#pragma unroll 1
        for (int layer = 1; layer < net.hidden; layer++) {
          const uint32_t bhi = weights + (layer - 1) * 2 * part, blo = bhi + part;
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
          slopes = (float4*)TripleFlow(sm, net, f).slopes + (layer & 1) * 16 * 128 + (threadIdx.x & 127);
          wg_wait<0>();
          keep(acc);
          const float4* bias = (const float4*)(shared.bias + (layer - 1) * W) + l.q;
          if (values) values_on<ACT, RESIDUAL, false>(acc, unscale, bias, slopes, hi, lo);
          __syncthreads();  // the slopes are written, and those of the layer before have been read
          if (!values) tangents_on<RESIDUAL>(acc, unscale, slopes, hi, lo);
        }
        const bool last = t0 + 2 >= T;
        const int t = t0 + l.group - 1;
        if (l.group == 0 ? last : t < T) {
          const bool all = l.group == 0 || probes;  // else one output is enough
          head_rows<W>(shared, TripleFlow(sm, net, f).out + l.warp * 16 * D, hi, lo, shared.extra[0], D, all ? 0 : t / 8, all ? (D + 7) / 8 : t / 8 + 1, l);
        }
        __syncthreads();  // the outputs are written
        const TripleFlow p(sm, net, f);
        const float* head_bias = SamplerShared<W, 2>(sm, net, 0).head_bias;
        const FlowStage g = at[zero_now() + e];
        double *k = p.row(1 + zero_now() + stage), *trace = p.row(stages + 3);
#pragma unroll 1
        for (int c = p.thread; c < p.comps; c += TRIPLE_THREADS) {
          const int s = c / C, j = c % C;
          if (j < D) {
            if (last) k[c] = g.u * k[c] + g.v * (double)(p.out[s * D + j] + head_bias[j]);
            continue;
          }
          double sum = t0 ? trace[c] : 0.0, norm = D;
          if (!probes) {
            for (int t = t0; t < min(T, t0 + 2); t++) sum += (double)(p.out[((1 + t - t0) * TRIPLE + s) * D + t] * (1.0f / TANGENT));
          } else if (tile * TRIPLE + s < f.n) {
            const int t = j - D;
            const float *probe = probes + ((size_t)(tile * TRIPLE + s) * T + t) * D, *out = p.out + ((1 + t - t0) * TRIPLE + s) * D;
            norm = 0.0;
            for (int o = 0; o < D; o++) {
              if (t >= t0 && t < t0 + 2) sum += (double)probe[o] * (double)(out[o] * (1.0f / TANGENT));
              norm += (double)probe[o] * (double)probe[o];
            }
          }
          trace[c] = sum;
          if (last) k[c] = D * g.w + (g.u - g.w) * norm + g.v * g.cin * sum;
        }
      }
      if (++stage < stages) continue;
      const TripleFlow p(sm, net, f);
      const double h = hs[zero_now() + step];
      stage = 0, step++;
      flow_step(f, h, tableau, p.rows, p.comps, p.thread, TRIPLE_THREADS);
      if (!f.estimate) continue;
      __syncthreads();  // the errors are written
      if (p.thread < TRIPLE && tile * TRIPLE + p.thread < f.n) flow_estimate(f, h, p.row(stages + 1) + p.thread * C, p.row(stages + 2) + p.thread * C, &est[tile * TRIPLE + p.thread]);
    }
    const TripleFlow p(sm, net, f);
    for (int c = p.thread; c < p.comps; c += TRIPLE_THREADS) {
      const int s = tile * TRIPLE + c / C, j = c % C;
      if (s >= f.n) continue;
      if (j < D) x[(size_t)s * D + j] = p.row(0)[c];
      else div[(size_t)s * K + j - D] = p.row(0)[c];
    }
  }
}
