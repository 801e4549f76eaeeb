// The fused probability flow of flow_fp32.cu on tensor cores (split.cuh). A team integrates 16 samples, each with its value and two
// tangents; more tangents take several passes. State and stages are kept as in flow_fp32.cu.
#include "flow.cuh"
#include "split.cuh"

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
  const int tiles = (f.n + TILE - 1) / TILE;
  for (int tile = me * gridDim.x + blockIdx.x; tile < tiles; tile += gridDim.x * teams) {  // with few tiles, every block gets one before any gets two
    for (int c = Team<W, true>(sm, net).tid; c < comps; c += TEAM) {
      const int s = tile * TILE + c / C, j = c % C;
      row(0)[c] = s >= f.n ? 0.0 : j < D ? x[(size_t)s * D + j] : div[(size_t)s * K + j - D];
    }
    for (int e = 0; e < f.steps * stages; e++) {
      {
        const int i = (zero_now() + e) % stages;
        const double h = hs[(zero_now() + e) / stages];
#pragma unroll 1
        for (int c = Team<W, true>(sm, net).tid; c < comps; c += TEAM) {
          double sum = 0.0;
          for (int j = 0; j < i; j++) sum += tableau[i * stages + j] * row(1 + j)[c];
          row(1 + i)[c] = row(0)[c] + h * sum;  // the stage's state, until its derivative replaces it
        }
      }
      for (int t0 = 0; t0 < T; t0 += TILES - 1) {
        {
          const Team<W, true> team(sm + f.held, net);
          team.sync();  // the states are written, and the parts of the pass before have been read
          if (team.tid < TILES * TILE) {  // a row: a value, a unit vector, a probe, or nothing
            const int mine = team.tid / TILE, s = team.tid % TILE, t = t0 + mine - 1;
            const float* probe = probes && mine && t < T && tile * TILE + s < f.n ? probes + ((size_t)(tile * TILE + s) * T + t) * D : nullptr;
            const double cin = at[e].cin;
            const double* state = row(1 + (zero_now() + e) % stages) + s * C;
            for (int d = 0; d < D; d++)
              ((float*)team.a)[team.tid * D + d] = !mine ? (float)(cin * state[d]) : probe ? probe[d] : !probes && t == d ? 1.0f : 0.0f;
          }
          team.sync();
        }
        Team<W, true>::pass(sm + f.held, net, blob, WS ? sm : words, bias0, e, t0, t0 + TILES - 1 >= T, probes);
        const Team<W, true> team(sm + f.held, net);
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
          } else if (tile * TILE + s < f.n) {
            const int t = j - D;
            const float* probe = probes + ((size_t)(tile * TILE + s) * T + t) * D;
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
      const Team<W, true> team(sm, net);
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
      if (f.estimate && team.tid < TILE && tile * TILE + team.tid < f.n) {
        const double worst = est[tile * TILE + team.tid];
        double e = 0.0, e3 = 0.0;
        for (int j = 0; j < C; j++) e += first[team.tid * C + j], e3 += second[team.tid * C + j];
        double err = fabs(h) * sqrt(e / C);
        if (f.estimate == 2 && e != 0.0) err = fabs(h) * e / sqrt((e + 0.01 * e3) * C);
        if (worst == worst && !(err <= worst)) est[tile * TILE + team.tid] = err;  // keeps NaN
      }
    }
    for (int c = Team<W, true>(sm, net).tid; c < comps; c += TEAM) {
      const int s = tile * TILE + c / C, j = c % C;
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
FLOW_SPLIT(flow_split_w64_shared, 64, true)
FLOW_SPLIT(flow_split_w128_shared, 128, true)
FLOW_SPLIT(flow_split_w128_stream, 128, false)
