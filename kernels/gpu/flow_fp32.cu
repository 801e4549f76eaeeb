// The fused probability flow with its divergence: one launch takes every sample through steps of an explicit Runge-Kutta
// method on a mesh that all samples share (kernels.FlowTable). The network is float32 and goes through chain.cuh, a sample's
// value and its tangents in one group of rows; state, stages, sums and error estimates are float64.
//
// A warp integrates 24/group samples over all steps. It has scratch memory in device memory for their state y, the stages k and some sums,
// D+K numbers for each sample. If a sample has more tangents than a group has rows, it takes several passes through the network.
#include "chain.cuh"
#include "flow.cuh"

template <bool WS>
__device__ __forceinline__ void flow_body(const Net& net, const Flow& f, const float* __restrict__ blob, const float* __restrict__ bias0, const double* __restrict__ hs,
                                          const FlowStage* __restrict__ at, const double* __restrict__ tableau, double* __restrict__ x, double* __restrict__ div,
                                          double* __restrict__ est, const float* __restrict__ probes, double* scratch) {
  EXTERN_SHARED(float, sm);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5, tn = lane & 15, tm = lane >> 4;
  const int D = net.d, K = f.k, C = f.components, G = f.group, S = ROWS / G, T = f.tangents, comps = f.numbers, stages = f.stages;
  if (WS) {
    for (int i = threadIdx.x; i < f.held; i += blockDim.x) sm[i] = blob[i];
    __syncthreads();
  }
  const float* w = WS ? sm : blob;
  float* slab = sm + f.held + warp * chain_slabs(net) * net.width * ROWS;
  const float* head = blob + net.head;
  const float* head_bias = head + net.width * D;
  double* y = scratch + (size_t)(blockIdx.x * warps + warp) * ((stages + 3) * comps + S * T);
  double* ks = y + comps;                                    // [stages][comps]
  double *first = ks + stages * comps, *second = first + comps;  // squared errors
  double* trace = second + comps;                            // [S][T]
  const double *B = tableau + stages * stages, *E = B + stages, *E3 = E + stages;
  const int my_sample = lane / G, my_row = lane % G;
  const int tiles = (f.n + S - 1) / S;
  for (int tile = warp * gridDim.x + blockIdx.x; tile < tiles; tile += gridDim.x * warps) {  // with few tiles, every block gets one before any gets two
    const int row0 = tile * S;
    for (int c = lane; c < comps; c += 32) {
      const int row = row0 + c / C, j = c % C;
      y[c] = row >= f.n ? 0.0 : j < D ? x[(size_t)row * D + j] : div[(size_t)row * K + j - D];
    }
    double worst = lane < S && row0 + lane < f.n ? est[row0 + lane] : 0.0;
    for (int step = 0; step < f.steps; step++) {
      const double h = hs[step];
      for (int i = 0; i < stages; i++) {
        const FlowStage g = at[step * stages + i];
        double* k = ks + i * comps;
        for (int c = lane; c < comps; c += 32) {
          double sum = 0.0;
          for (int j = 0; j < i; j++) sum += tableau[i * stages + j] * ks[j * comps + c];
          k[c] = y[c] + h * sum;  // the stage's state, until its derivative replaces it
        }
        for (int t0 = 0; t0 < T; t0 += G - 1) {
          __syncwarp();
          if (lane < ROWS) {  // this lane's row: a value, a unit vector, a probe, or nothing
            const int t = t0 + my_row - 1;
            const float* probe = probes && my_row && t < T && row0 + my_sample < f.n ? probes + ((size_t)(row0 + my_sample) * T + t) * D : nullptr;
            for (int d = 0; d < D; d++)
              slab[d * ROWS + lane] = !my_row ? (float)(g.cin * k[my_sample * C + d]) : probe ? probe[d] : !probes && t == d ? 1.0f : 0.0f;
          }
          __syncwarp();
          const float* out = chain<true>(net, w, bias0 + (size_t)(step * stages + i) * net.width, slab, G, tn, tm);
          // the values once, after the last pass: until then k holds the state
          const int values = t0 + G - 1 >= T ? S * D : 0, tangents = S * min(G - 1, T - t0);
          for (int q = lane; q < values + tangents; q += 32) {
            const bool value = q < values;
            const int p = value ? q : q - values, s = p % S, t = p / S;
            const float* row = out + s * G + (value ? 0 : 1 + t);
            if (value) {
              double* ks = k + s * C + t;
              *ks = g.u * *ks + g.v * (double)head_dot(head_bias[t], row, head + t, D, net.width);
            } else if (!probes) {
              trace[s * T + t0 + t] = head_dot(0.0f, row, head + t0 + t, D, net.width);
            } else {
              double sum = 0.0;
              if (row0 + s < f.n) {
                const float* v = probes + ((size_t)(row0 + s) * T + t0 + t) * D;
                for (int o = 0; o < D; o++) sum += (double)v[o] * (double)head_dot(0.0f, row, head + o, D, net.width);
              }
              trace[s * T + t0 + t] = sum;
            }
          }
        }
        __syncwarp();
        for (int q = lane; q < S * K; q += 32) {
          const int s = q / K, j = q % K;
          double norm = 0.0, sum = 0.0;
          if (!probes) {
            norm = D;
            for (int t = 0; t < T; t++) sum += trace[s * T + t];
          } else if (row0 + s < f.n) {
            const float* v = probes + ((size_t)(row0 + s) * T + j) * D;
            for (int o = 0; o < D; o++) norm += (double)v[o] * (double)v[o];
            sum = trace[s * T + j];
          }
          k[s * C + D + j] = D * g.w + (g.u - g.w) * norm + g.v * g.cin * sum;
        }
        __syncwarp();
      }
      for (int c = lane; c < comps; c += 32) {
        double next = 0.0, e = 0.0, e3 = 0.0;
        for (int j = 0; j < stages; j++) {
          const double v = ks[j * comps + c];
          next += B[j] * v, e += E[j] * v, e3 += E3[j] * v;
        }
        const double y0 = y[c], y1 = y0 + h * next, unit = f.tol * (1.0 + fmax(fabs(y0), fabs(y1)));
        e /= unit, e3 /= unit;
        y[c] = y1, first[c] = e * e, second[c] = e3 * e3;
      }
      __syncwarp();
      if (f.estimate && lane < S) {
        double e = 0.0, e3 = 0.0;
        for (int j = 0; j < C; j++) e += first[lane * C + j], e3 += second[lane * C + j];
        double err = fabs(h) * sqrt(e / C);
        if (f.estimate == 2 && e != 0.0) err = fabs(h) * e / sqrt((e + 0.01 * e3) * C);
        if (worst == worst && !(err <= worst)) worst = err;  // keeps NaN
      }
    }
    for (int c = lane; c < comps; c += 32) {
      const int row = row0 + c / C, j = c % C;
      if (row >= f.n) continue;
      if (j < D) x[(size_t)row * D + j] = y[c];
      else div[(size_t)row * K + j - D] = y[c];
    }
    if (lane < S && row0 + lane < f.n) est[row0 + lane] = worst;
  }
}

#define FLOW_FP32(name, WS)                                                                                                   \
  extern "C" __global__ void __launch_bounds__(256, 1) name(Net net, Flow f, const float* blob, const float* bias0, const double* hs, \
      const FlowStage* at, const double* tableau, double* x, double* div, double* est, const float* probes, double* scratch) { \
    flow_body<WS>(net, f, blob, bias0, hs, at, tableau, x, div, est, probes, scratch);                                         \
  }                                                                                                                           \
  KERNEL(name)
FLOW_FP32(flow_fp32_shared, true)
FLOW_FP32(flow_fp32_stream, false)
